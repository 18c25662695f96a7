"""What people write is shown and noted as they wrote it, and nowhere read as markup, template, header, log or SQL."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.clearance import LIBRARIANS
from accounts.models import Campus, Department, User
from ingestion.chunking import ChunkDraft
from ingestion.chunkrows import chunk_row
from ingestion.models import Document, DocumentType, Status, Tag
from ingestion.originals import download_name
from ingestion.pipeline import ingest
from portal.logs import JsonFormatter, RequestIdFilter
from portal.tests.addresses import all_addresses
from portal.tests.conftest import MakeDocument, MakePerson, as_person
from search.tests.corpus import serve

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unhurried")]

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = """"'><x-zz onload=a()>{{request}}{%now "Y"%}"""
"""Closes attributes and elements, opens an element with a handler, and is a template."""

LINKS = frozenset({"action", "formaction", "href", "src", "hx-get", "hx-post"})
READ_AS_CODE = ("x-", ":", "@", "hx-on", "hx-vals", "hx-headers", "hx-vars")
"""Attributes that Alpine or htmx read as more than text."""


class Found(HTMLParser):
    """A page as a browser reads it: its text, and whatever of it was injected."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.values: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "x-zz":
            self.faults.append(f"the element <{tag}>")
        for name, value in attrs:
            value = value or ""
            self.values.append(value)
            if name.startswith("on") or "x-zz" in name:
                self.faults.append(f"the attribute {name} of <{tag}>")
            if name.startswith(READ_AS_CODE) and "x-zz" in value:
                self.faults.append(f"{name} of <{tag}> is code with {value!r}")
            if name in LINKS and urlsplit(value.strip()).scheme not in ("", "http", "https"):
                self.faults.append(f"{name}={value!r}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(answer: Any) -> Found:
    found = Found()
    found.feed(answer.content.decode())
    found.close()
    return found


@pytest.fixture
def people(person: MakePerson) -> dict[str, User | None]:
    """A librarian and an administrator with such names."""
    named = {"first_name": WRITTEN, "last_name": WRITTEN}
    department = Department.objects.create(name=WRITTEN)
    librarian, admin = person("staff", departments=(department,), **named), person("admin", **named)
    for user in (librarian, admin):
        User.objects.filter(pk=user.pk).update(username=f"{user.username}{WRITTEN}")
    librarian.groups.add(Group.objects.get(name=LIBRARIANS))
    return {"nobody": None, "librarian": librarian, "admin": admin}


@pytest.fixture
def paper(people: dict[str, User | None], document: MakeDocument) -> Document:
    """A public document of which everything that a person may write is written like that."""
    campus = Campus.objects.create(name=WRITTEN)
    kind = DocumentType.objects.create(name=WRITTEN, slug="written")
    made = document(
        f"Gym {WRITTEN}", department=Department.objects.get(name=WRITTEN), campus=campus, doc_type=kind,
        file_name=f"{WRITTEN}.md", language="en", owner=people["librarian"], error=WRITTEN, error_reason="unread",
    )  # fmt: skip
    made.tags.add(Tag.objects.create(name=WRITTEN))
    made.file.save("original", ContentFile(b"original"))
    table = f"| {WRITTEN} | b |\n| --- | --- |\n| {WRITTEN} | d |"
    text = f"# {WRITTEN}\n\nThe gym opens at six. {WRITTEN}\n\n- {WRITTEN}\n\n{table}\n"
    chunk_row(made, ChunkDraft(0, text, 1, f"{WRITTEN} > {WRITTEN}")).save()
    return made


class TestPages:
    @pytest.mark.parametrize("who", ["nobody", "librarian", "admin"])
    def test_what_is_written_is_text_on_every_page(
        self, people: dict[str, User | None], paper: Document, who: str
    ) -> None:
        client = as_person(people[who])
        asked = quote(f"gym {WRITTEN}")
        pages = [
            *all_addresses(paper),
            f"/search/?q={asked}",
            f"/search/?q=gym&department={quote(WRITTEN)}&tag={quote(WRITTEN)}&campus={quote(WRITTEN)}",
            f"/search/?q={asked}&mode={asked}&page={asked}",
            f"/documents/{paper.pk}/?q={asked}&page=1",
            f"/accounts/login/?next=/{asked}",
            f"/admin/ingestion/document/?q={asked}",
            f"/admin/ingestion/document/?department={asked}&upload={asked}",
            f"/{asked}",
        ]
        shown = 0
        for address in pages:
            answer = client.get(address)
            if not answer.get("Content-Type", "").startswith("text/html"):
                continue
            found = read(answer)
            assert not found.faults, (address, found.faults)
            text = "".join([*found.text, *found.values])
            # Where its beginning is, all of it is: the template in it was not filled in, nor cut out.
            assert text.count("<x-zz onload=a()>") <= text.count("<x-zz onload=a()>{{request}}{%now"), address
            shown += WRITTEN in text
        assert shown >= {"nobody": 4, "librarian": 12, "admin": 20}[who]

    def test_a_refused_sign_in_shows_the_name_as_text(self, client: Client) -> None:
        answer = client.post("/accounts/login/", {"username": WRITTEN, "password": WRITTEN, "next": f"/{WRITTEN}"})
        found = read(answer)
        assert not found.faults
        assert WRITTEN in found.values

    def test_messages_and_refusals_in_the_admin_are_text(self, people: dict[str, User | None], paper: Document) -> None:
        client = as_person(people["admin"])
        tag = Tag.objects.get(name=WRITTEN)
        answers = [
            client.post("/admin/ingestion/tag/add/", {"name": WRITTEN}, follow=True),
            client.post(f"/admin/ingestion/tag/{tag.pk}/change/", {"name": f"{WRITTEN}2"}, follow=True),
            client.post(f"/admin/ingestion/document/{paper.pk}/archive/", follow=True),
            client.get(f"/admin/accounts/department/{paper.department_id}/delete/", follow=True),
            client.get("/admin/accounts/user/999999/change/", follow=True),
            client.get(f"/admin/ingestion/document/{quote(WRITTEN)}/change/", follow=True),
            client.get(f"/admin/ingestion/document/upload/{quote(WRITTEN, safe='')}/", follow=True),
        ]
        for answer in answers:
            found = read(answer)
            assert not found.faults, found.faults
        assert any(WRITTEN in text for text in read(answers[2]).text)

    def test_fragments_for_scripts_are_text_too(self, people: dict[str, User | None], paper: Document) -> None:
        answer = as_person(None).get("/search/", {"q": f"gym {WRITTEN}"}, headers={"hx-request": "true"})
        found = read(answer)
        assert not found.faults
        assert WRITTEN in "".join(found.text)


class TestApi:
    def test_json_gives_what_was_written_and_snippets_are_escaped(self, paper: Document) -> None:
        client = Client()
        answer = client.get("/api/v1/search/", {"q": "gym opens"})
        assert answer["Content-Type"] == "application/json"
        assert answer["X-Content-Type-Options"] == "nosniff"
        hit = answer.json()["results"][0]
        assert hit["document"]["title"] == f"Gym {WRITTEN}"
        assert hit["document"]["department"] == WRITTEN
        assert WRITTEN in hit["text"]
        found = Found()
        found.feed(hit["snippet"])
        assert not found.faults
        assert "<x-zz" not in hit["snippet"]
        assert answer.json()["facets"]["department"] == [{"value": WRITTEN, "count": 1}]

    def test_problems_are_never_pages(self, client: Client) -> None:
        for address in (f"/api/v1/{quote(WRITTEN)}", f"/api/v1/search/?q=a&min_priority={quote(WRITTEN)}"):
            for accepted, statuses in (("*/*", (400, 404)), ("text/html", (404, 406))):
                answer = client.get(address, headers={"accept": accepted})
                assert answer["Content-Type"] == "application/problem+json"
                assert answer.json()["status"] in statuses


class TestHeaders:
    NAMES = [
        "a\r\nSet-Cookie: session=stolen\r\n\r\n<script>.pdf",
        'quo"te; filename=other.html',
        "back\\slash.pdf",
        "naïve – 留学生.pdf",
        "\u202egpj.exe",
        "tab\tnul\0.pdf",
        "%0d%0aX-Evil: 1.pdf",
        "=cmd|' /C calc'!A0.csv",
        "\ud800half.pdf",
        "." * 300,
        "",
    ]

    @pytest.mark.parametrize("name", NAMES)
    def test_a_file_name_stays_inside_its_header(
        self, people: dict[str, User | None], paper: Document, name: str
    ) -> None:
        kept = download_name(name)
        assert kept
        assert not set(kept) & set('\r\n\0\t"\\/:<>|\u202e')
        stored = name.replace("\0", "").encode(errors="replace").decode()[:255]
        Document.objects.filter(pk=paper.pk).update(file_name=stored)
        answer = as_person(people["admin"]).get(f"/api/v1/documents/{paper.pk}/file/")
        assert answer.status_code == 200
        assert answer["Content-Disposition"].startswith("attachment; filename")
        for header, value in answer.items():
            assert not set(value) & set("\r\n\0"), header
            assert value.isascii(), header
        assert "X-Evil" not in answer
        assert "Set-Cookie" not in answer

    def test_a_way_back_stays_inside_its_header(self, client: Client, settings: Settings) -> None:
        settings.PUBLIC_SEARCH = False
        answer = client.get("/search/?q=a%0d%0aSet-Cookie:%20x=y%0d%0a%0d%0a<script>")
        assert answer.status_code == 302
        assert not set(answer["Location"]) & set("\r\n<>")
        assert not answer.cookies


@pytest.fixture
def lines(settings: Settings) -> Iterator[io.StringIO]:
    """Everything that is logged, as the portal writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(RequestIdFilter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def assert_lines(stream: io.StringIO, at_least: int = 1) -> list[dict[str, Any]]:
    """Each line is one JSON object of printable ASCII, and whoever reads it knows when, what and by whom."""
    written = stream.getvalue().splitlines()
    assert len(written) >= at_least
    for line in written:
        assert line.isascii()
        assert line.isprintable()
    read_back = [json.loads(line) for line in written]
    for one in read_back:
        assert {"time", "level", "logger", "event"} <= set(one)
    return read_back


class TestLogs:
    FORGED = 'x\r\n{"level": "info", "event": "all is well"}\n\x1b[2J\x1b]0;owned\x07\u2028\x85\x00'

    def test_no_request_writes_a_line_of_its_own(self, client: Client, lines: io.StringIO) -> None:
        forged = quote(self.FORGED)
        client.get(f"/nothing/{forged}")
        client.get(f"/search/?q={forged}")
        client.get(f"/api/v1/search/?q={forged}&department={forged}")
        client.get("/", headers={"host": "elsewhere.example", "user-agent": self.FORGED, "x-request-id": self.FORGED})
        client.post("/accounts/login/", {"username": self.FORGED, "password": "a-secret-of-theirs"})
        client.post("/api/v1/token/", {"username": self.FORGED, "password": "a-secret-of-theirs"}, "application/json")
        client.post("/api/v1/search/", b"\xff\r\nforged", content_type="application/json")
        read_back = assert_lines(lines, at_least=3)
        assert not [one for one in read_back if one["event"] == "all is well"]
        assert "a-secret-of-theirs" not in lines.getvalue()

    def test_a_file_that_cannot_be_read_writes_one_line_for_each_thing_that_happened(
        self, people: dict[str, User | None], lines: io.StringIO
    ) -> None:
        upload = ContentFile(b"%PDF-broken", name="x.pdf")
        upload.name = f"{self.FORGED}.pdf".replace("\0", "")
        given = {"file": upload, "department": WRITTEN, "doc_type": "guide"}
        answer = as_person(people["librarian"]).post("/api/v1/documents/", given)
        assert answer.status_code == 202, answer.content
        ingest(answer.json()["id"])
        assert Document.objects.get(pk=answer.json()["id"]).status == Status.FAILED
        assert_lines(lines)

    def test_an_exception_with_many_lines_is_one(self, lines: io.StringIO) -> None:
        try:
            raise ValueError(self.FORGED)
        except ValueError:
            logging.getLogger("portal").exception("could not read %s", self.FORGED)
        (one,) = assert_lines(lines)
        assert self.FORGED in one["event"]
        assert "ValueError" in one["traceback"]

    def test_a_refused_request_is_noted_with_its_id(self, client: Client, lines: io.StringIO) -> None:
        answer = client.get("/nothing")
        (one,) = [one for one in assert_lines(lines) if one["logger"] == "django.request"]
        assert one["request_id"] == answer["X-Request-ID"]


class TestDatabase:
    @pytest.mark.parametrize(
        "given",
        ["' OR 1=1 --", "'; DROP TABLE ingestion_document; --", '" OR ""="', "%' OR '%'='", "\\' OR 1=1", "1) OR (1=1"],
    )
    def test_quotes_and_operators_are_words(self, client: Client, paper: Document, given: str) -> None:
        for name in ("department", "campus", "doc_type", "language", "tag"):
            answer = client.get("/api/v1/search/", {"q": "gym opens", name: given, "mode": "keyword"})
            assert answer.status_code == 200
            assert answer.json()["count"] == 0, name
        assert client.get("/api/v1/search/", {"q": given}).status_code == 200
        assert client.get("/api/v1/suggest/", {"q": given}).json() == {"suggestions": []}
        assert Document.objects.count() == 1

    @pytest.mark.parametrize(
        "given", ["& | ! ( )", "a:*", "gym <-> opens", "'gym' & !opens:A", "\\", "***", "((((", "'"]
    )
    def test_operators_of_word_searches_are_words(self, client: Client, paper: Document, given: str) -> None:
        """A query without any letter or digit is refused in words; none reaches the database as an operator."""
        answer = client.get("/api/v1/search/", {"q": given, "mode": "keyword"})
        assert answer.status_code == (200 if any(map(str.isalnum, given)) else 400)

    @pytest.mark.parametrize(
        ("typed", "titles"),
        [
            ("%%", []),
            ("__", []),
            ("10% d", ["1000 days"]),
            ("%ttendance", []),
            ("un_er", []),
            ("under_sc", ["under_score"]),
            ("a\\b", ["a\\b paths"]),
            ("days:* | score", []),
            ("score & !days", []),
        ],
    )
    def test_wildcards_and_operators_are_plain_marks_in_what_is_typed(
        self, client: Client, library: Department, typed: str, titles: list[str]
    ) -> None:
        for title in ("100% attendance", "under_score", "underscore", "1000 days", "a\\b paths"):
            serve(title, "Text.", department=library, embedded=False)
        assert client.get("/api/v1/suggest/", {"q": typed}).json() == {"suggestions": titles}

    @pytest.mark.parametrize("typed", ["%", "_", "%%", "\\"])
    def test_wildcards_are_plain_characters_in_the_admin(
        self, people: dict[str, User | None], document: MakeDocument, library: Department, typed: str
    ) -> None:
        document("Nothing of the kind", department=library, file_name="plain.txt")
        answer = as_person(people["admin"]).get("/admin/ingestion/document/", {"q": typed})
        assert "Nothing of the kind" not in answer.content.decode()


def test_nothing_is_written_for_spreadsheets() -> None:
    """No command writes CSV, and the answers that do write no formula; other manifests are read only."""
    looked_into = (
        ROOT / "ingestion" / "admin" / "uploads.py",  # by ingestion/tests/admin/test_sending.py
        ROOT / "search" / "admin" / "lists.py",  # by search/tests/test_lists.py
    )
    for room in ("accounts", "ingestion", "portal", "search"):
        for file in (ROOT / room).rglob("*.py"):
            if "tests" not in file.parts and file not in looked_into:
                text = file.read_text(encoding="utf-8")
                assert "csv.writer" not in text, file
                assert "csv.DictWriter" not in text, file
                assert 'content_type="text/csv' not in text, file
