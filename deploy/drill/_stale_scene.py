"""What the drill plays with: for each change a document, a person and a service account who see it, and their sign-ins.

The portal's models are imported when they are needed: Django has to be set up first.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from deploy.drill._stale_doors import API, KEY, NOBODY, SESSION, TOKEN, Watched, Way, sign_in_page, sign_in_token

SUBJECTS = (
    ("borrowing laptops", "Laptops are lent for two weeks at the service point, and a deposit is not asked for."),
    (
        "parking permits",
        "A parking permit for the car park behind the halls is issued by the estates office each term.",
    ),
    ("chemical waste", "Chemical waste from laboratories is collected in sealed canisters on the first Monday."),
    ("travel expenses", "Travel expenses are refunded when the receipts and the approved form have been handed in."),
    ("exam appeals", "An appeal against the mark of an examination must be lodged within ten working days."),
    ("fire drills", "During a fire drill everybody leaves by the nearest staircase and meets at the assembly point."),
    ("study abroad", "Students who spend a semester abroad sign a learning agreement with both universities."),
    ("research data", "Research data are archived for ten years together with the protocol of the experiment."),
    ("wireless network", "The wireless network is joined with the university account and a personal certificate."),
    ("sick leave", "Whoever falls ill reports sick on the first day and brings a doctor's note on the fourth."),
    ("room bookings", "Seminar rooms are booked through the timetable office, at least three days ahead."),
    ("animal care", "The animal house is entered in overalls only, after the veterinary officer has given leave."),
    ("tuition fees", "Tuition fees may be paid in three instalments, the last of them before the summer term."),
    ("music practice", "Practice rooms with a piano are open to all musicians of the choir and the orchestra."),
    ("printing posters", "Posters for conferences are printed on large paper by the reprographics workshop."),
    ("bicycle storage", "Bicycles are stored in the cellar of the library, whose key hangs at the porter's lodge."),
    ("greenhouse visits", "Visitors may enter the greenhouse of the botanical garden on Sunday afternoons."),
    ("thesis binding", "The thesis is bound in dark blue cloth, with the year of graduation on its spine."),
    ("sports courses", "Sports courses are booked online, and the swimming pool is closed in August."),
    ("staff mentoring", "New lecturers are given a mentor, whom they meet twice in every term."),
)
"""Matters that have nothing to do with each other, so that a question about one finds that one first."""


@dataclass(frozen=True)
class Setting:
    """How a document, and those who see it, stand before a change.

    The document belongs to a bureau, and with `shared` is shared with the guests; the people are of the departments
    named: `bureau`, `guests`, `elsewhere`.
    """

    role: str = "staff"
    of: tuple[str, ...] = ("elsewhere",)
    clearance: int = 2
    audience: str = "institution"
    shared: bool = False
    librarian: bool = False
    embargoed: bool = False


@dataclass
class Scene:
    """One change's document and people, and the ways by which they come."""

    setting: Setting
    servers: list[str]
    operator: httpx.Client
    watched: Watched
    person: Any
    service: Any
    departments: Mapping[str, Any]
    ways: dict[str, Way] = field(default_factory=dict)
    refresh: str = ""
    key: Any = None
    _password: str = ""

    def document(self) -> Any:
        """The document as the database has it now."""
        from ingestion.models import Document

        return Document.objects.get(pk=self.watched.id)

    def patch(self, **fields: Any) -> None:
        """Change the document through the API, as an administrator."""
        self.operator.patch(f"{API}/documents/{self.watched.id}/", json=fields).raise_for_status()

    def people(self) -> list[Any]:
        """The person and the service account, as the database has them now."""
        for one in (self.person, self.service):
            one.refresh_from_db()
        return [self.person, self.service]

    def sign_in(self, *names: str) -> None:
        """Come anew by these ways, by all where none is named."""
        for name in names or (SESSION, TOKEN, KEY, NOBODY):
            if name in self.ways:
                self.ways.pop(name).close()
            if name == SESSION:
                cookies = sign_in_page(self.servers[0], self.person.username, self._known_password())
                self.ways[name] = Way(name, self.servers, cookies=cookies)
            elif name == TOKEN:
                tokens = sign_in_token(self.servers[-1], self.person.username, self._known_password())
                self.refresh = tokens["refresh"]
                self.ways[name] = Way(name, self.servers, headers={"Authorization": f"Bearer {tokens['access']}"})
            elif name == KEY:
                self.ways[name] = Way(name, self.servers, headers={"Authorization": f"Api-Key {self._new_key()}"})
            else:
                self.ways[name] = Way(name, self.servers)

    def change_password(self) -> None:
        """Give the person another password, as the admin's form and the person's own page do."""
        self._password = secrets.token_urlsafe(16)
        self.person.set_password(self._password)
        self.person.save(update_fields=["password"])

    def _known_password(self) -> str:
        if not self._password:
            self.change_password()
        return self._password

    def _new_key(self) -> str:
        from django.utils import timezone

        from accounts.api_keys import issue

        end = timezone.now() + timedelta(days=1)
        self.key, text = issue(self.service, name="drill", scopes=["read"], expires_at=end, created_by=None)
        return text


