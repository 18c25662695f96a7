"""The pages as they are served: who gets what, how errors are worded, and what must never differ."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from accounts.clearance import LIBRARIANS
from accounts.models import Department
from ingestion import pipeline
from ingestion.chunking import ChunkDraft
from ingestion.chunkrows import chunk_row
from ingestion.models import Chunk, Document
from portal.tests.conftest import MakeDocument, MakePerson
from search.models import SearchEvent

pytestmark = pytest.mark.django_db

FORBIDDEN_PATHS = ("document", "document-file")
MakeText = Callable[..., Document]


@pytest.fixture(autouse=True)
def unbuilt_static_files(settings: Settings) -> None:
    """Pages link static files by their plain names: collecting them is the start's business, not the tests'."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture(autouse=True)
def own_media(settings: Settings, tmp_path: Path) -> None:
    """Originals go where they do no harm."""
    default = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": default}


@pytest.fixture
def text(document: MakeDocument) -> MakeText:
    """Makes a served document with text and an original: `text("Title", ["chunk"], department=library)`."""

    def make(
        title: str, texts: list[str], *, original: bytes = b"original", file_name: str = "", **more: object
    ) -> Document:
        made = document(title, **{"file_name": file_name or f"{title}.md", **more})
        made.sha256 = hashlib.sha256(original).hexdigest()
        made.file.save("original", ContentFile(original))
        for position, one in enumerate(texts):
            chunk_row(made, ChunkDraft(position, one, position + 1, f"{title} > Part {position + 1}")).save()
        return made

    return make


def page_of(client: Client, document: Document, query: str = "") -> str:
    """The HTML of a document's page, which must be there."""
    answer = client.get(reverse("document", args=[document.pk]) + query)
    assert answer.status_code == 200
    return str(answer.content.decode())


