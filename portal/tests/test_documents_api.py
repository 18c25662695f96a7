"""`/api/v1/documents/…`: list, upload, change, archive, retry, original, chunks (DESIGN, section 5)."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.clearance import LIBRARIANS
from accounts.models import Campus, Department, User
from ingestion import pipeline
from ingestion.models import Document, Status
from portal.tests.conftest import MakeDocument, MakePerson
from search.tests.corpus import write

pytestmark = pytest.mark.django_db

KEYS = [
    "id", "title", "status", "progress", "error", "department", "campus", "doc_type", "clearance", "audience",
    "shared_with", "language", "priority", "tags", "last_reviewed", "chunk_count", "page_count", "file_name", "sha256",
    "created_at", "updated_at", "url",
]  # fmt: skip
TEXT = b"# Gymnasium\n\nThe gymnasium opens at six in the morning and closes at ten in the evening.\n"
DOCUMENTS = "/api/v1/documents/"


@pytest.fixture(autouse=True)
def apart(settings: Settings, tmp_path: Path) -> None:
    """Originals go to a folder of the test; everybody has all the requests of a minute."""
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": storage}
    cache.clear()


@pytest.fixture
def desk(client: Client, librarian: User) -> Client:
    """A librarian's client."""
    client.force_login(librarian)
    return client


def upload(client: Client, content: bytes = TEXT, *, name: str = "gym.md", **fields: Any) -> Any:
    given = {"department": "Library", "doc_type": "guide"} | fields
    return client.post(DOCUMENTS, {"file": SimpleUploadedFile(name, content), **given})


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem that an answer must be."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer["X-Request-ID"]
    return body


