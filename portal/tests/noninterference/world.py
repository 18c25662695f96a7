"""A small university to keep secrets in: what it is made of, and its making in the database."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.utils import timezone

from accounts.clearance import CURATORS, LIBRARIANS
from accounts.models import Campus, Department, Phase, User
from ingestion.models import Chunk, Document, DocumentType, Tag
from search import curation
from search.models import BestBet, Feedback, SearchEvent, SynonymGroup
from search.tests.corpus import count_statistics, serve
from search.vocabulary import refresh as read_vocabulary

DEPARTMENTS = ("Library", "Finance", "Registry")
CAMPUSES = ("Main", "Bunker")
TAGS = ("reading", "secret", "hushed")
UNUSED_TAG = "unused"
TYPES = ("guide", "policy", "minutes")
PASSWORD = "correct-horse-battery"
UNKNOWN = UUID(int=7)
"""The id of a document that never was."""

LONG = timedelta(days=365)


@dataclass(frozen=True)
class Paper:
    """A text to make documents of. Several documents may be of one paper: only their access tells them apart."""

    language: str
    title: str
    pages: tuple[str, ...]


PAPERS = (
    Paper("en", "Borrowing books", ("You may borrow twenty books from the library at a time.", "Fines are 20 pence.")),
    Paper("en", "Borrowing more books", ("You may borrow thirty books from the library at a time. Zebra quagga.",)),
    Paper("en", "Travel expenses", ("Claim travel expenses with form HR-12.", "Attach every receipt to form HR-12.")),
    Paper("en", "Travel expenses of the board", ("The board claims travel expenses with form HR-13, borrow books.",)),
    Paper("en", "Zebra", ("Zebra quagga okapi: the restructuring plan of the library closes two reading rooms.",)),
    Paper("de", "Bücher ausleihen", ("Sie dürfen zwanzig Bücher ausleihen und Reisekosten mit HR-12 abrechnen.",)),
    Paper("de", "Reisekosten", ("Reisekosten werden mit dem Formular HR-12 innerhalb von dreißig Tagen abgerechnet.",)),
    Paper("zh", "借书规则", ("每位读者最多可以借二十本书，并可以报销差旅费。",)),
    Paper("pt", "Livros", ("Só os iniciados podem requisitar livros.",)),
)

QUERIES = (
    "borrow books",
    "travel expenses HR-12",
    "Wie viele Bücher darf ich ausleihen?",
    "借书",
    "zebra quagga",
    "the",
    "HR-13",
    "iniciados",
    # Required and excluded words, and filters among them: hidden passages that hold them change nothing.
    '"borrow" books -zebra',
    "expenses dept:Fin -quagga tag:secret",
    # What was meant is told by words that the viewer may read, whatever others may.
    "quaga",
)

SYNONYMS = (("zebra", "livros"), ("borrow", "requisitar", "reading rooms"), ("travel expenses", "board"))
"""Words that mean the same, some of them in hidden papers alone."""

TYPED = ("bo", "borrowing m", "travel expenses o", "zebra", "li", "借书", "renamed")
"""What is typed into the field before a suggestion comes."""


@dataclass(frozen=True)
class DocumentFacts:
    """One document as it begins. Numbers are places in the tuples above; `owner` is a place among the people."""

    paper: int = 0
    department: int = 0
    clearance: int = 1
    audience: str = "institution"
    shared: frozenset[int] = frozenset()
    state: str = "ready"
    window: str = "always"
    tags: frozenset[int] = frozenset()
    campus: int | None = None
    doc_type: int = 0
    priority: int = 3
    owner: int | None = None
    embedded: bool = True
    attached_to: int | None = None
    """The place of an earlier document that it came with: then that one's access holds for it, and its own does not."""


@dataclass(frozen=True)
class PersonFacts:
    """One person as they begin. `role` anonymous stands for somebody who is not signed in."""

    role: str = "student"
    departments: frozenset[int] = frozenset()
    group: str = ""
    campus: int | None = None
    active: bool = True
    invited: bool = True


@dataclass(frozen=True)
class WorldFacts:
    """A university before anything changes. `phased`: only who is invited is let in."""

    documents: tuple[DocumentFacts, ...]
    people: tuple[PersonFacts, ...]
    phased: bool = False
    public_search: bool = True


STATES = {
    "ready": {"status": "ready", "is_searchable": True},
    "archived": {"status": "archived", "is_searchable": False},
    "failed": {"status": "failed", "is_searchable": False, "error": "It has no text.", "error_reason": "empty"},
    "served though failed": {"status": "failed", "is_searchable": True, "error": "Unread.", "error_reason": "ocr"},
    "queued": {"status": "queued", "is_searchable": False},
}


def window(name: str) -> dict[str, object]:
    """The dates of a publication window by its name."""
    now = timezone.now()
    return {
        "always": {"visible_from": None, "visible_until": None},
        "embargoed": {"visible_from": now + LONG, "visible_until": None},
        "expired": {"visible_from": None, "visible_until": now - LONG},
        "open": {"visible_from": now - LONG, "visible_until": now + LONG},
    }[name]


