"""Which model the stored vectors are of, who decides it, and what keeps vectors of two models apart."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.conf import settings as given_settings
from django.core.checks import run_checks
from django.db import connection, transaction
from pytest_django import Settings

from ingestion import pipeline, vectorspace
from ingestion.embeddings import ModelDescription
from ingestion.models import Chunk, Document, SpaceState, Status, VectorSpace
from ingestion.tests.conftest import TakeIn, UseNodes
from ingestion.tests.embedding_servers import ModelNode

pytestmark = pytest.mark.django_db

MODEL, DIMENSIONS = given_settings.EMBEDDING_MODEL, given_settings.EMBEDDING_DIMENSIONS


@pytest.fixture
def node(use_nodes: UseNodes) -> Iterator[ModelNode]:
    """A node, the only one, that has the configured model and another one."""
    node = ModelNode({MODEL: ("first", DIMENSIONS), "other": ("second", 16)})
    use_nodes(node.url)
    yield node
    node.stop()


def column(name: str = "embedding") -> tuple[str, str]:
    """Type and way of storage of a column of the chunks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format_type(atttypid, atttypmod), attstorage FROM pg_attribute "
            "WHERE attrelid = 'ingestion_chunk'::regclass AND attname = %s",
            [name],
        )
        kind, storage = cursor.fetchone()
    return kind, storage


class TestAnEmptyCorpus:
    def test_takes_the_model_of_the_settings(self) -> None:
        assert vectorspace.live().id is None
        assert (vectorspace.settle().model, vectorspace.difference()) == (MODEL, "")
        assert str(VectorSpace.objects.get()) == f"{MODEL} ({DIMENSIONS})"

    def test_takes_another_one_as_long_as_nothing_was_embedded(self, settings: Settings) -> None:
        first = vectorspace.settle()
        settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS = "bge-m3", 1024
        second = vectorspace.settle()

        assert (second.model, second.dimensions) == ("bge-m3", 1024)
        assert second.key != first.key
        assert column() == ("halfvec(1024)", "p"), "stored in line, as the exact scan needs it"
        with connection.cursor() as cursor:
            cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'ingestion_chunk'")
            indexes = dict(cursor.fetchall())
        assert (
            "hnsw (embedding halfvec_cosine_ops) WITH (m='16', ef_construction='64')" in indexes["chunk_embedding_hnsw"]
        )
        assert "chunk_missing" in indexes
        assert vectorspace.difference() == ""

    def test_the_same_model_by_its_full_name_is_the_same(self, settings: Settings) -> None:
        space = vectorspace.settle()
        settings.EMBEDDING_MODEL = f"{MODEL}:latest"
        assert vectorspace.settle() == space


class TestACorpus:
    @pytest.fixture(autouse=True)
    def embedded(self, take_in: TakeIn, node: ModelNode) -> Document:
        document = take_in("Opening hours of the library.", title="Library")
        pipeline.ingest(document.pk)
        return document

    def test_keeps_its_model_whatever_the_settings_say_and_they_are_told(self, settings: Settings) -> None:
        settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS = "bge-m3", 1024

        assert vectorspace.settle().model == MODEL
        (found,) = [found for found in run_checks(databases=["default"]) if found.id == "ingestion.W001"]
        assert found.msg == (
            f"The corpus is embedded with {MODEL} ({DIMENSIONS} dimensions), which stays in use. "
            "EMBEDDING_MODEL says bge-m3 (1024), which only counts for an empty corpus. "
            "Set it back, or change the model with: ./cloister manage reembed --model bge-m3"
        )
        assert not [found for found in run_checks() if found.id == "ingestion.W001"], "not where no database is needed"

    def test_goes_on_with_its_own_model_under_other_settings(self, settings: Settings, take_in: TakeIn) -> None:
        settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS = "bge-m3", 1024
        document = take_in("Closed at Easter.")
        pipeline.ingest(document.pk)
        assert Document.objects.get(pk=document.pk).status == Status.READY

    def test_knows_the_digest_of_its_weights(self) -> None:
        assert vectorspace.live().digest == "first"

    def test_takes_nothing_from_a_node_with_other_weights_under_the_same_name(
        self, take_in: TakeIn, node: ModelNode, use_nodes: UseNodes
    ) -> None:
        node.served[MODEL] = ("replaced", DIMENSIONS)
        use_nodes(node.url.replace("127.0.0.1", "localhost"))  # a node that was not looked at a moment ago
        document = take_in("Closed at Easter.")
        pipeline.ingest(document.pk)
        document.refresh_from_db()

        assert (document.status, document.error_reason) == (Status.EMBEDDING, pipeline.UNAVAILABLE)
        assert "not the one any more that the corpus was embedded with" in document.error
        assert document.chunks.filter(embedding__isnull=True).count() == 1
        assert pipeline.reconcile() == 0, "a node answers, but with other weights"
        node.served[MODEL] = ("first", DIMENSIONS)
        assert pipeline.reconcile() == 1