class TestUpload:
    def test_it_answers_202_with_the_document_and_the_workers_do_the_rest(self, desk: Client, librarian: User) -> None:
        campus = Campus.objects.create(name="Main")
        answer = upload(
            desk, title="The gym", campus="Main", clearance=2, audience="institution", language="en", priority=4,
            tags=["sport"], last_reviewed="2025-08-15", shared_with=["Library"],
        )  # fmt: skip
        assert answer.status_code == 202
        body = answer.json()
        assert list(body) == KEYS
        assert answer["Location"] == f"{DOCUMENTS}{body['id']}/"
        assert body | {"id": "", "created_at": "", "updated_at": "", "url": ""} == {
            "id": "", "title": "The gym", "status": "queued", "progress": 0, "error": "", "department": "Library",
            "campus": "Main", "doc_type": "guide", "clearance": 2, "audience": "institution",
            "shared_with": ["Library"], "language": "en", "priority": 4, "tags": ["sport"],
            "last_reviewed": "2025-08-15", "chunk_count": 0, "page_count": 0, "file_name": "gym.md",
            "sha256": hashlib.sha256(TEXT).hexdigest(), "created_at": "", "updated_at": "", "url": "",
        }  # fmt: skip
        document = Document.objects.get(pk=body["id"])
        assert (document.owner, document.campus, [tag.name for tag in document.tags.all()]) == (
            librarian,
            campus,
            ["sport"],
        )

        pipeline.ingest(document.pk)
        ready = desk.get(answer["Location"]).json()
        assert (ready["status"], ready["progress"], ready["chunk_count"]) == ("ready", 100, 1)
        assert ready["url"] == f"/documents/{document.pk}/"
        (chunk,) = desk.get(f"{answer['Location']}chunks/").json()["results"]
        assert set(chunk) == {"id", "position", "page_number", "section_title", "text"}
        assert "gymnasium opens at six" in chunk["text"]
        stored = desk.get(f"{answer['Location']}file/")
        assert b"".join(stored.streaming_content) == TEXT
        assert stored["Content-Disposition"] == 'attachment; filename="gym.md"'
        assert stored["X-Content-Type-Options"] == "nosniff"
        found = desk.get("/api/v1/search/", {"q": "When does the gym open?"}).json()
        assert found["results"][0]["document"]["id"] == body["id"]

    def test_left_out_it_is_as_restricted_as_the_uploader_may_set(self, desk: Client) -> None:
        body = upload(desk).json()
        assert (body["clearance"], body["audience"], body["shared_with"]) == (3, "department", [])

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"department": "Nowhere"}, "department"), ({"department": ""}, "department"),
            ({"department": "Finance"}, "department"), ({"doc_type": "novel"}, "doc_type"),
            ({"clearance": 9}, "clearance"), ({"clearance": "x"}, "clearance"), ({"audience": "world"}, "audience"),
            ({"tags": ["x" * 61]}, "tags"), ({"tags": ["one, two"]}, "tags"),
            ({"tags": [str(number) for number in range(31)]}, "tags"),
            ({"shared_with": ["Nowhere"]}, "shared_with"), ({"priority": 6}, "priority"),
            ({"campus": "Moon"}, "campus"), ({"last_reviewed": "15.8.25"}, "last_reviewed"),
            ({"title": "x" * 301}, "title"),
            ({"department": "a\0b"}, "department"), ({"tags": ["a\0b"]}, "tags"), ({"title": "a\0b"}, "title"),
            ({"language": "english!!"}, "language"),
        ],
    )  # fmt: skip
    def test_a_wrong_field_is_named_and_nothing_is_kept(
        self, desk: Client, finance: Department, tmp_path: Path, fields: dict[str, Any], field: str
    ) -> None:
        assert list(problem(upload(desk, **fields), 400)["errors"]) == [field]
        assert not Document.objects.exists()
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_without_a_file_or_with_an_empty_one_it_says_so(self, desk: Client) -> None:
        answer = desk.post(DOCUMENTS, {"department": "Library", "doc_type": "guide"})
        assert list(problem(answer, 400)["errors"]) == ["file"]
        assert "is empty" in problem(upload(desk, b""), 400)["errors"]["file"][0]

    def test_a_file_that_is_too_large_is_a_413(self, desk: Client, settings: Settings, tmp_path: Path) -> None:
        settings.MAX_UPLOAD_BYTES = 1000
        assert "larger than" in problem(upload(desk, b"x" * 1001), 413)["detail"]
        answer = desk.post(DOCUMENTS, b"x" * 2_000_000, content_type="multipart/form-data; boundary=x")
        assert "at most" in problem(answer, 413)["detail"]
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_the_same_file_again_is_a_409_that_names_the_first(self, desk: Client) -> None:
        first = upload(desk).json()
        assert problem(upload(desk, name="other.md"), 409)["existing"] == first["id"]
        assert Document.objects.count() == 1

    def test_a_twin_that_the_uploader_may_not_know_of_is_not_betrayed(
        self, desk: Client, finance: Department, document: MakeDocument
    ) -> None:
        document("Hidden", department=finance, clearance=4, sha256=hashlib.sha256(TEXT).hexdigest())
        assert upload(desk).status_code == 202

    def test_nobody_sets_a_clearance_above_their_own(self, desk: Client) -> None:
        body = problem(upload(desk, clearance=4), 403)
        assert (body["required"], body["current"]) == (4, 3)
        assert not Document.objects.exists()

    @pytest.mark.parametrize("role", ["student", "staff", "academic"])
    def test_only_curators_upload(self, client: Client, person: MakePerson, library: Department, role: str) -> None:
        client.force_login(person(role, departments=(library,)))
        body = problem(upload(client), 403)
        assert (body["required"], body["current"]) == ("librarian", role)

    def test_the_anonymous_are_asked_to_sign_in(self, client: Client, library: Department) -> None:
        answer = upload(client)
        problem(answer, 401)
        assert answer["WWW-Authenticate"].startswith("Bearer")

    def test_an_administrator_uploads_for_every_department(
        self, client: Client, person: MakePerson, finance: Department
    ) -> None:
        client.force_login(person("admin"))
        assert upload(client, department="Finance", clearance=4).json()["clearance"] == 4

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd.md", "a\x00b\r\nSet-Cookie: x.md", "‮dm.md", "图书 馆.md", 'q"q.md']
    )
    def test_a_strange_file_name_is_harmless(self, desk: Client, name: str, tmp_path: Path) -> None:
        body = upload(desk, name=name).json()
        assert "/" not in body["file_name"]
        assert body["file_name"].isprintable()
        answer = desk.get(f"{DOCUMENTS}{body['id']}/file/")
        assert answer.status_code == 200
        assert answer["Content-Disposition"].startswith("attachment")
        stored = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(stored) == 1

    @pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
    def test_other_kinds_of_body_are_a_415(self, desk: Client, kind: str) -> None:
        problem(desk.post(DOCUMENTS, b"{}", content_type=kind), 415)

    def test_a_form_that_is_none_is_a_400(self, desk: Client) -> None:
        problem(desk.post(DOCUMENTS, b"rubbish", content_type="multipart/form-data"), 400)
        answer = desk.post(DOCUMENTS, b"rubbish", content_type="multipart/form-data; boundary=x")
        assert "file" in problem(answer, 400)["errors"]

    def test_a_form_with_thousands_of_fields_is_a_400(self, desk: Client) -> None:
        problem(desk.post(DOCUMENTS, {f"field{number}": "x" for number in range(1100)}), 400)


