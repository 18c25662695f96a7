"""A document's page: the viewer and the text, finding within it, the file in stretches, citations; and that nothing of
what somebody wrote becomes a part of the page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from wsgiref.headers import Headers

import pytest
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.audit import DOWNLOADED
from accounts.clearance import LIBRARIANS
from accounts.models import AuditEvent, Department
from ingestion.chunking import ChunkDraft
from ingestion.chunkrows import chunk_row
from ingestion.models import Chunk, Document, Tag
from portal.policies import PDF_WORKER_POLICY, static_headers
from portal.tests.conftest import MakeDocument, MakePerson
from search.viewing import CHUNKS_A_PART, OUTLINE_LENGTH

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unhurried")]

MakeText = Callable[..., Document]

PDF = {"mime_type": "application/pdf", "file_name": "quills.pdf", "page_count": 3}

# What has run in pages elsewhere, by the ways that lead out of text, attributes, addresses, styles and templates.
PAYLOADS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><iframe srcdoc='<script>alert(1)</script>'>",
    '" autofocus onfocus=alert(1) x="',
    "</title><script>alert(1)</script>",
    "</textarea></style></noscript><script>alert(1)</script>",
    "<a href=javascript:alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "![x](https://elsewhere.example/x.png)",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "{{ request.user }}{% debug %}${alert(1)}",
    "<base href=https://elsewhere.example/>",
    "<meta http-equiv=refresh content=0;url=https://elsewhere.example/>",
    "<form action=https://elsewhere.example/><button>x</button></form>",
    "<style>@import 'https://elsewhere.example/x.css'</style>",
    "<details open ontoggle=alert(1)>",
    r"\u003cscript\u003ealert(1)\u003c/script\u003e",
    "＜script＞alert(1)＜/script＞",
)


@pytest.fixture
def text(document: MakeDocument) -> MakeText:
    """Makes a served document with one passage a page, each a section of its own, and an original."""

    def make(
        title: str, texts: list[str], *, original: bytes = b"0123456789", section: str = "", **more: object
    ) -> Document:
        made = document(title, **{"file_name": f"{title[:50]}.md", **more})
        made.sha256 = hashlib.sha256(original).hexdigest()
        made.file.save("original", ContentFile(original))
        for position, one in enumerate(texts):
            chunk_row(made, ChunkDraft(position, one, position + 1, section or f"Part {position + 1}")).save()
        return made

    return make


def page_of(client: Client, document: Document, query: str = "") -> str:
    """The HTML of a document's page, which must be there."""
    answer = client.get(reverse("document", args=[document.pk]) + query)
    assert answer.status_code == 200
    return str(answer.content.decode())


