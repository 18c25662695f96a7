"""A document's page: its earlier files, what it came with, what is like it, what the file says of itself."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from accounts.models import AuditEvent, Department
from ingestion.models import Document, EarlierVersion
from ingestion.tests.admin.conftest import LIST, Make, change, metadata, post_confirmed, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def handbook(make: Make, finance: Department) -> Document:
    """A document in its second version; the first one is kept."""
    document = make("Handbook", finance, version=2)
    first = EarlierVersion(document=document, number=1, file_name="first.txt", file_size=5, sha256="1" * 64)
    first.file.save("first", ContentFile(b"first"), save=False)
    first.save()
    return document


def test_earlier_files_are_listed_downloaded_and_brought_back(desk: Client, handbook: Document) -> None:
    address = f"{LIST}{handbook.pk}/versions/"
    assert address in text_of(desk, change(handbook))
    assert "first.txt" in text_of(desk, address)
    download: Any = desk.get(f"{address}1/")
    assert b"".join(download.streaming_content) == b"first"
    assert download["Content-Disposition"] == 'attachment; filename="first.txt"'
    assert "sandbox" in download["Content-Security-Policy"]
    assert "Make version 1 the current file" in text_of(desk, f"{address}1/restore/")
    handbook.refresh_from_db()
    assert handbook.next_file_name == ""
    desk.post(f"{address}1/restore/")
    handbook.refresh_from_db()
    assert (handbook.next_file_name, handbook.next_sha256) == ("first.txt", "1" * 64)
    noted = AuditEvent.objects.get(action="document_version_restored")
    assert noted.details["version_restored"] == 1
    assert (noted.details["before"]["next_file_name"], noted.details["after"]["next_file_name"]) == ("", "first.txt")


@pytest.mark.parametrize("page", ["versions/", "versions/1/", "versions/1/restore/"])
def test_versions_of_a_hidden_document_are_those_of_none(
    desk: Client, make: Make, library: Department, page: str
) -> None:
    theirs = make("Theirs", library, version=2)
    EarlierVersion.objects.create(document=theirs, number=1, file="x", file_name="x", file_size=1, sha256="2" * 64)
    nobody = "00000000-0000-4000-8000-000000000000"
    hidden, unknown = (desk.get(f"{LIST}{one}/{page}") for one in (theirs.pk, nobody))
    assert (hidden.status_code, hidden.headers["Location"]) == (302, unknown.headers["Location"])
    desk.post(f"{LIST}{theirs.pk}/versions/1/restore/")
    theirs.refresh_from_db()
    assert theirs.next_file_name == ""


@pytest.mark.parametrize("number", ["7", "99999999999999999999"])
def test_a_number_that_there_is_not_is_not_found(desk: Client, handbook: Document, number: str) -> None:
    for page in ("", "restore/"):
        assert desk.get(f"{LIST}{handbook.pk}/versions/{number}/{page}").status_code == 404


def test_a_mail_and_its_attachments_lead_to_each_other_and_access_is_set_on_the_mail(
    desk: Client, make: Make, finance: Department, library: Department
) -> None:
    mail = make("The mail", finance, clearance=2)
    attached = make("The receipt", finance, parent=mail, part="receipt.pdf", is_attachment=True)
    assert change(attached) in text_of(desk, change(mail))
    page = text_of(desk, change(attached))
    assert "The mail</a>" in page
    assert "department, clearance, audience and dates are set there" in page
    desk.post(change(attached), metadata(attached, clearance=1, audience="department", priority=5, tags="x"))
    attached.refresh_from_db()
    assert (attached.clearance, attached.audience, attached.priority) == (2, "institution", 5)
    post_confirmed(desk, change(mail), metadata(mail, clearance=3, shared_with=[library.pk], audience="department"))
    page = text_of(desk, change(attached))
    assert "staff and academics of Finance or Library" in page


def test_a_mail_is_deleted_with_its_attachments_and_all_files_go(
    admin_desk: Client, make: Make, handbook: Document, finance: Department
) -> None:
    inner = make("Inner mail", finance, parent=handbook, part="1", is_attachment=True)
    make("Deepest", finance, parent=inner, part="1", is_attachment=True)
    zipped = make("From a ZIP file", finance, parent=handbook, part="2")
    address = f"{LIST}{handbook.pk}/delete/"
    assert "Deepest" in admin_desk.get(address).content.decode()
    admin_desk.post(address, {"post": "yes"})
    assert list(Document.objects.all()) == [zipped]
    noted = AuditEvent.objects.filter(action="document_deleted")
    assert {one.subject for one in noted} == {"Handbook", "Inner mail", "Deepest"}
    assert noted.get(subject="Handbook").details["before"]["version"] == 2


def test_the_page_shows_what_is_like_it_and_what_the_file_says(
    desk: Client, make: Make, finance: Department, library: Department
) -> None:
    said: dict[str, Any] = {
        "authors": ["Ada Lovelace"], "written_on": date(2024, 3, 1), "outline": [[1, "Who <b> travels", 2]],
    }  # fmt: skip
    document = make("Travel", finance, **said)
    make("The same again", finance, sha256=document.sha256)
    make("Theirs, hidden", library, audience="department", sha256=document.sha256)
    page = text_of(desk, change(document))
    assert "the same file" in page
    assert "The same again" in page
    assert "Theirs, hidden" not in page
    assert "Ada Lovelace" in page
    assert "1 March 2024" in page
    assert "Who &lt;b&gt; travels" in page


def test_every_deed_on_a_document_is_noted_with_before_and_after(
    desk: Client, make: Make, finance: Department, admin_desk: Client
) -> None:
    document = make("Paper", finance, status="failed", error_reason="broken", error="Broken.")
    address = f"{LIST}{document.pk}"
    desk.post(change(document), metadata(document, title="Better", tags="lamps", review_by="2030-01-31"))
    Document.objects.update(status="failed")
    desk.post(f"{address}/retry/")
    desk.post(f"{address}/replace/", {"file": SimpleUploadedFile("new.txt", b"new")})
    post_confirmed(desk, f"{address}/archive/")
    post_confirmed(desk, f"{address}/restore/")
    notes = AuditEvent.objects.filter(action__startswith="document_").order_by("pk")
    assert [one.action.removeprefix("document_") for one in notes] == [
        "changed", "retried", "file_replaced", "archived", "restored",
    ]  # fmt: skip
    changed, retried, replaced, archived, restored = (one.details for one in notes)
    assert changed["before"] == {"title": "Paper", "tags": [], "review_by": None}
    assert changed["after"] == {"title": "Better", "tags": ["lamps"], "review_by": "2030-01-31"}
    assert retried["after"] == {}
    assert replaced["after"]["next_file_name"] == "new.txt"
    assert (archived["after"], restored["after"]) == ({"archived": True}, {"archived": False})
    assert {one.details["document"] for one in notes} == {str(document.pk)}
    page = text_of(admin_desk, f"/admin/accounts/auditevent/{notes[0].pk}/change/")
    assert '<th scope="row">Next review</th><td>–</td><td><b>31 January 2030</b></td>' in page
    # Saving it as it is says nothing.
    desk.post(change(document), metadata(Document.objects.get(), tags="lamps", review_by="2030-01-31"))
    assert AuditEvent.objects.filter(action="document_changed").count() == 1


def test_the_list_says_what_its_dates_do_to_a_document(desk: Client, make: Make, finance: Department) -> None:
    make("To come", finance, visible_from="2040-12-01T10:00Z")
    make("Over", finance, visible_until="2020-12-01T10:00Z")
    page = text_of(desk, LIST)
    assert "from 1 Dec 2040" in page
    assert ">expired</span>" in page
    assert "Over" not in text_of(desk, f"{LIST}?window=ahead").split("result_list")[1]
    assert "To come" not in text_of(desk, f"{LIST}?window=expired").split("result_list")[1]


class RightsEndMeanwhile(FileSystemStorage):
    """While a file is stored, its document goes to another department."""

    def _save(self, name: str, content: Any) -> str:
        Document.objects.update(department=Department.objects.get(name="Library"), audience="department")
        return super()._save(name, content)


def test_who_loses_a_document_while_the_new_file_is_stored_replaces_nothing(
    desk: Client, make: Make, finance: Department, library: Department, settings: Settings, tmp_path: Path
) -> None:
    document = make("Paper", finance)
    backend = {"BACKEND": f"{__name__}.RightsEndMeanwhile", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    stored = {path for path in tmp_path.rglob("*") if path.is_file()}
    answer = desk.post(f"{LIST}{document.pk}/replace/", {"file": SimpleUploadedFile("new.txt", b"new")})
    unknown = desk.get(f"{LIST}00000000-0000-4000-8000-000000000000/replace/")
    assert (answer.status_code, answer.headers["Location"]) == (302, unknown.headers["Location"])
    document.refresh_from_db()
    assert (document.next_file_name, document.status) == ("", "ready")
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == stored
    assert not AuditEvent.objects.filter(action="document_file_replaced").exists()
