"""By which plans candidates are found: the ways that were measured (docs/decisions/0023) are those that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.clearance import PUBLIC_VIEWER, Viewer
from accounts.models import Department
from ingestion import vectorspace
from ingestion.models import Chunk, Document, DocumentType, VectorSpace
from search import nearest
from search.query import Mode, SearchQuery
from search.retrieval import candidates
from search.tests.corpus import count_statistics
from search.vectors import QueryVector

pytestmark = pytest.mark.django_db

DOCUMENTS, CHUNKS_A_DOCUMENT = 300, 6

CHUNKS = """
    INSERT INTO ingestion_chunk (document_id, position, text, page_number, section_title, language, lexemes, embedding,
                                 content_hash, staged, metadata, clearance, readers, is_searchable)
    SELECT document.id, position, 'borrow books', 1, '', document.language, to_tsvector('simple', 'borrow books'),
           -- Of each row's own: the condition makes it so.
           (SELECT array_agg(random() - 0.5) FROM generate_series(1, 384) WHERE position >= 0)::halfvec,
           ''::bytea, false, '{}', 4, '{}', false
    FROM ingestion_document AS document
    CROSS JOIN generate_series(0, %s) AS position
"""


@pytest.fixture
def stock(library: Department) -> None:
    """Enough chunks that a plan matters: in every tenth document French ones, for members in every second."""
    guide = DocumentType.objects.get(slug="guide")
    Document.objects.bulk_create(
        Document(
            title=f"Document {number}",
            file_name=f"{number}.txt",
            file_size=1,
            sha256=f"{number:064x}",
            department=library,
            doc_type=guide,
            clearance=1 + number % 2,
            audience="institution",
            status="ready",
            priority=5 if number % 50 == 0 else 3,
            language="fr" if number % 10 == 0 else "en",
            is_searchable=True,
            chunk_count=CHUNKS_A_DOCUMENT,
        )
        for number in range(DOCUMENTS)
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'chunk_embedding_hnsw'")
        ((index,),) = cursor.fetchall()
        # Made in one go, it takes a tenth of the time.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("DROP INDEX chunk_embedding_hnsw")
        cursor.execute(CHUNKS, [CHUNKS_A_DOCUMENT - 1])
        cursor.execute(index)
        cursor.execute("ANALYZE ingestion_chunk, ingestion_document")
    count_statistics()


def grow() -> None:
    """Let the planner think that there are 200,000 chunks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_restore_relation_stats('schemaname', current_schema()::text, 'relname', 'ingestion_chunk', "
            "'relpages', relpages, 'reltuples', 200000::real) FROM pg_class WHERE oid = 'ingestion_chunk'::regclass"
        )


def plan_of(viewer: Viewer, **filters: Any) -> list[dict[str, Any]]:
    """The nodes of the plan by which the candidates of a search by meaning are found."""
    space = VectorSpace.objects.get()
    vector = QueryVector(Chunk.objects.values_list("embedding", flat=True)[0], vectorspace.of(space))
    query = SearchQuery("borrow", mode=Mode.SEMANTIC, **filters)
    with CaptureQueriesContext(connection) as captured:
        assert candidates(query, viewer=viewer, vector=vector).candidates
    (statement,) = (one["sql"] for one in captured.captured_queries if "proposed" in one["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT json) {statement}")
        ((plan,),) = cursor.fetchall()
    return list(nodes(plan[0]["Plan"]))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for one in plan.get("Plans", []):
        yield from nodes(one)


def read_by(plan: list[dict[str, Any]], relation: str) -> set[str]:
    """The indexes by which a table is read; 'Seq Scan' among them where all of it is."""
    reads = {one.get("Index Name", one["Node Type"]) for one in plan if one.get("Relation Name") == relation}
    bitmaps = {one["Index Name"] for one in plan if one["Node Type"] == "Bitmap Index Scan"}
    return reads - {"Bitmap Heap Scan"} | (bitmaps if "Bitmap Heap Scan" in reads else set())


def test_plans(stock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one test, because the stock takes seconds to make."""
    reads = read_by(plan_of(PUBLIC_VIEWER, min_priority=5), "ingestion_chunk")
    assert "ingestion_chunk_document_id_34de3014" in reads, "few chunks are reached through their documents"
    assert not reads & {"Seq Scan", "chunk_embedding_hnsw"}

    grow()
    monkeypatch.setattr(nearest, "EXACT_UP_TO", 100)
    monkeypatch.setattr(nearest, "SMALL_LANGUAGES_UP_TO", 200)
    for filters in ({}, {"min_priority": 1}, {"languages": ("en",)}):
        plan = plan_of(PUBLIC_VIEWER, **filters)
        reads = read_by(plan, "ingestion_chunk")
        assert "chunk_embedding_hnsw" in reads, f"many chunks are found through the index of vectors: {filters}"
        assert "Seq Scan" not in reads, filters
        assert filters or "chunk_language" in reads, "a small language is compared one by one"
        assert all(one["Node Type"] != "Gather" for one in plan), "a search takes one core"
