"""A search and a change of the model: a query of one model never meets the vectors of another."""

from __future__ import annotations

import threading

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection, transaction

from accounts.clearance import PUBLIC_VIEWER
from accounts.models import Department
from ingestion.embeddings import EmbeddingUnavailable
from ingestion.models import Chunk, Document, DocumentType, LanguageCentre, SpaceState, VectorSpace
from search import nearest, retrieval, service, vectors
from search.nearest import nearest_documents
from search.query import Mode, SearchQuery
from search.retrieval import SpaceChanged, candidates
from search.tests.corpus import count_statistics, serve
from search.vectors import query_vector

QUESTION = SearchQuery("how many books may I borrow", mode=Mode.SEMANTIC)


class Model:
    """A model that knows one direction: every text of a model is the same to it, and opposite to another model's."""

    def __init__(self, name: str, dimensions: int, _digest: str = "") -> None:
        self.vector = [0.0] * dimensions
        self.vector[0] = -1.0 if name == "other" else 1.0

    def embed_query(self, text: str) -> list[float]:
        return self.vector


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "client_for", Model)
    cache.clear()


def change_model(*, dimensions: int) -> None:
    """What a switch leaves behind: another live space, whose model made all vectors."""
    vector = Model("other", dimensions).vector
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("DROP INDEX chunk_embedding_hnsw")
        cursor.execute(f"ALTER TABLE ingestion_chunk ALTER embedding TYPE halfvec({dimensions}) USING NULL")
    VectorSpace.objects.filter(state=SpaceState.LIVE).update(state=SpaceState.KEPT)
    VectorSpace.objects.create(model="other", dimensions=dimensions)
    Chunk.objects.update(embedding=vector)


@pytest.fixture
def corpus(db: None) -> Document:
    library = Department.objects.create(name="Library")
    DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})
    document = serve("Loans", "You may borrow twenty books.", department=library, embedded=False)
    serve("Fines", "A late book costs 20 pence a day.", department=library, embedded=False)
    count_statistics()
    Chunk.objects.update(embedding=Model("e5", 384).vector)
    query_vector("remember the space", anew=True)
    return document


@pytest.mark.parametrize("dimensions", [384, 16])
@pytest.mark.parametrize("exact_up_to", [9000, 0], ids=["exact", "index"])
def test_a_search_that_meets_a_change_is_done_again_with_the_new_model(
    corpus: Document, dimensions: int, exact_up_to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "EXACT_UP_TO", exact_up_to)
    change_model(dimensions=dimensions)

    stale = query_vector(QUESTION.text)
    with pytest.raises(SpaceChanged):
        candidates(QUESTION, viewer=PUBLIC_VIEWER, vector=stale)
    page = service.search(QUESTION, viewer=PUBLIC_VIEWER)
    assert (page.degraded, page.count) == ((), 2)
    assert {passage.similarity for hit in page.hits for passage in hit.passages} == {1.0}, "of one model to itself"


def test_a_process_that_still_remembers_a_model_which_the_nodes_have_dropped_looks_again(
    corpus: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Kept(Model):
        def embed_query(self, text: str) -> list[float]:
            if self.vector[0] > 0:
                raise EmbeddingUnavailable("no node has this model")
            return self.vector

    monkeypatch.setattr(vectors, "client_for", Kept)
    assert service.search(QUESTION, viewer=PUBLIC_VIEWER).degraded == ("embedding_unavailable",)
    change_model(dimensions=384)
    page = service.search(QUESTION, viewer=PUBLIC_VIEWER)
    assert (page.degraded, page.count) == ((), 2)


def test_the_vectors_of_a_query_are_kept_apart_in_the_cache(corpus: Document) -> None:
    first = query_vector(QUESTION.text).numbers
    change_model(dimensions=384)
    assert query_vector(QUESTION.text).numbers == first, "as this process remembers it"
    assert query_vector(QUESTION.text, anew=True).numbers == [-one for one in first]


def test_scores_use_the_centres_of_the_live_space_only(corpus: Document) -> None:
    change_model(dimensions=384)
    kept, live = VectorSpace.objects.get(state="kept"), VectorSpace.objects.get(state="live")
    opposite = Model("e5", 384).vector
    for language, share in (("", 0.0), ("en", 1.0)):
        vector = [one * share for one in opposite]
        LanguageCentre.objects.update_or_create(space=kept, language=language, defaults={"vector": vector, "chunks": 2})
    found = candidates(QUESTION, viewer=PUBLIC_VIEWER, vector=query_vector(QUESTION.text, anew=True)).candidates
    assert {one.language_bias for one in found} == {0.0}
    LanguageCentre.objects.filter(space=kept).update(space=live)
    found = candidates(QUESTION, viewer=PUBLIC_VIEWER, vector=query_vector(QUESTION.text)).candidates
    assert {one.language_bias for one in found} == {-1.0}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("looking", ["search", "similar documents"])
def test_nobody_changes_the_model_while_vectors_are_compared(
    corpus: Document, looking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = retrieval if looking == "search" else nearest
    survey, got = module.survey_of, []

    def try_to_take_the_table() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                # For this transaction: the connection goes back to the pool.
                cursor.execute("SET LOCAL lock_timeout = '50ms'")
                cursor.execute("LOCK TABLE ingestion_vectorspace IN ACCESS EXCLUSIVE MODE")
            got.append("the table")
        except OperationalError as error:
            got.append(str(error))
        finally:
            connection.close()

    def survey_and_be_disturbed(*args, **kwargs):
        found = survey(*args, **kwargs)
        other = threading.Thread(target=try_to_take_the_table)
        other.start()
        other.join()
        return found

    monkeypatch.setattr(module, "survey_of", survey_and_be_disturbed)
    if looking == "search":
        candidates(QUESTION, viewer=PUBLIC_VIEWER, vector=query_vector(QUESTION.text, anew=True))
    else:
        nearest_documents(corpus, viewer=PUBLIC_VIEWER, limit=5)
    assert len(got) == 1
    assert "lock timeout" in got[0]
