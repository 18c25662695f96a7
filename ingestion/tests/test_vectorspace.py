"""Which model the stored vectors are of, and how it is changed."""

from __future__ import annotations

import io

import pytest
from django.conf import settings as given_settings
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from ingestion import pipeline, statistics, vectorspace
from ingestion.embeddings import EmbeddingUnavailable, client_from_settings
from ingestion.models import Chunk, Document, LanguageCentre, Status, VectorSpace
from ingestion.tests.conftest import TakeIn, UseNodes

pytestmark = pytest.mark.django_db

MODEL, DIMENSIONS = given_settings.EMBEDDING_MODEL, given_settings.EMBEDDING_DIMENSIONS


def reset(model: str, dimensions: int) -> None:
    """Inside a test's transaction: its rows' own triggers have to be through before a table can be altered."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    vectorspace.reset(model, dimensions)


def column() -> tuple[str, str]:
    """Type and way of storage of the embeddings' column."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format_type(atttypid, atttypmod), attstorage FROM pg_attribute "
            "WHERE attrelid = 'ingestion_chunk'::regclass AND attname = 'embedding'"
        )
        kind, storage = cursor.fetchone()
    return kind, storage


def test_an_empty_corpus_takes_the_model_of_its_first_vectors() -> None:
    assert vectorspace.mismatch("any-model", DIMENSIONS) == ""
    vectorspace.require("any-model", DIMENSIONS)

    assert str(VectorSpace.objects.get()) == f"any-model ({DIMENSIONS})"
    with pytest.raises(EmbeddingUnavailable, match=r"holds embeddings of any-model, but EMBEDDING_MODEL is other"):
        vectorspace.require("other", DIMENSIONS)


def test_a_mismatch_names_both_and_the_command_that_mends_it() -> None:
    vectorspace.require(MODEL, DIMENSIONS)

    assert vectorspace.mismatch(MODEL, DIMENSIONS) == ""
    assert vectorspace.mismatch(MODEL, 1024) == (
        f"The database holds embeddings of {DIMENSIONS} dimensions, but EMBEDDING_DIMENSIONS is 1024. "
        "Set it back, or embed the corpus anew with: ./cloister manage reembed"
    )
    assert "EMBEDDING_MODEL is bge-m3" in vectorspace.mismatch("bge-m3", DIMENSIONS)


def test_a_database_without_tables_matches_everything() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ingestion_chunk RENAME TO not_migrated_yet")
    assert vectorspace.mismatch("any-model", 7) == ""


def test_the_check_of_the_database_reports_a_mismatch(settings: Settings) -> None:
    assert not [found for found in run_checks(databases=["default"]) if found.id == "ingestion.E001"]
    settings.EMBEDDING_DIMENSIONS = 1024
    (found,) = [found for found in run_checks(databases=["default"]) if found.id == "ingestion.E001"]

    assert "EMBEDDING_DIMENSIONS is 1024" in found.msg
    assert found.hint == "Run: ./cloister manage reembed"
    assert not [found for found in run_checks() if found.id == "ingestion.E001"], "not where no database is needed"


def test_another_model_gets_a_column_and_an_index_like_the_first(take_in: TakeIn) -> None:
    document = take_in("Opening hours of the library.", language="en")
    pipeline.ingest(document.pk)
    statistics.refresh()
    Chunk.objects.update(metadata={"unembeddable": True})
    assert column() == (f"halfvec({DIMENSIONS})", "p")

    reset("bge-m3", 1024)

    assert column() == ("halfvec(1024)", "p"), "stored in line, as the exact scan needs it"
    assert str(VectorSpace.objects.get()) == "bge-m3 (1024)"
    assert vectorspace.mismatch("bge-m3", 1024) == ""
    assert Chunk.objects.filter(embedding__isnull=True).count() == 1
    assert Chunk.objects.get().metadata == {}, "what one model refused the next one may take"
    assert not LanguageCentre.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'chunk_embedding_hnsw'")
        (index,) = cursor.fetchone()
    assert "hnsw (embedding halfvec_cosine_ops) WITH (m='16', ef_construction='64')" in index


class TestReembed:
    def test_the_corpus_is_queued_stays_found_by_words_and_gets_its_vectors_again(
        self, take_in: TakeIn, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        ready, archived = take_in("Opening hours of the library."), take_in("Closed at Easter.")
        for document in (ready, archived):
            pipeline.ingest(document.pk)
        statistics.refresh()
        pipeline.archive(archived)
        vectors = dict(Chunk.objects.values_list("pk", "embedding"))
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        said = io.StringIO()
        with django_capture_on_commit_callbacks() as callbacks:
            call_command("reembed", stdout=said)

        assert said.getvalue().strip() == f"1 documents are queued to be embedded with {MODEL}."
        assert len(callbacks) == 1
        ready.refresh_from_db()
        assert (ready.status, ready.is_searchable) == (Status.QUEUED, True)
        assert not Chunk.objects.filter(embedding__isnull=False).exists()

        pipeline.ingest(ready.pk)
        pipeline.restore(archived)
        pipeline.ingest(archived.pk)
        assert set(Document.objects.values_list("status", flat=True)) == {Status.READY}
        for pk, vector in Chunk.objects.values_list("pk", "embedding"):
            assert vector == pytest.approx(vectors[pk], abs=1e-3)
        assert statistics.refresh()
        assert LanguageCentre.objects.exists()

    def test_without_a_node_nothing_is_changed(self, take_in: TakeIn, use_nodes: UseNodes) -> None:
        pipeline.ingest(take_in("Opening hours of the library.").pk)
        use_nodes()
        with pytest.raises(CommandError, match="Nothing was changed: no embedding node answers"):
            call_command("reembed")

        assert Chunk.objects.filter(embedding__isnull=False).exists()

    def test_a_model_of_another_dimension_is_told(self, take_in: TakeIn, settings: Settings) -> None:
        pipeline.ingest(take_in("Opening hours of the library.").pk)
        settings.EMBEDDING_DIMENSIONS = 1024
        client_from_settings.cache_clear()
        try:
            with pytest.raises(CommandError, match=f"gives {DIMENSIONS} dimensions.*Set it to {DIMENSIONS}"):
                call_command("reembed")
        finally:
            client_from_settings.cache_clear()

        assert Chunk.objects.filter(embedding__isnull=False).exists()
