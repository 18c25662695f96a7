"""Uploading in the admin site: what happens to each file, and what may be set."""

from __future__ import annotations

from datetime import date

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.clearance import Role
from accounts.models import Department, User
from ingestion.models import Document, Tag, UploadBatch
from ingestion.tests.admin.conftest import LIST, UPLOAD, UPLOADS, Make, change, person, signed_in, text_of, upload

pytestmark = pytest.mark.django_db


def test_each_of_several_files_is_told_its_own_fate(
    desk: Client,
    make: Make,
    finance: Department,
    library: Department,
    librarian: User,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    twin = make("Here already", finance)
    files = [("one.txt", b"One."), ("copy.txt", b"Here already"), ("empty.txt", b""), ("two.txt", b"Two.")]
    with django_capture_on_commit_callbacks() as queued:
        answer = upload(
            desk, finance, *files, shared_with=[library.pk], tags="lamps, Desk , lamps", last_reviewed="2026-01-31"
        )
    made = {document.file_name: document for document in Document.objects.exclude(pk=twin.pk)}
    assert set(made) == {"one.txt", "two.txt"}
    assert len(queued) == 2
    one = made["one.txt"]
    assert (one.status, one.department, one.clearance, one.audience) == ("queued", finance, 2, "department")
    assert (one.owner, one.priority, one.last_reviewed) == (librarian, 4, date(2026, 1, 31))
    assert [department.name for department in one.shared_with.all()] == ["Library"]
    assert {tag.name for tag in one.tags.all()} == {"lamps", "Desk"}
    text = text_of(desk, answer["Location"])
    assert "0 of 2 ready, 2 in progress." in text
    assert "2 files not taken in" in text
    assert "“copy.txt” is already here as “Here already”" in text
    assert change(twin) in text
    assert "“empty.txt” is empty" in text


def test_a_duplicate_of_a_document_that_was_reclassified_since_is_not_named_any_more(
    desk: Client, make: Make, finance: Department
) -> None:
    twin = make("Here already", finance)
    page = upload(desk, finance, ("copy.txt", b"Here already"))["Location"]
    assert "is already here as “Here already”" in text_of(desk, page)
    assert "Here already" not in str(UploadBatch.objects.get().refused)
    Document.objects.filter(pk=twin.pk).update(clearance=4)
    text = text_of(desk, page)
    assert "“copy.txt” is already here." in text
    assert "Here already" not in text
    assert str(twin.pk) not in text


def test_a_duplicate_of_a_document_that_is_gone_is_still_told(desk: Client, make: Make, finance: Department) -> None:
    twin = make("Here already", finance)
    page = upload(desk, finance, ("copy.txt", b"Here already"))["Location"]
    twin.delete()
    assert "“copy.txt” is already here." in text_of(desk, page)


def test_an_upload_is_its_uploaders_only_and_outlives_their_session(
    desk: Client, admin_desk: Client, finance: Department, librarian: User
) -> None:
    page = upload(desk, finance, ("one.txt", b"One."))["Location"]
    elsewhere = signed_in(librarian)
    assert "one.txt" in text_of(elsewhere, page)
    assert page in text_of(elsewhere, UPLOADS)
    batch = page.rstrip("/").rsplit("/", 1)[-1]
    assert [one.file_name for one in desk.get(f"{LIST}?upload={batch}").context["cl"].result_list] == ["one.txt"]

    assert admin_desk.get(page).status_code == 404
    assert page not in text_of(admin_desk, UPLOADS)
    assert not admin_desk.get(f"{LIST}?upload={batch}").context["cl"].result_list
    assert admin_desk.get(f"{page}file/").status_code == 404


def test_the_page_of_an_upload_stops_asking_when_nothing_is_going_on(desk: Client, finance: Department) -> None:
    page = upload(desk, finance, ("one.txt", b"One."))["Location"]
    assert "every 2s" in text_of(desk, page)
    Document.objects.update(status="failed", error="It is broken.")
    text = text_of(desk, page)
    assert "every 2s" not in text
    assert "0 of 1 ready, 1 failed." in text
    assert "It is broken." in text
    assert "Retry" in text


def test_clearance_is_the_most_restricted_and_audience_the_department_unless_chosen(desk: Client) -> None:
    form = desk.get(UPLOAD).context["form"]
    assert (form["clearance"].value(), form["audience"].value()) == (3, "department")
    assert [value for value, _label in form.fields["clearance"].choices] == [1, 2, 3]


@pytest.mark.parametrize("clearance", ["4", "9", "0", "-1", "x", ""])
def test_an_upload_with_a_clearance_above_ones_own_is_refused_whole(
    desk: Client, finance: Department, clearance: str
) -> None:
    answer = upload(desk, finance, ("one.txt", b"One."), clearance=clearance)
    assert "clearance" in answer.context["form"].errors
    assert not Document.objects.exists()


def test_an_upload_for_a_foreign_department_is_refused_whole(desk: Client, library: Department) -> None:
    answer = upload(desk, library, ("one.txt", b"One."))
    assert "department" in answer.context["form"].errors
    assert not Document.objects.exists()
    assert not Tag.objects.exists()


def test_an_administrator_uploads_for_any_department_at_any_clearance(
    admin_desk: Client, finance: Department, library: Department
) -> None:
    upload(admin_desk, library, ("one.txt", b"One."), clearance=4, audience="institution")
    assert Document.objects.get().department == library
    assert Document.objects.get().clearance == 4


def test_one_title_is_for_one_file(desk: Client, finance: Department) -> None:
    refused = upload(desk, finance, ("one.txt", b"One."), ("two.txt", b"Two."), title="A title", tags="new")
    assert "title" in refused.context["form"].errors
    assert not Document.objects.exists()
    assert not Tag.objects.exists()
    upload(desk, finance, ("one.txt", b"One."), title="A title")
    assert Document.objects.get().title == "A title"


def test_no_file_and_too_many_files_are_refused_with_a_sentence(
    desk: Client, finance: Department, settings: Settings
) -> None:
    assert "originals" in upload(desk, finance).context["form"].errors
    settings.MAX_FILES_PER_UPLOAD = 2
    answer = upload(desk, finance, *[(f"{number}.txt", str(number).encode()) for number in range(3)])
    assert answer.context["form"].errors["originals"] == ["These are 3 files. Up to 2 can be uploaded at once."]
    assert not Document.objects.exists()


def test_a_librarian_without_a_department_is_told_why_they_cannot_upload() -> None:
    text = text_of(signed_in(person("loner", Role.STAFF, librarian=True)), UPLOAD)
    assert "You curate no department" in text
    assert 'type="file"' not in text