class TestList:
    def test_newest_first_in_pages_that_neither_overlap_nor_lose(
        self, client: Client, document: MakeDocument, library: Department
    ) -> None:
        made = [str(document(f"Number {number}", department=library).pk) for number in range(7)]
        seen, address, pages = [], f"{DOCUMENTS}?page_size=3", 0
        while address:
            body = client.get(address).json()
            assert set(body) == {"next", "previous", "results"}
            seen += [one["id"] for one in body["results"]]
            address, pages = body["next"], pages + 1
        assert seen == made[::-1]
        assert pages == 3
        assert list(body["results"][0]) == KEYS

    def test_curators_also_see_what_they_manage(
        self, desk: Client, document: MakeDocument, library: Department, finance: Department
    ) -> None:
        document("Public", department=finance)
        document("Failed", department=library, status="failed", is_searchable=False)
        document("Failed elsewhere", department=finance, status="failed", is_searchable=False)
        document("Restricted", department=library, clearance=4)
        assert {one["title"] for one in desk.get(DOCUMENTS).json()["results"]} == {"Public", "Failed"}
        assert [one["title"] for one in Client().get(DOCUMENTS).json()["results"]] == ["Public"]

    def test_a_list_takes_the_same_statements_however_long_it_is(
        self, client: Client, document: MakeDocument, library: Department, django_assert_max_num_queries
    ) -> None:
        for number in range(12):
            document(f"Number {number}", department=library, shared_with=(library,))
        with django_assert_max_num_queries(4):
            assert len(client.get(DOCUMENTS).json()["results"]) == 12

    def test_a_wrong_cursor_is_a_404_and_a_wrong_size_the_usual_one(self, client: Client, db: None) -> None:
        problem(client.get(f"{DOCUMENTS}?cursor=rubbish"), 404)
        assert client.get(f"{DOCUMENTS}?page_size=x").status_code == 200


