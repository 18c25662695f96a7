"""Doors that a stranger found open once: each stays shut."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import Department, User
from ingestion import pipeline
from ingestion.models import Document, DocumentType, Status

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path: Path) -> None:
    cache.clear()
    default = {**configured.STORAGES["default"], "OPTIONS": {"location": str(tmp_path), "base_url": None}}
    settings.STORAGES = {**settings.STORAGES, "default": default}


@pytest.fixture
def taken_in(librarian: User, library: Department) -> Document:
    """A document of the librarian's, ready and public."""
    metadata = pipeline.DocumentMetadata(
        department=library, doc_type=DocumentType.objects.get(slug="guide"), clearance=1, audience="institution"
    )
    text = "How to borrow a book from the library, and how long one may keep it. " * 5
    document = pipeline.register_upload(
        ContentFile(text.encode()), file_name="borrowing.txt", uploader=librarian, metadata=metadata
    )
    pipeline.ingest(document.pk)
    document.refresh_from_db()
    assert document.status == Status.READY
    return document


def signed_in(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


class TestReplacing:
    def test_readers_get_the_old_file_until_the_new_one_is_ready_and_then_that(self, taken_in: Document) -> None:
        address = f"/api/v1/documents/{taken_in.pk}/file/"
        before = b"".join(APIClient().get(address).streaming_content)
        pipeline.replace_file(taken_in, ContentFile(b"The new rules for borrowing. " * 9), file_name="new.txt")
        assert b"".join(APIClient().get(address).streaming_content) == before
        pipeline.ingest(taken_in.pk)
        after = b"".join(APIClient().get(address).streaming_content)
        assert after.startswith(b"The new rules")
        assert APIClient().get(f"/api/v1/documents/{taken_in.pk}/").json()["file_name"] == "new.txt"

    def test_a_broken_replacement_takes_nothing_away(self, taken_in: Document, librarian: User) -> None:
        address = f"/api/v1/documents/{taken_in.pk}/"
        pipeline.replace_file(taken_in, ContentFile(b"%PDF-1.4 broken"), file_name="bad.pdf")
        pipeline.ingest(taken_in.pk)
        seen = signed_in(librarian).get(address).json()
        assert (seen["status"], seen["file_name"]) == ("failed", "borrowing.txt")
        assert seen["error"].endswith("The file before it is still the one in use.")
        assert b"borrow a book" in b"".join(APIClient().get(address + "file/").streaming_content)
        assert APIClient().get(address).json()["error"] == "", "a reader is not told what is wrong with a file"

    def test_every_original_stays_as_long_as_the_document(
        self, taken_in: Document, tmp_path: Path, django_capture_on_commit_callbacks
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            pipeline.replace_file(taken_in, ContentFile(b"%PDF-1.4 broken"), file_name="bad.pdf")
        with django_capture_on_commit_callbacks(execute=True):
            pipeline.replace_file(taken_in, ContentFile(b"The new rules for borrowing. " * 9), file_name="new.txt")
        with django_capture_on_commit_callbacks(execute=True):
            pipeline.ingest(taken_in.pk)
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3
        with django_capture_on_commit_callbacks(execute=True):
            pipeline.delete(taken_in)
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_owner_cannot_undo_a_restriction_that_was_set_above_them(
    taken_in: Document, librarian: User, finance: Department
) -> None:
    address = f"/api/v1/documents/{taken_in.pk}/"
    Document.objects.filter(pk=taken_in.pk).update(clearance=4, department=finance)
    for change in ({"clearance": 1}, {"audience": "institution"}, {"shared_with": []}, {"department": "Library"}):
        refused = signed_in(librarian).patch(address, change, format="json")
        assert refused.status_code == 403, change
    assert signed_in(librarian).patch(address, {"priority": 4}, format="json").status_code == 200


@pytest.mark.parametrize("position", ["p=abc", "p=%00", "p=2026-01-01", "r=1&p=x"])
def test_an_invented_cursor_is_not_found(position: str, taken_in: Document) -> None:
    cursor = base64.b64encode(position.encode()).decode()
    for address in ("/api/v1/documents/", f"/api/v1/documents/{taken_in.pk}/chunks/"):
        assert APIClient().get(address, {"cursor": cursor}).status_code in (200, 404)


@pytest.mark.parametrize("body", ['{"query": "x", "no\\ud800": 1}', '{"query": "x", "mode": "no\\ud800"}'])
def test_half_a_character_is_never_repeated(body: str) -> None:
    answer = APIClient().post("/api/v1/search/", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_titles_and_languages_are_checked_as_in_the_admin(taken_in: Document, librarian: User) -> None:
    address = f"/api/v1/documents/{taken_in.pk}/"
    assert signed_in(librarian).patch(address, {"language": "<b>xx"}, format="json").status_code == 400
    changed = signed_in(librarian).patch(address, {"title": "a\nb\u202egpj"}, format="json")
    assert changed.json()["title"] == "a bgpj"


def test_there_is_nothing_to_retry_on_a_document_that_is_well(taken_in: Document, librarian: User) -> None:
    assert signed_in(librarian).post(f"/api/v1/documents/{taken_in.pk}/retry/").status_code == 409


def test_a_large_form_is_refused_before_it_is_read(client: Client, librarian: User) -> None:
    large = "x" * (2 * 1024 * 1024)
    assert client.post("/accounts/login/", {"username": large}).status_code == 413
    assert client.post("/admin/ingestion/document/upload/", {"title": large}).status_code == 413
    client.force_login(librarian)
    assert client.post("/admin/ingestion/document/upload/", {"title": large}).status_code == 200


def test_an_answer_without_the_words_says_so(client: Client, taken_in: Document) -> None:
    notice = "No document has these words."
    assert notice in client.get("/search/", {"q": "xyzzyplugh"}).content.decode()
    assert notice not in client.get("/search/", {"q": "borrow a book"}).content.decode()


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
def test_a_proxy_on_this_machine_is_no_operator(client: Client, header: str) -> None:
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", headers={header: "203.0.113.9"}).status_code == 404


def test_a_language_without_stems_is_searched_by_its_plain_words(settings, taken_in: Document) -> None:
    settings.SEARCH_LANGUAGES = ["en", "zh"]
    answer = APIClient().get("/api/v1/search/", {"q": "borrow a book", "mode": "keyword"})
    assert answer.json()["count"] == 1