@dataclass
class World:
    """A university in the database, known by ids: rows change, and go, while it is watched."""

    documents: list[UUID] = field(default_factory=list)
    people: list[int | None] = field(default_factory=list)
    departments: list[int] = field(default_factory=list)
    rows: dict[str, list[Any]] = field(default_factory=dict)
    """Of each model of the admin site, by its label, keys of some rows."""
    contents: list[bytes] = field(default_factory=list)
    """The originals, so that somebody can try to upload one of them again."""

    def document(self, place: int) -> UUID:
        """The id of a document; places beyond the last one are the unknown one's."""
        return self.documents[place] if place < len(self.documents) else UNKNOWN


def make(facts: WorldFacts) -> World:
    """Write this university into the database, with the statistics counted."""
    world = World()
    departments = [Department.objects.get_or_create(name=name)[0] for name in DEPARTMENTS]
    campuses = [Campus.objects.get_or_create(name=name)[0] for name in CAMPUSES]
    tags = [Tag.objects.get_or_create(name=name)[0] for name in (*TAGS, UNUSED_TAG)]
    types = [DocumentType.objects.get_or_create(slug=slug, defaults={"name": slug.title()})[0] for slug in TYPES]
    groups = {name: Group.objects.get_or_create(name=name)[0] for name in (LIBRARIANS, CURATORS)}
    world.departments = [one.pk for one in departments]
    for number, person in enumerate(facts.people):
        world.people.append(_make_person(f"person{number}", person, departments, campuses, groups))
    if facts.phased:
        phase = Phase.objects.create(name="pilot", starts_at=timezone.now() - LONG)
        invited = (pk for pk, one in zip(world.people, facts.people, strict=True) if one.invited and pk)
        phase.people.set(invited)
    for terms in SYNONYMS:
        curation.settle(SynonymGroup.objects.get_or_create(terms=[*terms])[0])
    for number, document in enumerate(facts.documents):
        paper = PAPERS[document.paper]
        content = f"original of {number % 4} and {paper.title}".encode()
        made = serve(
            f"{paper.title} {'I' * (number % 3 + 1)}",
            *paper.pages,
            department=departments[document.department],
            embedded=document.embedded,
            id=uuid.uuid5(UNKNOWN, f"document {number}"),
            file_name=f"{paper.title} {number}.txt",
            sha256=hashlib.sha256(content).hexdigest(),
            clearance=document.clearance,
            audience=document.audience,
            language=paper.language,
            campus=None if document.campus is None else campuses[document.campus],
            doc_type=types[document.doc_type],
            priority=document.priority,
            owner_id=None if document.owner is None else world.people[document.owner],
            **STATES[document.state],
            **window(document.window),
        )
        made.shared_with.set([departments[place] for place in document.shared])
        made.tags.set([tags[place] for place in document.tags])
        if document.attached_to is not None and document.attached_to < number:
            mail = Document.objects.get(pk=world.documents[document.attached_to])
            made.parent, made.part, made.is_attachment, made.owner = mail, f"attachment {number}", True, mail.owner
        made.file.save("original", ContentFile(content), save=True)
        world.documents.append(made.pk)
        world.contents.append(content)
        _leave_traces(made, number, world.people)
    for model in admin.site._registry:
        world.rows[model._meta.label_lower] = list(
            model._default_manager.order_by("pk").values_list("pk", flat=True)[:5]
        )
    count_statistics()
    read_vocabulary()
    return world


def _make_person(
    name: str, person: PersonFacts, departments: Sequence[Department], campuses: Sequence[Campus], groups: dict
) -> int | None:
    if person.role == "anonymous":
        return None
    user = User(username=name, role=person.role, is_active=person.active)
    user.campus = None if person.campus is None else campuses[person.campus]
    # The hash is what is slow; who needs a password sets one.
    user.set_unusable_password()
    user.save()
    user.departments.set([departments[place] for place in person.departments])
    if person.group:
        user.groups.add(groups[person.group])
        # Of a curator's departments all but the last; a librarian curates all of theirs anyway.
        user.curated_departments.set([departments[place] for place in sorted(person.departments)[:1]])
    return user.pk


def _leave_traces(document: Document, number: int, people: Sequence[int | None]) -> None:
    """What use leaves behind: a history in the admin site, a word of praise, a replacement that waits."""
    somebody = next((pk for pk in people if pk), None)
    if somebody is None:
        return
    # Seen or not: a question that is asked.
    BestBet.objects.create(queries=[QUERIES[number % 5]], document=document, made_by_id=somebody)
    if document.owner_id:
        LogEntry.objects.create(
            user_id=document.owner_id,
            content_type=ContentType.objects.get_for_model(Document),
            object_id=str(document.pk),
            object_repr=document.title,
            action_flag=CHANGE,
            change_message="Changed.",
        )
    if number % 3 == 0:
        event = SearchEvent.objects.create(user_id=somebody, role="staff", query="books", mode="hybrid", count=1,
                                           duration_ms=1)  # fmt: skip
        Feedback.objects.create(search=event, document=document, user_id=somebody, verdict="helpful")
    if number % 4 == 1:
        served = Chunk.objects.filter(document=document).first()
        assert served is not None
        served.pk, served.staged, served.text = None, True, "Zebra staged okapi " + served.text
        served.save(force_insert=True)