class Stage:
    """Makes scenes."""

    def __init__(self, servers: list[str]) -> None:
        from accounts.models import Department, User

        self._servers = servers
        password = secrets.token_urlsafe(16)
        self._admin = User.objects.create_user("drill-admin", password=password, role="admin")
        tokens = sign_in_token(servers[0], "drill-admin", password)
        authorization = {"Authorization": f"Bearer {tokens['access']}"}
        limits = httpx.Limits(keepalive_expiry=2.0)
        # Changes come through both servers in turns, so that neither can rely on having made them itself.
        self._operators = [httpx.Client(base_url=one, headers=authorization, limits=limits) for one in servers]
        self._twins = Department.objects.create(name="Public Affairs")

    def scene(self, number: int, setting: Setting) -> Scene:
        """The scene of this number, everybody signed in."""
        from accounts.models import Department

        matter, sentence = SUBJECTS[number]
        departments = {
            name: Department.objects.create(name=f"{name.capitalize()} {number}")
            for name in ("bureau", "guests", "elsewhere")
        }
        marker = f"qz{secrets.token_hex(5)}"
        twin = self._document(matter, sentence, "", self._twins, Setting(clearance=1))
        document = self._document(matter, sentence, marker, departments["bureau"], setting, departments["guests"])
        scene = Scene(
            setting=setting,
            servers=self._servers,
            operator=self._operators[number % len(self._operators)],
            watched=Watched(document, marker, departments["bureau"].name, sentence, f"Notes on {matter}", twin),
            person=self._account(f"person{number}", setting, departments, is_service=False),
            service=self._account(f"service{number}", setting, departments, is_service=True),
            departments=departments,
        )
        scene.sign_in()
        return scene

    def close(self) -> None:
        """Let the connections go."""
        for operator in self._operators:
            operator.close()

    @staticmethod
    def _account(name: str, setting: Setting, departments: Mapping[str, Any], **more: Any) -> Any:
        from django.contrib.auth.models import Group

        from accounts.clearance import LIBRARIANS
        from accounts.models import User

        account = User.objects.create_user(name, role=setting.role, **more)
        account.departments.set([departments[one] for one in setting.of])
        if setting.librarian:
            account.groups.add(Group.objects.get_or_create(name=LIBRARIANS)[0])
        return account

    def _document(
        self, matter: str, sentence: str, marker: str, department: Any, setting: Setting, guests: Any = None
    ) -> str:
        """Upload a text and ingest it, all the way; its id."""
        from django.core.files.base import ContentFile
        from django.utils import timezone

        from accounts.clearance import viewer_for
        from ingestion import pipeline
        from ingestion.models import DocumentType

        text = f"# Notes on {matter}\n\n{sentence} {marker and f'Ask for {marker} at the counter.'}\n\n{sentence}\n"
        made = pipeline.register(
            ContentFile(text.encode()),
            file_name=f"{marker or 'notes'}.md",
            viewer=viewer_for(self._admin),
            metadata=pipeline.DocumentMetadata(
                department=department,
                doc_type=DocumentType.objects.get(slug="guide"),
                title=f"Notes on {matter} {marker}",
                clearance=setting.clearance,
                audience=setting.audience,
                shared_with=(guests,) if setting.shared else (),
                visible_from=timezone.now() + timedelta(days=1) if setting.embargoed else None,
                language="en",
            ),
        )
        pipeline.ingest(made.pk)
        made.refresh_from_db()
        if made.status != "ready":
            raise RuntimeError(f"{made} was not ingested: {made.status}, {made.error}")
        return str(made.pk)