def test_a_database_without_tables_differs_from_nothing(settings: Settings) -> None:
    settings.EMBEDDING_MODEL = "bge-m3"
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ingestion_vectorspace RENAME TO not_migrated_yet")
    assert vectorspace.difference() == ""


class TestASecondSpace:
    def test_is_made_without_touching_a_row_and_refused_twice(self) -> None:
        vectorspace.settle()
        space = vectorspace.begin(ModelDescription("other", "second", 16))

        assert column("second_embedding") == ("halfvec(16)", "p")
        assert (space.state, vectorspace.live().model) == (SpaceState.FILLING, MODEL)
        with pytest.raises(vectorspace.Refused, match=r"second space already: other \(16\), being filled.*--cancel"):
            vectorspace.begin(ModelDescription("third", "third", 16))

    def test_of_the_live_model_is_refused_unless_its_weights_are_others(self) -> None:
        VectorSpace.objects.create(model=MODEL, dimensions=DIMENSIONS, digest="first")
        with pytest.raises(vectorspace.Refused, match="in use already"):
            vectorspace.begin(ModelDescription(f"{MODEL}:latest", "first", DIMENSIONS))
        assert vectorspace.begin(ModelDescription(MODEL, "newer", DIMENSIONS)).digest == "newer"

    def test_is_not_switched_to_before_it_is_checked(self) -> None:
        with pytest.raises(vectorspace.Refused, match="There is no second space"):
            vectorspace.switch(from_states=[SpaceState.CHECKED])
        vectorspace.begin(ModelDescription("other", "second", 16))
        with pytest.raises(vectorspace.Refused, match="is being filled"):
            vectorspace.switch(from_states=[SpaceState.CHECKED])

    def test_is_removed_with_its_column(self) -> None:
        vectorspace.begin(ModelDescription("other", "second", 16))
        with pytest.raises(vectorspace.Refused, match="is being filled"):
            vectorspace.remove_second(from_states=[SpaceState.KEPT])
        assert vectorspace.remove_second(from_states=[SpaceState.FILLING]) == "other (16)"
        assert column("second_embedding")[0] == "halfvec"
        assert vectorspace.second() is None


@pytest.mark.django_db(transaction=True)
class TestHolding:
    def test_whoever_holds_the_live_space_keeps_it_until_the_transaction_ends(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        space = vectorspace.settle()
        monkeypatch.setattr(vectorspace, "LOCK_MILLISECONDS", (1, 1))
        monkeypatch.setattr(vectorspace, "LOCK_PAUSE_SECONDS", 0.0)
        refused: list[str] = []

        def change() -> None:
            try:
                vectorspace.begin(ModelDescription("other", "second", 16))
            except vectorspace.Refused as refusal:
                refused.append(str(refusal))
            finally:
                connection.close()

        with transaction.atomic():
            assert vectorspace.hold() == space
            other = threading.Thread(target=change)
            other.start()
            other.join()
        assert len(refused) == 1
        assert refused[0].startswith("The table of chunks is in use for long (a backup, a vacuum, a large upload)")
        assert vectorspace.second() is None
        assert Chunk.objects.count() == 0
