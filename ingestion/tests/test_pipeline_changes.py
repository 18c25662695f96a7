"""Documents that are ingested again: after a death, after a change, after the archive. Nothing is lost or doubled."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pypdf import PdfWriter
from pytest_django import DjangoCaptureOnCommitCallbacks

from ingestion import pipeline
from ingestion.extraction_ocr import data_folder
from ingestion.models import Document, Status, VectorSpace
from ingestion.tests import document_files
from ingestion.tests.conftest import TakeIn, UseNodes
from ingestion.tests.texts import ENGLISH, GERMAN, found, ingested, long_text

pytestmark = pytest.mark.django_db


class TestAgain:
    def test_ingesting_twice_changes_nothing(self, take_in: TakeIn, use_nodes: UseNodes) -> None:
        document = ingested(take_in(ENGLISH))
        before = list(document.chunks.values())
        touched = document.updated_at
        use_nodes()

        assert ingested(document).updated_at == touched
        assert list(document.chunks.values()) == before

    def test_a_message_for_a_document_that_is_gone_or_archived_does_nothing(self, take_in: TakeIn) -> None:
        document = take_in(ENGLISH)
        pipeline.archive(document)
        assert ingested(document).status == Status.ARCHIVED
        document.delete()
        pipeline.ingest(document.pk or take_in(GERMAN).pk)

    def test_a_run_goes_on_where_a_dead_one_stopped(
        self, take_in: TakeIn, use_nodes: UseNodes, healthy_nodes: list[str]
    ) -> None:
        use_nodes()
        document = ingested(take_in(long_text(3), "policy.md"))
        ids = list(document.chunks.values_list("pk", flat=True))
        use_nodes(*healthy_nodes)

        assert ingested(document).status == Status.READY
        assert list(document.chunks.values_list("pk", flat=True)) == ids

    def test_a_dead_run_is_found_by_its_silence(
        self, take_in: TakeIn, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        document = take_in(ENGLISH)
        working = Document.objects.filter(pk=document.pk)
        working.update(status=Status.EXTRACTING, run_seen_at=timezone.now() - timedelta(minutes=4))
        assert pipeline.reconcile() == 0
        working.update(run_seen_at=timezone.now() - timedelta(minutes=6))
        with django_capture_on_commit_callbacks() as callbacks:
            assert pipeline.reconcile() == 1

        document.refresh_from_db()
        assert (document.status, document.run, len(callbacks)) == (Status.QUEUED, None, 1)


class TestChanges:
    def test_a_new_title_makes_the_chunks_anew(self, take_in: TakeIn) -> None:
        document = ingested(take_in(ENGLISH, title="Travel", language="en"))
        document.title = "Journeys"
        document.save(update_fields=["title"])
        pipeline.metadata_changed(document)

        assert found("receipts") == {"Journeys"}
        assert not found("journey"), "the words of the title come with the new chunks"
        assert ingested(document).status == Status.READY
        assert found("journey") == {"Journeys"}
        assert document.chunks.count() == document.chunk_count == 1

    def test_a_new_language_makes_the_words_anew_and_keeps_the_vectors(
        self, take_in: TakeIn, use_nodes: UseNodes
    ) -> None:
        document = ingested(take_in(GERMAN, title="Ordnung", language="en"))
        use_nodes()
        assert not found("Bibliothek", "german")
        document.language = "de"
        document.save(update_fields=["language"])
        pipeline.metadata_changed(document)

        assert ingested(document).status == Status.READY
        assert found("Bibliothek", "german") == {"Ordnung"}

    def test_what_does_not_concern_the_chunks_ingests_nothing(self, take_in: TakeIn) -> None:
        document = ingested(take_in(ENGLISH))
        document.priority, document.clearance = 5, 2
        document.save(update_fields=["priority", "clearance"])
        pipeline.metadata_changed(document)

        document.refresh_from_db()
        assert document.status == Status.READY
        assert document.chunks.get().clearance == 2

    def test_a_change_that_is_taken_back_leaves_what_is_served(self, take_in: TakeIn, use_nodes: UseNodes) -> None:
        document = ingested(take_in(ENGLISH, title="Travel", language="en"))
        before = list(document.chunks.values())
        use_nodes()
        Document.objects.filter(pk=document.pk).update(title="Journeys")
        document.refresh_from_db()
        pipeline.metadata_changed(document)
        assert ingested(document).status == Status.EMBEDDING, "the new version is staged and waits for a node"
        Document.objects.filter(pk=document.pk).update(title="Travel")
        document.refresh_from_db()
        pipeline.retry(document)

        assert ingested(document).status == Status.READY
        assert list(document.chunks.values()) == before

    def test_archived_is_found_by_nobody_and_restored_is_found_at_once(self, take_in: TakeIn) -> None:
        document = ingested(take_in(ENGLISH, title="Travel", language="en"))
        pipeline.archive(document)
        document.refresh_from_db()
        assert (document.status, document.is_searchable) == (Status.ARCHIVED, False)
        assert not found("receipts")
        pipeline.retry(document)
        document.refresh_from_db()
        assert document.status == Status.ARCHIVED, "only restoring brings it back"

        pipeline.restore(document)
        assert found("receipts") == {"Travel"}
        assert ingested(document).status == Status.READY

    def test_restoring_what_was_never_served_ingests_it(self, take_in: TakeIn) -> None:
        document = take_in(ENGLISH)
        pipeline.archive(document)
        pipeline.restore(document)
        document.refresh_from_db()

        assert (document.status, document.is_searchable) == (Status.QUEUED, False)
        assert ingested(document).status == Status.READY

    def test_a_document_in_the_vectors_of_another_model_waits(self, take_in: TakeIn) -> None:
        ingested(take_in(GERMAN, title="Reisen", language="de"))
        VectorSpace.objects.update(model="another-model", digest="")
        document = ingested(take_in(ENGLISH, title="Travel", language="en"))

        assert (document.status, document.error_reason) == (Status.EMBEDDING, pipeline.UNAVAILABLE)
        assert found("receipts") == {"Travel"}
        assert pipeline.reconcile() == 0, "a node answers, but with another model"


def test_pages_that_are_pictures_are_named_on_a_document_that_is_ready(take_in: TakeIn, tmp_path: Path) -> None:
    writer = PdfWriter(clone_from=document_files.make_pdf(tmp_path / "text.pdf", 2))
    writer.append(document_files.make_scanned_pdf(tmp_path / "scan.pdf"))
    writer.write(tmp_path / "both.pdf")
    document = ingested(take_in((tmp_path / "both.pdf").read_bytes(), "both.pdf"))
    assert (document.status, document.error_reason, document.page_count) == (Status.READY, "partly_read", 3)
    assert document.error.startswith("1 of 3 pages are pictures without text")


@pytest.mark.skipif(data_folder() is None, reason="the data of text recognition is not there")
def test_a_retry_reads_such_pages_once_text_recognition_is_installed(
    take_in: TakeIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = document_files.make_picture(tmp_path / "a.png", "Library opening hours")
    scan = document_files.make_partly_scanned_pdf(tmp_path / "scan.pdf", picture)
    with monkeypatch.context() as patch:
        patch.setenv("TESSDATA_PREFIX", str(tmp_path / "none"))
        document = ingested(take_in(scan.read_bytes(), "scan.pdf", title="Notice"))
    assert document.error_reason == "partly_read"
    pipeline.retry(document)
    document = ingested(document)
    assert (document.status, document.error_reason, document.unread_pages) == (Status.READY, "", 0)
    assert found("opening hours") == {"Notice"}