class TestSearchPage:
    def test_starts_with_examples_and_an_invitation_to_sign_in(self, client: Client) -> None:
        answer = client.get("/")
        assert answer.status_code == 200
        assert 'class="examples"' in answer.content.decode()
        assert "You search what is public." in answer.content.decode()

    def test_says_who_is_signed_in_and_what_they_may_see(
        self, client: Client, person: MakePerson, finance: Department
    ) -> None:
        client.force_login(person("staff", departments=(finance,)))
        assert "staff · level 3" in client.get("/").content.decode()

    def test_staff_without_a_department_are_told_the_level_that_they_really_have(
        self, client: Client, person: MakePerson
    ) -> None:
        client.force_login(person("staff"))
        assert "staff · level 2" in client.get("/").content.decode()

    def test_shows_hits_with_marked_words_and_keeps_filters_in_every_link(
        self, client: Client, text: MakeText, library: Department, finance: Department
    ) -> None:
        text("Quill care", ["A quill is cut anew each term."], department=library)
        text("Quill budget", ["The quill budget is set each term."], department=finance)
        answer = client.get("/search/", {"q": "quill", "department": "Library", "mode": "keyword"})
        page = answer.content.decode()
        assert "Quill care" in page
        assert "Quill budget" not in page
        assert "<mark>quill</mark>" in page
        assert '<input type="hidden" form="search-form" name="department" value="Library">' in page
        assert 'href="/search/?q=quill&amp;mode=keyword"' in page  # the chip, which takes the filter away

    def test_filters_among_the_words_become_those_beside_them(
        self, client: Client, text: MakeText, library: Department, finance: Department
    ) -> None:
        text("Quill care", ["A quill is cut anew each term."], department=library)
        text("Quill budget", ["The quill budget is set each term."], department=finance)
        page = client.get("/search/", {"q": "quill dept:lib", "mode": "keyword"}).content.decode()
        assert "Quill care" in page
        assert "Quill budget" not in page
        assert '<input type="hidden" form="search-form" name="department" value="Library">' in page
        assert 'href="/search/?q=quill&amp;mode=keyword"' in page
        assert 'value="quill"' in page
        asked = SearchEvent.objects.get()
        assert (asked.query, asked.filters) == ("quill", {"department": ["Library"]})
        listed = client.get("/search/", {"q": "", "department": "Finance"}).content.decode()
        assert "Quill budget" in listed
        assert "Quill care" not in listed

    def test_answers_htmx_with_the_part_below_the_field_alone(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        text("Quill care", ["A quill is cut anew each term."], department=library)
        answer = client.get("/search/", {"q": "quill", "mode": "keyword"}, headers={"HX-Request": "true"})
        page = answer.content.decode()
        assert "Quill care" in page
        assert "<html" not in page
        assert "<title>quill – Cloister</title>" in page
        assert "HX-Request" in answer["Vary"]
        assert "no-store" in answer["Cache-Control"]

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            ("x" * 501, "at most 500 characters; this one has 501"),
            ("?!…", "There is no word in this query"),
            ("\0\0", "Type what you are looking for"),
        ],
    )
    def test_says_why_words_cannot_be_searched_for(self, client: Client, words: str, sentence: str) -> None:
        answer = client.get("/search/", {"q": words})
        assert answer.status_code == 400
        assert sentence in answer.content.decode()

    def test_names_the_filter_that_is_wrong(self, client: Client) -> None:
        answer = client.get("/search/", {"q": "quill", "reviewed_after": "yesterday"})
        assert answer.status_code == 400
        assert "reviewed_after: Give a date as YYYY-MM-DD." in answer.content.decode()

    @pytest.mark.parametrize("words", ["'; DROP TABLE ingestion_document", "<script>alert(1)</script>", "%%s {{ 1 }}"])
    def test_takes_dangerous_looking_words_for_words(self, client: Client, words: str) -> None:
        answer = client.get("/search/", {"q": words, "mode": "keyword"})
        assert answer.status_code == 200
        assert "<script>alert" not in answer.content.decode()

    def test_says_so_when_only_words_answer(
        self, client: Client, settings: Settings, text: MakeText, library: Department
    ) -> None:
        text("Quill care", ["A quill is cut anew each term."], department=library)
        settings.OLLAMA_URLS = ["http://127.0.0.1:9"]
        page = client.get("/search/", {"q": f"quill {uuid.uuid4().hex}"}).content.decode()
        assert "Answers are by words only at the moment" in page

    def test_helps_when_nothing_is_found(self, client: Client) -> None:
        page = client.get("/search/", {"q": "zzzzqqq", "mode": "keyword", "campus": "Atlantis"}).content.decode()
        assert "Nothing that you may see answers" in page
        assert "Search without the filter Campus: Atlantis" in page
        assert "Sign in" in page

    def test_offers_the_way_back_from_a_page_that_does_not_exist(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        text("Quill care", ["A quill is cut anew each term."], department=library)
        page = client.get("/search/", {"q": "quill", "mode": "keyword", "page": "9"}).content.decode()
        assert "There is no such page of results" in page

    def test_takes_no_writes(self, client: Client) -> None:
        assert client.post("/search/", {"q": "quill"}).status_code == 405


class TestClosedPortal:
    @pytest.fixture(autouse=True)
    def closed(self, settings: Settings) -> None:
        settings.PUBLIC_SEARCH = False

    def test_sends_everybody_to_sign_in_whether_the_document_exists_or_not(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        known = text("Quill care", ["A quill."], department=library).pk
        for pk in (known, uuid.uuid4()):
            for name in FORBIDDEN_PATHS:
                path = reverse(name, args=[pk])
                assert client.get(path)["Location"] == f"/accounts/login/?next={path}"
        assert client.get("/search/?q=quill")["Location"] == "/accounts/login/?next=/search/%3Fq%3Dquill"

    def test_lets_those_in_who_are_signed_in(self, client: Client, person: MakePerson) -> None:
        client.force_login(person("student"))
        assert client.get("/").status_code == 200


class TestForbiddenIsUnknown:
    @pytest.mark.parametrize("name", FORBIDDEN_PATHS)
    @pytest.mark.parametrize(
        "hidden",
        [{"clearance": 3}, {"audience": "department"}, {"is_searchable": False}],
        ids=["above the clearance", "of another department", "not served"],
    )
    def test_the_answers_do_not_differ_in_a_byte(
        self, client: Client, text: MakeText, person: MakePerson, library: Department, finance: Department,
        name: str, hidden: dict[str, object],
    ) -> None:  # fmt: skip
        forbidden = text("Secret quills", ["Where the quills are."], department=library, **hidden)
        client.force_login(person("student", departments=(finance,)))
        answers = [client.get(reverse(name, args=[pk])) for pk in (forbidden.pk, uuid.uuid4())]
        assert [one.status_code for one in answers] == [404, 404]
        token = re.compile(rb'(name="csrfmiddlewaretoken" value=)"\w{64}"')  # drawn anew for each answer
        pages = [token.sub(rb"\1", one.content) for one in answers]
        assert pages[0] == pages[1]
        headers = [{name: value for name, value in one.items() if name != "X-Request-ID"} for one in answers]
        assert headers[0] == headers[1]

    def test_a_change_of_role_holds_from_the_next_request_on(
        self, client: Client, text: MakeText, person: MakePerson, finance: Department
    ) -> None:
        staff = person("staff", departments=(finance,))
        secret = text("Secret quills", ["Where the quills are."], department=finance, clearance=3)
        client.force_login(staff)
        page_of(client, secret)
        staff.role = "student"
        staff.save()
        assert client.get(reverse("document", args=[secret.pk])).status_code == 404


class TestDocumentPage:
    def test_shows_the_text_by_page_with_what_is_known_of_it(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        made = text("Quill care", ["# Cutting\n\nCut it.", "# Ink\n\nDip it."], department=library, language="en")
        page = page_of(client, made)
        assert 'id="page-1"' in page
        assert 'id="page-2"' in page
        assert "Dip it." in page
        assert "English" in page
        assert reverse("document-file", args=[made.pk]) in page

    def test_opens_at_the_page_and_marks_the_words(self, client: Client, text: MakeText, library: Department) -> None:
        made = text("Quill care", ["Cut the quill.", "Dip the quill."], department=library)
        page = page_of(client, made, "?page=2&q=quill&department=Library")
        assert 'class="page opened" id="page-2"' in page
        assert "Dip the <mark>quill</mark>." in page
        assert 'href="/search/?q=quill&amp;department=Library"' in page  # the way back, filters and all

    def test_opens_at_the_passage_that_was_found(self, client: Client, text: MakeText, library: Department) -> None:
        made = text("Quill care", ["Cut the quill.", "Dip the quill."], department=library)
        second = Chunk.objects.get(document=made, position=1)
        page = page_of(client, made, f"?page=2&passage={second.pk}")
        assert page.count('id="passage"') == 1
        assert page.index("opened-passage") < page.index("Dip the quill.")

    @pytest.mark.parametrize("damaged", ["page=0", "page=-1", "page=x", "page=99999", "passage=9", "part=77", "q=%3F"])
    def test_a_damaged_address_opens_at_the_beginning(
        self, client: Client, text: MakeText, library: Department, damaged: str
    ) -> None:
        made = text("Quill care", ["Cut the quill."], department=library)
        assert "Cut the quill." in page_of(client, made, f"?{damaged}")

    def test_a_long_document_is_read_in_parts_and_opens_at_the_right_one(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        made = text("Quills", [f"Quill number {n} of the drawer." for n in range(130)], department=library)
        assert "Quill number 0 of" in page_of(client, made)
        assert "Part 1 of 3" in page_of(client, made)
        third = page_of(client, made, "?page=125")
        assert "Quill number 124 of" in third
        assert "Part 3 of 3" in third

    def test_markup_in_title_section_and_text_stays_text(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        attack = "<script>alert(1)</script><img src=x onerror=alert(1)>"
        table = f"| {attack} | b |\n| --- | --- |\n| {attack} | d |"
        body = f"# {attack}\n\n{attack}\n\n- {attack}\n\n{table}\n\n```\n{attack}\n```"
        made = text(attack, [body], department=library, file_name=f"{attack}.html")
        page = page_of(client, made, "?q=alert")
        assert "<script>" not in page
        assert "<img" not in page

    def test_a_curator_sees_state_and_failure_and_others_do_not_see_the_document(
        self, client: Client, text: MakeText, person: MakePerson, library: Department
    ) -> None:
        broken = text(
            "Broken quills", [], department=library, status="failed", error="The file is broken.", is_searchable=False
        )
        librarian = person("staff", departments=(library,))
        librarian.groups.add(Group.objects.get(name=LIBRARIANS))
        client.force_login(librarian)
        page = page_of(client, broken)
        assert "The file is broken." in page
        assert "There is no text to show yet." in page
        client.force_login(person("staff", departments=(library,)))
        assert client.get(reverse("document", args=[broken.pk])).status_code == 404


class TestOriginal:
    def test_comes_as_a_download_that_nothing_can_run_in(
        self, client: Client, text: MakeText, library: Department
    ) -> None:
        made = text("Quills", [], department=library, original=b"<script>1</script>", file_name="quills.html")
        Document.objects.filter(pk=made.pk).update(mime_type="text/html")
        answer = client.get(reverse("document-file", args=[made.pk]))
        assert b"".join(answer.streaming_content) == b"<script>1</script>"
        assert answer["Content-Disposition"] == 'attachment; filename="quills.html"'
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer["Cache-Control"] == "private, no-store"

    @pytest.mark.parametrize(
        ("file_name", "header"),
        [
            ("Gebühren.pdf", "attachment; filename*=utf-8''Geb%C3%BChren.pdf"),
            ('a"b.pdf', 'attachment; filename="a_b.pdf"'),
            ("a\r\nSet-Cookie: x=1.pdf", 'attachment; filename="aSet-Cookie_ x=1.pdf"'),
            ("../../etc/passwd", 'attachment; filename="_.._etc_passwd"'),
            ("gpj.\u202efdp.exe", 'attachment; filename="gpj.fdp.exe"'),
            ("...", 'attachment; filename="document"'),
        ],
    )
    def test_has_a_name_that_harms_neither_header_nor_disk(
        self, client: Client, text: MakeText, library: Department, file_name: str, header: str
    ) -> None:
        made = text("Quills", [], department=library, file_name=file_name)
        assert client.get(reverse("document-file", args=[made.pk]))["Content-Disposition"] == header

    def test_is_not_found_when_the_storage_lost_it(self, client: Client, text: MakeText, library: Department) -> None:
        made = text("Quills", [], department=library)
        made.file.storage.delete(made.file.name)
        assert client.get(reverse("document-file", args=[made.pk])).status_code == 404


class TestSignIn:
    def test_shows_the_demo_sign_ins_in_demo_mode_only(self, client: Client, settings: Settings) -> None:
        settings.DEMO_MODE, settings.DEMO_PASSWORD = True, "heather-and-slate"
        assert "heather-and-slate" in client.get("/accounts/login/").content.decode()
        settings.DEMO_MODE = False
        page = client.get("/accounts/login/").content.decode()
        assert "heather-and-slate" not in page
        assert "librarian" not in page

    def test_leads_back_to_where_one_wanted_to_go_and_never_elsewhere(self, client: Client, person: MakePerson) -> None:
        user = person("student")
        for wanted, landed in (("/search/?q=quill", "/search/?q=quill"), ("https://evil.example/", "/search/")):
            answer = client.post(
                "/accounts/login/", {"username": user.username, "password": "correct-horse-battery", "next": wanted}
            )
            assert answer["Location"] == landed
            client.post("/accounts/logout/")

    def test_signing_out_takes_a_post(self, client: Client, person: MakePerson) -> None:
        client.force_login(person("student"))
        assert client.get("/accounts/logout/").status_code == 405
        assert "Sign out" in client.get("/").content.decode()
        client.post("/accounts/logout/")
        assert "Sign out" not in client.get("/").content.decode()


@pytest.mark.parametrize(
    "template", ["400.html", "403.html", "403_csrf.html", "404.html", "405.html", "500.html", "503.html"]
)
def test_error_pages_need_neither_request_nor_database(
    template: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        page = render_to_string(template)
    assert "<h1>" in page
    assert "To the search" in page


def test_a_document_from_upload_to_page(
    client: Client, person: MakePerson, library: Department, text: MakeText
) -> None:
    """The real pipeline's chunks read as one text: nothing twice, nothing lost."""
    sentences = [f"Sentence {n} says how drawer {n} of the quill cabinet is opened and closed." for n in range(80)]
    body = "# Cabinet\n\n" + "\n\n".join(" ".join(sentences[start : start + 8]) for start in range(0, 80, 8))
    made = text("Cabinet", [], department=library, original=body.encode(), file_name="cabinet.md", status="queued")
    Document.objects.filter(pk=made.pk).update(is_searchable=False)
    pipeline.ingest(made.pk)
    made.refresh_from_db()
    assert made.status == "ready", made.error
    assert made.chunk_count > 1
    page = page_of(client, made)
    for sentence in sentences:
        assert page.count(sentence) == 1, sentence
