"""A document's page in the admin site: editing, retrying, archiving, replacing, deleting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import Campus, Department, User
from ingestion.models import Chunk, Document, Status
from ingestion.tests.admin.conftest import LIST, Make, change, metadata, post_confirmed, text_of

pytestmark = pytest.mark.django_db


def test_metadata_is_edited_and_nothing_else_is_written(
    desk: Client, managed: list[Document], library: Department
) -> None:
    document = managed[0]
    Document.objects.filter(pk=document.pk).update(status=Status.EMBEDDING, progress=40)
    answer = post_confirmed(
        desk,
        change(document),
        metadata(document, title="A better title", clearance=2, priority=5, tags="lamps", shared_with=[library.pk]),
    )
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    document.refresh_from_db()
    assert (document.title, document.clearance, document.priority) == ("A better title", 2, 5)
    assert [tag.name for tag in document.tags.all()] == ["lamps"]
    assert list(document.shared_with.all()) == [library]
    assert (document.status, document.progress) == (Status.EMBEDDING, 40)


@pytest.mark.parametrize(("changes", "queued_times"), [({"title": "New"}, 1), ({"language": "de"}, 1), ({}, 0)])
def test_a_new_title_or_language_is_embedded_anew(
    desk: Client,
    managed: list[Document],
    changes: dict[str, str],
    queued_times: int,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    from ingestion.pipeline import recipe_of

    document = managed[0]
    Document.objects.filter(pk=document.pk).update(recipe=recipe_of(document))
    with django_capture_on_commit_callbacks() as queued:
        desk.post(change(document), metadata(document, priority=5, **changes))
    document.refresh_from_db()
    assert len(queued) == queued_times
    assert document.status == (Status.QUEUED if queued_times else Status.READY)
    assert document.is_searchable


@pytest.mark.parametrize("clearance", [4, 9, 0])
def test_no_document_is_raised_above_ones_own_clearance(desk: Client, managed: list[Document], clearance: int) -> None:
    answer = desk.post(change(managed[0]), metadata(managed[0], clearance=clearance))
    assert "clearance" in answer.context["adminform"].form.errors
    managed[0].refresh_from_db()
    assert managed[0].clearance == 1


def test_no_document_is_moved_to_a_department_that_is_not_ones_own(
    desk: Client, managed: list[Document], finance: Department, library: Department
) -> None:
    answer = desk.post(change(managed[0]), metadata(managed[0], department=library.pk))
    assert "department" in answer.context["adminform"].form.errors
    managed[0].refresh_from_db()
    assert managed[0].department == finance


def test_what_an_owned_document_has_already_may_stay(
    desk: Client, make: Make, library: Department, librarian: User
) -> None:
    document = make("Uploaded in better days", library, clearance=4, owner=librarian)
    answer = desk.post(change(document), metadata(document, title="Renamed"))
    assert answer.status_code == 302
    document.refresh_from_db()
    assert (document.title, document.clearance, document.department) == ("Renamed", 4, library)
    for opened in ({"clearance": 3}, {"visible_until": "2036-05-01T10:00"}):
        answer = desk.post(change(document), metadata(document, **opened))
        assert list(answer.context["adminform"].form.errors) == list(opened)


def test_a_window_that_ends_before_it_begins_is_refused(desk: Client, managed: list[Document]) -> None:
    window = {"visible_from": "2026-05-02T10:00", "visible_until": "2026-05-01T10:00"}
    answer = desk.post(change(managed[0]), metadata(managed[0], **window))
    assert "visible_until" in answer.context["adminform"].form.errors


def test_the_page_of_a_document_shows_its_facts_and_first_chunks(desk: Client, managed: list[Document]) -> None:
    document = managed[1]
    for position in range(7):
        Chunk.objects.create(
            document=document,
            position=position,
            text=f"Passage number {position}",
            page_number=position + 1,
            section_title="Claims <b>",
            lexemes="",
            content_hash=b"0" * 32,
        )
    text = text_of(desk, change(document))
    assert document.sha256 in text
    assert "staff and academics of Finance" in text
    assert "Passage number 4" in text
    assert "Passage number 5" not in text
    assert "Page 5 · <bdi>Claims &lt;b&gt;</bdi>" in text
    assert f"{LIST}{document.pk}/original/" in text


def test_the_original_comes_as_a_download_that_no_browser_runs(desk: Client, managed: list[Document]) -> None:
    answer: Any = desk.get(f"{LIST}{managed[2].pk}/original/")
    assert b"".join(answer.streaming_content) == b"Ours failed"
    assert answer["Content-Disposition"] == 'attachment; filename="Ours failed.txt"'
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("application/octet-stream", "nosniff")
    assert "sandbox" in answer["Content-Security-Policy"]
    assert "no-store" in answer["Cache-Control"]


def test_an_original_that_the_storage_has_lost_is_not_found(desk: Client, managed: list[Document]) -> None:
    Path(managed[0].file.path).unlink()
    assert desk.get(f"{LIST}{managed[0].pk}/original/").status_code == 404


def test_a_failed_document_is_retried(
    desk: Client, managed: list[Document], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    failed = managed[2]
    assert "It is broken." in text_of(desk, change(failed))
    with django_capture_on_commit_callbacks() as queued:
        desk.post(f"{LIST}{failed.pk}/retry/")
    failed.refresh_from_db()
    assert (failed.status, failed.error, len(queued)) == (Status.QUEUED, "", 1)


def test_only_failed_documents_are_retried_and_only_by_a_posted_form(desk: Client, managed: list[Document]) -> None:
    assert desk.get(f"{LIST}{managed[2].pk}/retry/").status_code == 405
    desk.post(f"{LIST}{managed[0].pk}/retry/")
    for document, status in ((managed[2], Status.FAILED), (managed[0], Status.READY)):
        document.refresh_from_db()
        assert document.status == status


def test_archiving_hides_a_document_and_restoring_brings_it_back(desk: Client, managed: list[Document]) -> None:
    document = managed[0]
    Chunk.objects.create(
        document=document, position=0, text="A passage", page_number=1, lexemes="", content_hash=b"0" * 32
    )
    post_confirmed(desk, f"{LIST}{document.pk}/archive/")
    document.refresh_from_db()
    assert (document.status, document.is_searchable) == (Status.ARCHIVED, False)
    post_confirmed(desk, f"{LIST}{document.pk}/restore/")
    document.refresh_from_db()
    assert (document.status, document.is_searchable) == (Status.QUEUED, True)
    notes = [entry.get_change_message() for entry in LogEntry.objects.filter(object_id=str(document.pk))]
    assert notes == ["Restored.", "Archived."]


def test_actions_on_several_touch_chosen_and_managed_documents_only(
    desk: Client, managed: list[Document], hidden: list[Document]
) -> None:
    everything = [str(document.pk) for document in [*managed, *hidden]]
    desk.post(LIST, {"action": "retry_failed", "_selected_action": everything})
    assert {one.title for one in Document.objects.filter(status="queued")} == {"Ours failed"}
    post_confirmed(desk, LIST, {"action": "archive", "_selected_action": everything})
    archived = set(Document.objects.filter(status="archived").values_list("title", flat=True))
    assert archived == {document.title for document in managed}
    post_confirmed(desk, LIST, {"action": "restore", "_selected_action": everything})
    assert not Document.objects.filter(status="archived").exists()
    desk.post(LIST, {"action": "delete_selected", "_selected_action": everything, "post": "yes"})
    assert Document.objects.count() == len(everything)


def test_a_file_is_replaced(
    desk: Client, managed: list[Document], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    document = managed[0]
    address = f"{LIST}{document.pk}/replace/"
    same = desk.post(address, {"file": SimpleUploadedFile("same.txt", b"Ours public")})
    assert "already has" in same.content.decode()
    empty = desk.post(address, {"file": SimpleUploadedFile("empty.txt", b"")})
    assert "is empty" in empty.content.decode()
    with django_capture_on_commit_callbacks() as queued:
        answer = desk.post(address, {"file": SimpleUploadedFile("new.txt", b"New words.")})
    assert answer["Location"] == change(document)
    document.refresh_from_db()
    assert (document.next_file_name, document.status, document.is_searchable) == ("new.txt", Status.QUEUED, True)
    assert LogEntry.objects.get(object_id=str(document.pk)).get_change_message() == "Replaced the file by new.txt."
    assert queued


def test_an_archived_document_is_restored_before_its_file_is_replaced(desk: Client, managed: list[Document]) -> None:
    desk.post(f"{LIST}{managed[3].pk}/replace/", {"file": SimpleUploadedFile("new.txt", b"New words.")})
    managed[3].refresh_from_db()
    assert managed[3].status == Status.ARCHIVED


def test_an_administrator_deletes_after_confirming_and_its_originals_go_too(
    admin_desk: Client, managed: list[Document], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    document = managed[0]
    admin_desk.post(f"{LIST}{document.pk}/replace/", {"file": SimpleUploadedFile("new.txt", b"New words.")})
    document.refresh_from_db()
    originals = [Path(document.file.path), Path(document.next_file.path)]
    assert all(original.exists() for original in originals)
    assert "Are you sure" in text_of(admin_desk, f"{LIST}{document.pk}/delete/")
    assert Document.objects.filter(pk=document.pk).exists()
    with django_capture_on_commit_callbacks(execute=True):
        admin_desk.post(f"{LIST}{document.pk}/delete/", {"post": "yes"})
    assert not Document.objects.filter(pk=document.pk).exists()
    assert not any(original.exists() for original in originals)


def test_a_department_campus_or_type_in_use_cannot_be_deleted(
    admin_desk: Client, make: Make, finance: Department
) -> None:
    campus = Campus.objects.create(name="Central")
    document = make("Ours", finance, campus=campus)
    for kind, one in (
        ("accounts/department", finance),
        ("accounts/campus", campus),
        ("ingestion/documenttype", document.doc_type),
    ):
        answer = admin_desk.post(f"/admin/{kind}/{one.pk}/delete/", {"post": "yes"}, follow=True)
        assert "cannot be deleted: one document still belongs to it" in answer.content.decode()
        chosen = {"action": "delete_selected", "_selected_action": [one.pk], "post": "yes"}
        assert "cannot be deleted" in admin_desk.post(f"/admin/{kind}/", chosen).content.decode()
        assert type(one).objects.filter(pk=one.pk).exists()
