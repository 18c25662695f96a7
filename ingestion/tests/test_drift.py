"""Rows that do not fit each other are mended, older recipes are read anew, and what kills workers is given up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.postgres.search import SearchVector
from django.db.models import F, Value
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.clearance import PUBLIC_VIEWER
from ingestion import drift, pipeline, runs
from ingestion.models import Chunk, Document, Status
from ingestion.tests.conftest import TakeIn, UseNodes
from ingestion.tests.texts import ENGLISH, ingested, long_text, served

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_queue")]


@pytest.fixture
def document(take_in: TakeIn) -> Document:
    return ingested(take_in(long_text(2), "policy.md", title="Policy", language="en"))


def state(document: Document) -> tuple[str, int]:
    document.refresh_from_db()
    return document.status, document.attempts


class TestMending:
    def test_nothing_is_mended_where_all_is_well(self, document: Document, take_in: TakeIn) -> None:
        pipeline.archive(ingested(take_in(ENGLISH)))
        before = list(Document.objects.order_by("pk").values())

        assert (pipeline.mend(), pipeline.reconcile()) == (0, 0)
        assert list(Document.objects.order_by("pk").values()) == before

    def test_a_lost_chunk_is_made_again(self, document: Document) -> None:
        before = served(document)
        document.chunks.filter(position=0).delete()

        assert pipeline.mend() == 1
        assert ingested(document).status == Status.READY
        assert served(document) == before
        assert pipeline.mend() == 0

    def test_chunks_of_a_version_that_is_not_served_go(self, document: Document) -> None:
        before = served(document)
        chunk = document.chunks.first()
        chunk.pk, chunk.staged, chunk.lexemes = None, True, SearchVector(Value("left over"))
        Chunk.objects.bulk_create([chunk])

        assert pipeline.mend() == 1
        assert ingested(document).status == Status.READY
        assert served(document) == before
        assert not document.chunks.filter(staged=True).exists()

    def test_chunks_of_an_archived_document_are_hidden(self, document: Document) -> None:
        pipeline.archive(document)
        document.chunks.update(is_searchable=True)
        assert Chunk.objects.visible_to(PUBLIC_VIEWER).exists()

        assert pipeline.mend() == 1
        assert not Chunk.objects.visible_to(PUBLIC_VIEWER).exists()


class TestReadingAnew:
    @pytest.fixture(autouse=True)
    def newer_recipe(self, document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runs, "RECIPE", "next")
        monkeypatch.setattr(drift, "RECIPE", "next")

    def test_what_an_older_release_read_is_read_anew_and_keeps_its_vectors(
        self, document: Document, use_nodes: UseNodes
    ) -> None:
        before, vectors = served(document), dict(document.chunks.values_list("position", "embedding"))
        assert pipeline.reconcile() == 1
        assert served(document) == before, "it is found meanwhile"
        use_nodes()

        assert ingested(document).status == Status.READY
        assert dict(document.chunks.values_list("position", "embedding")) == vectors
        assert pipeline.reconcile() == 0

    def test_a_few_at_a_time_and_only_when_nothing_else_waits(
        self, document: Document, take_in: TakeIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        others = [take_in(f"{ENGLISH}{number}") for number in range(2)]
        assert pipeline.reconcile() == 0, "others are on their way"
        Document.objects.filter(pk__in=[one.pk for one in others]).update(status=Status.READY, recipe="1:old")
        monkeypatch.setattr(drift, "READ_ANEW_AT_ONCE", 2)

        assert pipeline.reconcile() == 2
        assert Document.objects.filter(status=Status.QUEUED).count() == 2

    def test_what_never_came_from_a_file_is_left_alone(self, document: Document) -> None:
        Document.objects.update(recipe="")
        assert (pipeline.reconcile(), pipeline.mend()) == (0, 0)


class TestGivingUp:
    def died(self, document: Document) -> None:
        """What a run leaves whose worker is killed: it has claimed the document, and is silent."""
        runs.claim(document.pk, document.pk)
        Document.objects.filter(pk=document.pk).update(run_seen_at=timezone.now() - timedelta(hours=1))

    def test_a_document_over_which_workers_die_is_given_up_and_a_retry_starts_afresh(self, take_in: TakeIn) -> None:
        document = take_in(ENGLISH)
        for _ in range(runs.MOST_ATTEMPTS):
            self.died(document)
            assert pipeline.reconcile() == 1
        assert state(document) == (Status.QUEUED, runs.MOST_ATTEMPTS)

        assert (ingested(document).status, document.error_reason) == (Status.FAILED, "gave_up")
        assert "died 5 times" in document.error
        assert pipeline.reconcile() == 0, "it is not delivered for ever"
        pipeline.retry(document)
        assert state(ingested(document)) == (Status.READY, 0)

    def test_any_end_forgets_the_deaths_before_it(self, take_in: TakeIn, use_nodes: UseNodes) -> None:
        ready, failed, waiting = take_in(ENGLISH), take_in(b"%PDF-1.7\ntorn", "a.pdf"), take_in("Another text.")
        for document in (ready, failed, waiting):
            self.died(document)
        assert state(ingested(ready)) == (Status.READY, 0)
        assert state(ingested(failed)) == (Status.FAILED, 0)
        use_nodes()
        assert state(ingested(waiting)) == (Status.EMBEDDING, 0)

    def test_going_on_after_the_database_was_away_is_no_death(self, take_in: TakeIn) -> None:
        document = take_in(ENGLISH)
        self.died(document)
        for _ in range(10):
            runs.claim(document.pk, document.pk, again=True)

        assert state(document) == (Status.EXTRACTING, 1)


def test_how_long_a_silent_run_is_waited_for_is_a_setting(take_in: TakeIn, settings: Settings) -> None:
    document = take_in(ENGLISH)
    working = Document.objects.filter(pk=document.pk)
    working.update(status=Status.EXTRACTING, run_seen_at=timezone.now() - timedelta(seconds=20))
    assert pipeline.reconcile() == 0
    settings.INGESTION_STALE_SECONDS = 10

    assert pipeline.reconcile() == 1


def test_a_lost_message_is_sent_again(
    take_in: TakeIn, settings: Settings, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    document = take_in(ENGLISH)
    Document.objects.filter(pk=document.pk).update(updated_at=F("updated_at") - timedelta(seconds=10))
    assert pipeline.reconcile() == 0
    settings.INGESTION_STALE_SECONDS = 5
    with django_capture_on_commit_callbacks() as sent:
        assert pipeline.reconcile() == 1

    assert len(sent) == 1