class TestChange:
    @pytest.fixture
    def loans(self, document: MakeDocument, library: Department) -> Document:
        made = document("Loans", department=library, audience="department", clearance=2)
        write(made, "You may borrow twenty books.", embedded=False)
        Document.objects.filter(pk=made.pk).update(recipe=pipeline.recipe_of(made))
        return made

    def patch(self, client: Client, document: Document, **changes: Any) -> Any:
        return client.patch(f"{DOCUMENTS}{document.pk}/", changes, content_type="application/json")

    def test_what_is_sent_changes_and_the_rest_stays(self, desk: Client, loans: Document, finance: Department) -> None:
        before = desk.get(f"{DOCUMENTS}{loans.pk}/").json()
        answer = self.patch(
            desk, loans, title="Borrowing", clearance=3, priority=5, tags=["reading"], shared_with=["Finance"],
            last_reviewed="2025-08-15", campus=None,
        )  # fmt: skip
        assert answer.status_code == 200
        changed = {
            "title": "Borrowing", "clearance": 3, "priority": 5, "tags": ["reading"], "shared_with": ["Finance"],
            "last_reviewed": "2025-08-15",
        }  # fmt: skip
        after = answer.json()
        assert after | {"updated_at": "", "status": "", "progress": 0} == before | changed | {
            "updated_at": "", "status": "", "progress": 0,
        }  # fmt: skip
        assert after == desk.get(f"{DOCUMENTS}{loans.pk}/").json()

    def test_access_holds_from_the_next_request(
        self, desk: Client, loans: Document, person: MakePerson, library: Department
    ) -> None:
        reader = Client()
        reader.force_login(person("student", departments=(library,)))
        assert reader.get(f"{DOCUMENTS}{loans.pk}/").status_code == 200
        assert self.patch(desk, loans, clearance=3).status_code == 200
        for address in ("", "file/", "chunks/", "similar/"):
            problem(reader.get(f"{DOCUMENTS}{loans.pk}/{address}"), 404)
        assert reader.get("/api/v1/search/", {"q": "borrow", "mode": "keyword"}).json()["count"] == 0

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"clearance": 0}, "clearance"), ({"clearance": None}, "clearance"), ({"clearance": [1]}, "clearance"),
            ({"department": "Nowhere"}, "department"), ({"department": "Finance"}, "department"),
            ({"department": {"a": 1}}, "department"), ({"department": "a\0b"}, "department"),
            ({"title": 5.5e300}, None),
            ({"audience": "world"}, "audience"), ({"tags": "reading"}, "tags"), ({"tags": [["x"]]}, "tags"),
            ({"priority": 10**30}, "priority"), ({"last_reviewed": 5}, "last_reviewed"),
            ({"language": "x" * 9}, "language"),
        ],
    )  # fmt: skip
    def test_a_wrong_value_is_named_and_changes_nothing(
        self, desk: Client, loans: Document, finance: Department, change: dict[str, Any], field: str | None
    ) -> None:
        before = desk.get(f"{DOCUMENTS}{loans.pk}/").json()
        answer = self.patch(desk, loans, **change)
        if field:
            assert list(problem(answer, 400)["errors"]) == [field]
            assert desk.get(f"{DOCUMENTS}{loans.pk}/").json() == before
        else:
            assert answer.status_code == 200

    def test_read_only_fields_stay(self, desk: Client, loans: Document) -> None:
        answer = self.patch(desk, loans, status="archived", sha256="0", chunk_count=99, id=str(uuid.uuid4()), file="x")
        assert answer.status_code == 200
        loans.refresh_from_db()
        assert (loans.status, loans.chunk_count) == ("ready", 0)

    def test_nobody_raises_a_clearance_above_their_own(self, desk: Client, loans: Document) -> None:
        body = problem(self.patch(desk, loans, clearance=4), 403)
        assert (body["required"], body["current"]) == (4, 3)

    def test_deleting_archives_and_it_leaves_every_search_at_once(self, desk: Client, loans: Document) -> None:
        assert desk.get("/api/v1/search/", {"q": "borrow", "mode": "keyword"}).json()["count"] == 1
        answer = desk.delete(f"{DOCUMENTS}{loans.pk}/")
        assert (answer.status_code, answer.content) == (204, b"")
        assert desk.get("/api/v1/search/", {"q": "borrow", "mode": "keyword"}).json()["count"] == 0
        assert desk.get(f"{DOCUMENTS}{loans.pk}/").json()["status"] == "archived"
        assert Document.objects.filter(pk=loans.pk).exists()
        assert "Restore it first" in problem(desk.post(f"{DOCUMENTS}{loans.pk}/retry/"), 409)["detail"]

    def test_a_failed_document_is_tried_again(self, desk: Client, document: MakeDocument, library: Department) -> None:
        failed = document(
            "Broken",
            department=library,
            status=Status.FAILED,
            error="No text.",
            error_reason="empty",
            is_searchable=False,
        )
        answer = desk.post(f"{DOCUMENTS}{failed.pk}/retry/")
        assert answer.status_code == 202
        assert list(answer.json()) == KEYS
        assert (answer.json()["status"], answer.json()["error"]) == ("queued", "")

    @pytest.mark.parametrize("role", ["student", "staff", "academic"])
    def test_readers_change_nothing(
        self, client: Client, loans: Document, person: MakePerson, library: Department, role: str
    ) -> None:
        client.force_login(person(role, departments=(library,)))
        for answer in (
            self.patch(client, loans, title="x"), client.delete(f"{DOCUMENTS}{loans.pk}/"),
            client.post(f"{DOCUMENTS}{loans.pk}/retry/"),
        ):  # fmt: skip
            assert problem(answer, 403)["current"] == role
        loans.refresh_from_db()
        assert (loans.title, loans.status) == ("Loans", "ready")

    def test_a_librarian_of_another_department_finds_nothing_to_change(
        self, client: Client, document: MakeDocument, person: MakePerson, library: Department, finance: Department
    ) -> None:
        public = document("Public", department=library)
        other = person("staff", departments=(finance,))
        other.groups.add(Group.objects.get(name=LIBRARIANS))
        client.force_login(other)
        unknown = Document(pk=uuid.uuid4())
        answers = [self.patch(client, one, title="x") for one in (public, unknown)]
        bodies = [problem(answer, 404) | {"request_id": ""} for answer in answers]
        assert bodies[0] == bodies[1]


