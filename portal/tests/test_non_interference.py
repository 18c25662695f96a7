"""What a viewer may not see changes nothing of what they are answered.

For every kind of viewer, every address is asked twice: in the whole corpus, and in the same corpus after everything
that the viewer may neither see nor manage was physically deleted and the statistics were counted anew. The answers must
be equal, status and headers included, but for what belongs to the one request.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.db import transaction
from django.http.response import HttpResponseBase
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.clearance import LIBRARIANS, Viewer, viewer_for
from accounts.models import Campus, Department, User
from ingestion import statistics
from ingestion.models import Chunk, Document, LanguageCentre, Tag, Term
from portal.tests.conftest import MakePerson
from search import retrieval
from search.tests.corpus import count_statistics, serve

pytestmark = pytest.mark.django_db

YEAR = timezone.timedelta(days=365)

TOPICS = {
    "en": "You may borrow twenty books from the library at a time and claim travel expenses with form HR-12.",
    "de": "Sie dürfen zwanzig Bücher ausleihen und Reisekosten mit dem Formular HR-12 abrechnen.",
    "zh": "每位读者最多可以借二十本书，并可以报销差旅费。",
}

QUERIES = (
    "borrow books",
    "travel expenses HR-12",
    "Wie viele Bücher darf ich ausleihen?",
    "借书",
    "zebra quagga",
    "the",
)


@pytest.fixture(autouse=True)
def plain_storage(settings: Settings, tmp_path: Path) -> None:
    """Originals in a folder of the test, and static files by their plain names."""
    settings.STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def corpus(finance: Department, library: Department) -> dict[str, Document]:
    """Public documents, and beside each of them hidden ones of every kind that say nearly the same.

    The hidden ones are many, older, newer, of higher priority, better matches, of languages, tags, campuses and words
    that no visible one has: whatever could show in a rank, a count, a facet, a suggestion or a statistic.
    """
    campus, hidden_campus = Campus.objects.create(name="Main"), Campus.objects.create(name="Bunker")
    tag, hidden_tag = Tag.objects.create(name="reading"), Tag.objects.create(name="secret")
    made: dict[str, Document] = {}
    for number, (language, text) in enumerate(TOPICS.items()):
        for clearance in (1, 2, 3, 4):
            for audience, department in (("institution", library), ("department", finance), ("department", library)):
                name = f"{language} {clearance} {audience} {department}"
                hidden = (clearance, audience) != (1, "institution")
                extra = f" Zebra quagga borrow books, {name}." if hidden else " Nothing else."
                made[name] = serve(
                    f"Borrow {name}",
                    text + extra,
                    f"Travel page of {name}: {text}",
                    department=department,
                    clearance=clearance,
                    audience=audience,
                    language=language,
                    priority=5 if hidden else 3,
                    campus=(hidden_campus if clearance == 4 else campus) if number else None,
                )
                made[name].tags.set([hidden_tag if clearance > 2 else tag])
    made["shared"] = serve("Borrow shared", TOPICS["en"], department=library, audience="department", clearance=2)
    made["shared"].shared_with.set([finance])
    only = "Só os iniciados podem requisitar livros."
    made["only"] = serve("Borrow unseen", only, department=library, clearance=4, language="pt")
    gone = {
        "archived": {"status": "archived", "is_searchable": False},
        "embargoed": {"visible_from": timezone.now() + YEAR},
        "expired": {"visible_until": timezone.now() - YEAR},
    }
    for name, more in gone.items():
        made[name] = serve(f"Borrow {name}", TOPICS["en"] + f" {name}", department=library, **more)
    Chunk.objects.filter(document=made["en 1 institution Library"], position=1).update(embedding=None)
    for one in made.values():
        one.file.save("original", ContentFile(f"original of {one.title}".encode()))
    count_statistics()
    return made


VIEWERS = (
    "anonymous", "student of Finance", "staff", "staff of Finance", "academic of Library", "librarian", "admin",
)  # fmt: skip


@pytest.fixture
def user(request: pytest.FixtureRequest, person: MakePerson, finance: Department, library: Department) -> User | None:
    """The person that the parameter names; None for anonymous."""
    role, _, department = request.param.partition(" of ")
    if role == "anonymous":
        return None
    departments = {"Finance": (finance,), "Library": (library,), "": ()}[department]
    if role == "librarian":
        made = person("staff", departments=(library,))
        made.groups.add(Group.objects.get(name=LIBRARIANS))
        return made
    return person(role, departments=departments, campus=Campus.objects.filter(name="Main").first())


Probe = Callable[[Client], HttpResponseBase]


def probes(corpus: dict[str, Document]) -> Iterator[tuple[str, Probe]]:
    """Every address that shows, counts or suggests documents, with a name."""

    def get(path: str, **query: Any) -> tuple[str, Probe]:
        return f"GET {path} {query}", lambda client: client.get(path, query)

    def send(method: str, path: str, body: object = None) -> tuple[str, Probe]:
        return f"{method} {path} {body}", lambda client: getattr(client, method)(
            path, body, content_type="application/json"
        )

    for query in QUERIES:
        yield get("/api/v1/search/", q=query, page_size=50)
    for mode in ("semantic", "keyword"):
        yield get("/api/v1/search/", q=QUERIES[1], mode=mode, page_size=50)
    for query in QUERIES[:2]:
        yield get("/search/", q=query)
    yield get("/api/v1/search/", q=QUERIES[0], page=2, page_size=3)
    for filters in (
        {"department": ["Finance"]}, {"campus": ["Bunker"]}, {"campus": ["Main"]}, {"tag": ["secret"]},
        {"tag": ["reading"]}, {"language": ["pt"]}, {"language": ["de", "zh"]}, {"min_priority": 4},
        {"doc_type": ["guide"]},
    ):  # fmt: skip
        yield send("post", "/api/v1/search/", {"query": QUERIES[1], "filters": filters, "page_size": 50})
    for typed in ("bo", "borrow en", "borrow unseen", "zebra", "arch"):
        yield get("/api/v1/suggest/", q=typed)
    yield get("/api/v1/documents/")
    yield get("/api/v1/documents/", page_size=3)
    yield get("/api/v1/me/")
    # Every seventh document, so that each kind comes, and those of a kind of their own.
    chosen = {name: one for number, (name, one) in enumerate(corpus.items()) if number % 7 == 0 or " " not in name}
    for pk in [*(one.pk for one in chosen.values()), uuid.UUID(int=7)]:
        path = f"/api/v1/documents/{pk}/"
        yield from (get(path), get(path + "file/"), get(path + "chunks/"), get(path + "similar/"))
        yield from (get(f"/documents/{pk}/", q="borrow books"), get(f"/documents/{pk}/file"))
    for name in ("en 1 institution Library", "zh 4 department Finance", "shared", "archived"):
        path = f"/api/v1/documents/{corpus[name].pk}/"
        yield send("patch", path, {"priority": 1})
        yield send("patch", path, {"clearance": 4, "department": "Nowhere"})
        yield send("post", path + "retry/")
        yield send("delete", path)
        yield (
            f"feedback on {name}",
            lambda client, name=name: client.post(
                "/api/v1/feedback/",
                {
                    "search_id": client.get("/api/v1/search/?q=books").json()["search_id"],
                    "document_id": str(corpus[name].pk),
                    "verdict": "helpful",
                },
                content_type="application/json",
            ),
        )


OF_THE_REQUEST = ("request_id", "search_id", "timestamp", "response_time", "updated_at")
MASKED = (
    re.compile(rb'(name="csrfmiddlewaretoken" value=")[^"]+'),
    re.compile(rb"\b[0-9a-f]{32}\b"),  # the request's id on error pages
    re.compile(rb"\d+(?:[.,]\d+)? (?:ms|seconds?|s)\b"),
)


def answered(client: Client, probe: Probe) -> dict[str, Any]:
    """Status, headers and body of an answer, without what belongs to the one request. What it changes is undone."""
    cache.clear()
    with transaction.atomic():
        response = probe(client)
        content = response.getvalue()  # type: ignore[attr-defined]
        transaction.set_rollback(True)
    if "json" in response.headers.get("Content-Type", ""):
        body = json.loads(content)
        body = {name: value for name, value in body.items() if name not in OF_THE_REQUEST}
    else:
        body = content
        for pattern in MASKED:
            body = pattern.sub(b"", body)
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in ("X-Request-ID", "Content-Length", "Expires")
    }
    return {"status": response.status_code, "headers": headers, "body": body}


def difference(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The lines in which two answers differ, to read in a failure."""
    lines = [
        json.dumps(answer, indent=1, default=bytes.decode).replace("\\n", "\n").split("\n") for answer in (one, other)
    ]
    return list(unified_diff(*lines, lineterm="", n=0))[:20]