class TestViewer:
    def test_a_pdf_opens_at_its_page_with_the_passage_along(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        made = text("Quills", ["Cut it.", "Dip “it”.", "Write."], department=library, **PDF)
        second = Chunk.objects.get(document=made, position=1)
        answer = client.get(reverse("document", args=[made.pk]), {"page": 2, "passage": second.pk})
        page = answer.content.decode()
        assert 'data-page="2"' in page
        assert 'data-passage="Dip “it”."' in page
        assert reverse("document-file", args=[made.pk]) in page
        assert "Cut it." in page  # the text is there for who has no scripts, and where the file is broken
        assert "worker-src 'self'" in answer["Content-Security-Policy"]
        assert re.search(r"trusted-types default viewer[;$]", answer["Content-Security-Policy"] + ";")

    @pytest.mark.parametrize("query", ["?view=text", "?view=text&page=2"])
    def test_its_text_can_be_read_instead(
        self, client: Client, text: MakeText, library: Department, query: str
    ) -> None:
        made = text("Quills", ["Cut it.", "Dip it."], department=library, **PDF)
        page = page_of(client, made, query)
        assert "Dip it." in page
        assert 'id="viewer"' not in page
        assert "See the pages" in page

    def test_no_other_page_loads_the_viewer_or_allows_its_worker(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        made = text("Quills", ["Cut it."], department=library)
        for address in (reverse("document", args=[made.pk]), "/search/?q=quills", "/"):
            answer = client.get(address)
            assert "viewer.js" not in answer.content.decode()
            assert "worker-src" not in answer["Content-Security-Policy"]

    def test_the_worker_has_a_policy_of_its_own_and_no_other_script_has_it(self) -> None:
        for name, policy in (
            ("vendor/pdfjs/pdf.worker.min.0a1b2c3d.js", PDF_WORKER_POLICY), ("vendor/pdfjs/pdf.min.js", None),
        ):  # fmt: skip
            headers = Headers([])
            static_headers(headers, f"/srv/static/{name}", f"/static/{name}")
            assert headers.get("Content-Security-Policy") == policy

    def test_a_passage_of_something_hidden_is_as_unknown_as_no_passage(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        made = text("Quills", ["Cut it.", "Dip it."], department=library, **PDF)
        hidden = text("Secret", ["The hidden drawer."], department=library, clearance=4)
        foreign = Chunk.objects.get(document=hidden).pk

        def said(passage: int) -> str:
            page = page_of(client, made, f"?page=2&passage={passage}")
            return re.sub(rf'nonce="[^"]+"|token" value="[^"]+"|passage(=|%3D){passage}\b', "", page)

        assert said(foreign) == said(987654321)
        assert "hidden drawer" not in said(foreign)


class TestText:
    def test_says_what_a_hit_says_of_it_and_more(self, client: Client, text: MakeText, library: Department) -> None:
        today = timezone.localdate()
        made = text(
            "Quills", ["Cut it."], department=library, page_count=7, authors=["Ada Byron"], language="de",
            last_reviewed=today.replace(year=today.year - 1, day=1),
        )  # fmt: skip
        made.tags.add(Tag.objects.create(name="writing"))
        page = page_of(client, made)
        for fact in ("Public", "Guide", "Library", "German", "Ada Byron", "writing", "<dd>7</dd>"):
            assert fact in page
        assert "last reviewed 12 months ago" in page
        assert "what it says may have changed" in page

    @pytest.mark.parametrize(("language", "direction"), [("ar", ' dir="rtl"'), ("zh", ""), ("en", "")])
    def test_is_in_its_language_and_direction(
        self, client: Client, text: MakeText, library: Department, language: str, direction: str
    ) -> None:
        made = text("Quills", ["Cut it."], department=library, language=language)
        assert f'<div class="reading" lang="{language}"{direction}>' in page_of(client, made)

    def test_no_page_of_a_long_document_is_over_300_kb(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        """Chunks as long as the model reads, every word marked, in a script of three bytes a character."""
        words = " ".join(["借书规则"] * 150)
        made = text(
            "长" * 90, [f"# {n}\n\n{words}" for n in range(CHUNKS_A_PART * 2)], department=library, language="zh"
        )
        for query in ("?q=借书规则", "?in=借书规则", "?part=2&q=借书"):
            answer = client.get(reverse("document", args=[made.pk]) + query)
            assert len(answer.content) < 300_000, query

    def test_a_long_outline_is_that_of_where_one_is(self, client: Client, text: MakeText, library: Department) -> None:
        made = text("Quills", [f"Text {n}." for n in range(OUTLINE_LENGTH * 2)], department=library)
        page = page_of(client, made, "?page=120")
        assert "Part 118" in page
        assert "Part 20<" not in page
        assert "some of its sections" in page

    def test_where_passages_name_no_sections_the_files_own_outline_is_shown(
        self, client: Client, document: MakeDocument, library: Department
    ) -> None:
        made = document("Quills", department=library, outline=[[1, "Cutting", 1], [2, "By hand", 4]])
        chunk_row(made, ChunkDraft(0, "Cut it.", 1, "")).save()
        page = page_of(client, made)
        assert "By hand" in page
        assert 'href="?page=4#page-4"' in page

    def test_curators_are_led_to_its_versions_and_nobody_else(
        self, client: Client, text: MakeText, person: MakePerson, library: Department
    ) -> None:
        made = text("Quills", ["Cut it."], department=library)
        versions = reverse("admin:ingestion_document_versions", args=[made.pk])
        assert versions not in page_of(client, made)
        librarian = person("staff", departments=(library,))
        librarian.groups.add(Group.objects.get(name=LIBRARIANS))
        client.force_login(librarian)
        assert versions in page_of(client, made)


class TestFinding:
    def test_names_each_place_with_its_page_and_leads_there(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        made = text("Quills", ["Cut the quill.", "Dip it.", "Quills & quill <b>s</b>."], department=library)
        page = page_of(client, made, "?in=quill&q=feather")
        third = Chunk.objects.get(document=made, position=2)
        assert "“quill” stands here 3 times" in page
        assert f"?page=3&amp;passage={third.pk}&amp;q=feather&amp;in=quill#passage" in page
        assert "<mark>Quill</mark>s &amp; quill &lt;b&gt;s&lt;/b&gt;." in page
        assert "Cut the <mark>quill</mark>." in page
        assert '<input type="hidden" name="q" value="feather">' in page

    def test_says_when_it_is_not_there(self, client: Client, text: MakeText, library: Department) -> None:
        made = text("Quills", ["Cut the quill."], department=library)
        assert "“ink” does not stand in this document" in page_of(client, made, "?in=ink")
        assert "places-heading" not in page_of(client, made, "?in=%20%3F")

    def test_finds_nothing_in_what_is_hidden(self, client: Client, text: MakeText, library: Department) -> None:
        hidden = text("Secret", ["The hidden drawer."], department=library, clearance=4)
        answer = client.get(reverse("document", args=[hidden.pk]), {"in": "drawer"})
        assert answer.status_code == 404
        assert b"drawer" not in answer.content


class TestStretches:
    @pytest.fixture
    def made(self, text: MakeText, library: Department) -> Document:
        return text("Quills", ["Cut it."], department=library, **PDF)

    def ask(self, client: Client, document: Document, asked: str, **headers: str) -> tuple[int, bytes, str]:
        """Status, body and Content-Range."""
        answer = client.get(reverse("document-file", args=[document.pk]), headers={"Range": asked, **headers})
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Content-Disposition"].startswith("attachment")
        assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer["Cache-Control"] == "private, no-store"
        return answer.status_code, body, answer.get("Content-Range", "")

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ("bytes=2-5", (206, b"2345", "bytes 2-5/10")),
            ("bytes=7-", (206, b"789", "bytes 7-9/10")),
            ("bytes=-2", (206, b"89", "bytes 8-9/10")),
            ("bytes=10-", (416, b"", "bytes */10")),
            ("bytes=0-1,4-5", (200, b"0123456789", "")),
            ("pages=1-2", (200, b"0123456789", "")),
        ],
    )
    def test_one_stretch_is_sent(
        self, client: Client, made: Document, asked: str, said: tuple[int, bytes, str]
    ) -> None:
        assert self.ask(client, made, asked) == said

    def test_of_a_file_that_was_replaced_the_whole_is_sent(self, client: Client, made: Document) -> None:
        whole = client.get(reverse("document-file", args=[made.pk]))
        assert whole["Accept-Ranges"] == "bytes"
        assert self.ask(client, made, "bytes=2-5", **{"If-Range": whole["ETag"]})[0] == 206
        assert self.ask(client, made, "bytes=2-5", **{"If-Range": '"another"'})[0] == 200

    def test_of_a_hidden_file_nothing_is_said(self, client: Client, text: MakeText, library: Department) -> None:
        hidden = text("Secret", [], department=library, clearance=4)
        answer = client.get(reverse("document-file", args=[hidden.pk]), headers={"Range": "bytes=0-1"})
        assert answer.status_code == 404
        assert "Content-Range" not in answer

    def test_going_on_in_a_file_is_counted_apart_from_pages(
        self, client: Client, made: Document, settings: Settings
    ) -> None:
        settings.THROTTLE_FACTOR = 0.05
        address = reverse("document-file", args=[made.pk])
        begun = [client.get(address, headers={"Range": "bytes=0-1"}).status_code for _ in range(4)]
        assert begun == [206, 206, 206, 429]
        going_on = [client.get(address, headers={"Range": "bytes=1-2"}).status_code for _ in range(21)]
        assert going_on == [206] * 20 + [429]

    @pytest.mark.parametrize("api", [False, True])
    @pytest.mark.parametrize(
        "headers",
        [
            {"Range": "bytes=1-"},
            {"Range": "bytes=1-9"},
            {"Range": "bytes=-9"},
            {"Range": "bytes=1-2,0-"},
            {"Range": "bytes=5-2"},
            {"Range": "bytes=1-9", "If-Range": '"another"'},
        ],
    )
    def test_nobody_reads_past_the_trail(
        self, client: Client, made: Document, headers: dict[str, str], api: bool
    ) -> None:
        address = f"/api/v1/documents/{made.pk}/file/" if api else reverse("document-file", args=[made.pk])
        assert client.get(address, headers=headers).status_code in (200, 206)
        assert AuditEvent.objects.filter(action=DOWNLOADED, details__document=str(made.pk)).count() == 1

    def test_a_viewer_that_goes_on_is_one_reading(self, client: Client, made: Document) -> None:
        address = reverse("document-file", args=[made.pk])
        for asked in ("bytes=0-3", "bytes=4-6", "bytes=7-9"):
            assert client.get(address, headers={"Range": asked}).status_code == 206
        assert AuditEvent.objects.filter(action=DOWNLOADED).count() == 1

    def test_only_what_can_be_nothing_but_a_stretch_is_counted_as_one(
        self, client: Client, made: Document, settings: Settings
    ) -> None:
        settings.THROTTLE_FACTOR = 0.05
        address = reverse("document-file", args=[made.pk])
        answers = [client.get(address, headers={"Range": "bytes=1-2,0-"}).status_code for _ in range(4)]
        assert answers == [200, 200, 200, 429]


class TestCitation:
    @pytest.mark.parametrize(
        ("wanted", "content_type", "said"),
        [
            ("bibtex", "application/x-bibtex", "@techreport{"),
            ("ris", "application/x-research-info-systems", "TI  - Quills"),
            ("text", "text/plain", "Library (n.d.). Quills. Guide. http://testserver/documents/"),
        ],
    )
    def test_in_each_form(
        self, client: Client, text: MakeText, library: Department, wanted: str, content_type: str, said: str
    ) -> None:
        made = text("Quills", [], department=library)
        answer = client.get(reverse("document-cite", args=[made.pk]), {"format": wanted})
        assert answer["Content-Type"] == f"{content_type}; charset=utf-8"
        assert said in answer.content.decode()

    def test_of_what_is_hidden_or_in_no_form_there_is_none(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        made, hidden = text("Quills", [], department=library), text("Secret", [], department=library, clearance=4)
        assert client.get(reverse("document-cite", args=[made.pk]), {"format": "docx"}).status_code == 404
        assert client.get(reverse("document-cite", args=[hidden.pk])).status_code == 404


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def _wherever_text_stands(payload: str) -> str:
    table = f"| {payload} | b |\n| --- | --- |\n| {payload} | d |"
    forms = (f"# {payload}", payload, f"- {payload}", f"1. {payload}", table, f"```\n{payload}\n```", f"    {payload}")
    return "\n\n".join(forms)


@pytest.mark.parametrize("mime_type", ["text/html", "application/pdf"])
def test_what_somebody_wrote_becomes_no_element_and_no_attribute(
    client: Client, text: MakeText, library: Department, mime_type: str
) -> None:
    """Each payload as title, file name, author, key word, section, outline, text, query and what is looked for."""
    attacked = text(
        "Quills",
        [_wherever_text_stands(payload) for payload in PAYLOADS],
        department=library,
        authors=list(PAYLOADS),
        mime_type=mime_type,
        language='"><b x="',
    )
    attacked.tags.set([Tag.objects.create(name=payload[:60]) for payload in PAYLOADS])
    for position, payload in enumerate(PAYLOADS):
        chunk = Chunk.objects.get(document=attacked, position=position)
        Chunk.objects.filter(pk=chunk.pk).update(section_title=payload)
        Document.objects.filter(pk=attacked.pk).update(title=payload, file_name=f"{payload}.html")
        asked = {"passage": chunk.pk, "page": position + 1, "q": payload, "department": payload}
        if position % 2:
            asked["in"] = payload
        answer = client.get(reverse("document", args=[attacked.pk]), asked)
        assert answer.status_code == 200
        for tag, attributes in Elements(answer.content.decode()).found:
            _check(tag, attributes)


def _check(tag: str, attributes: dict[str, str]) -> None:
    """An element of the portal's own templates: nothing runs in it, and nothing leads out of the portal."""
    assert tag in ALLOWED, (tag, attributes)
    running = [name for name in attributes if name.startswith("on") or name in ("style", "srcdoc", "formaction")]
    assert not running, (tag, attributes)
    for name in ("href", "src", "action", "data-file", "data-script", "data-worker"):
        assert re.match(r"[/?#]|$", attributes.get(name, "")), attributes
    if tag == "script":
        assert attributes["nonce"]
        assert attributes["src"].startswith("/static/")


ALLOWED = frozenset(
    {
        "html", "head", "meta", "title", "link", "script", "body", "a", "header", "div", "span", "main", "footer", "p",
        "nav", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "details", "summary", "button", "aside", "dl",
        "dt", "dd", "time", "form", "label", "input", "output", "section", "mark", "table", "thead", "tr", "th", "td",
        "pre", "code",
    }
)  # fmt: skip
"""The elements of which a document's page is made."""