class TestFile:
    def test_an_original_that_is_lost_is_a_404(
        self, client: Client, document: MakeDocument, library: Department, tmp_path: Path
    ) -> None:
        never = document("Never stored", department=library)
        lost = document("Lost", department=library)
        lost.file.save("x", ContentFile(b"x"))
        lost.file.storage.delete(lost.file.name)
        for one in (never, lost):
            problem(client.get(f"{DOCUMENTS}{one.pk}/file/"), 404)

    def test_a_stretch_of_it_is_sent_alone(self, client: Client, document: MakeDocument, library: Department) -> None:
        page = document("Page", department=library)
        page.file.save("x", ContentFile(b"0123456789"))
        answer = client.get(f"{DOCUMENTS}{page.pk}/file/", headers={"Range": "bytes=3-5"})
        assert (answer.status_code, answer["Content-Range"]) == (206, "bytes 3-5/10")
        assert b"".join(answer.streaming_content) == b"345"
        assert client.get(f"{DOCUMENTS}{page.pk}/file/", headers={"Range": "bytes=10-"}).status_code == 416

    def test_a_hostile_original_is_never_shown_as_a_page_of_ours(
        self, client: Client, document: MakeDocument, library: Department
    ) -> None:
        page = document("Page", department=library, file_name="page.html", mime_type="text/html")
        page.file.save("x", ContentFile(b"<script>alert(1)</script>"))
        answer = client.get(f"{DOCUMENTS}{page.pk}/file/")
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Content-Disposition"] == 'attachment; filename="page.html"'
        assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_a_long_documents_chunks_come_in_pages_in_order(
    client: Client, document: MakeDocument, library: Department
) -> None:
    long = document("Long", department=library)
    write(long, *(f"Chunk {number}." for number in range(60)), embedded=False)
    positions, address = [], f"{DOCUMENTS}{long.pk}/chunks/"
    while address:
        body = client.get(address).json()
        positions += [one["position"] for one in body["results"]]
        address = body["next"]
    assert positions == list(range(60))