def delete_the_hidden(viewer: Viewer) -> int:
    """Delete what the viewer may neither see nor manage, and count the statistics anew; how many documents it was."""
    kept = set(Document.objects.visible_to(viewer).values_list("pk", flat=True))
    kept |= set(Document.objects.manageable_by(viewer).values_list("pk", flat=True))
    deleted = Document.objects.exclude(pk__in=kept).delete()[1].get("ingestion.Document", 0)
    Tag.objects.filter(documents=None).delete()
    statistics.refresh()
    return deleted


def compare(user: User | None, asked: dict[str, Probe]) -> dict[str, dict[str, Any]]:
    """Ask everything in the whole corpus and in the one without what is hidden; the answers, which must be equal."""
    client = Client()
    if user:
        client.force_login(user)
    whole = {name: answered(client, probe) for name, probe in asked.items()}
    with transaction.atomic():
        deleted = delete_the_hidden(viewer_for(User.objects.get(pk=user.pk) if user else AnonymousUser()))
        bare = {name: answered(client, probe) for name, probe in asked.items()}
        transaction.set_rollback(True)
    assert deleted or (user and user.role == "admin")
    assert {name: difference(whole[name], bare[name]) for name in asked if whole[name] != bare[name]} == {}
    return whole


@pytest.mark.parametrize("user", VIEWERS, indirect=True)
def test_every_answer_is_that_of_a_database_without_what_is_hidden(
    user: User | None, corpus: dict[str, Document]
) -> None:
    answers = compare(user, dict(probes(corpus))).values()
    assert not [answer for answer in answers if answer["status"] >= 500]
    assert sum(answer["status"] == 200 for answer in answers) > 20


@pytest.mark.parametrize("user", ["staff of Finance"], indirect=True)
def test_the_same_holds_through_the_index(
    user: User | None, corpus: dict[str, Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "EXACT_UP_TO", 0)
    monkeypatch.setattr(retrieval, "SMALL_LANGUAGES_UP_TO", 0)
    searching = {name: probe for name, probe in probes(corpus) if "/v1/search/" in name or "/similar/" in name}
    assert len(compare(user, searching)) > 25


def test_statistics_that_enter_scores_know_only_what_is_public(corpus: dict[str, Document]) -> None:
    assert not Term.objects.filter(word__in=["zebra", "quagga", "iniciados"]).exists()
    assert set(LanguageCentre.objects.values_list("language", flat=True)) == {"", *TOPICS}


def test_a_hidden_document_and_an_unknown_one_are_byte_for_byte_alike(
    client: Client, corpus: dict[str, Document], person: MakePerson
) -> None:
    client.force_login(person("student"))
    hidden, unknown = corpus["only"].pk, uuid.uuid4()
    for address in ("/api/v1/documents/{}/", "/api/v1/documents/{}/file/", "/api/v1/documents/{}/chunks/",
                    "/api/v1/documents/{}/similar/"):  # fmt: skip
        given = {"X-Request-ID": "the-same-request"}
        first, second = (client.get(address.format(pk), headers=given) for pk in (hidden, unknown))
        assert first.status_code == second.status_code == 404
        assert first.content == second.content
        assert first.headers == second.headers
