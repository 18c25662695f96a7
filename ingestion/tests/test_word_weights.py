"""What words weigh in a chunk: kept by the database itself, whoever writes the chunk."""

from __future__ import annotations

import importlib

import pytest
from django.db import connection

from accounts.models import Department
from ingestion.chunking import ChunkDraft
from ingestion.chunkrows import chunk_row
from ingestion.lexemes import TEXT_SEARCH_CONFIGS
from ingestion.models import Chunk, Document, DocumentType, WordWeights

pytestmark = pytest.mark.django_db


@pytest.fixture
def document(db: None) -> Document:
    return Document.objects.create(
        title="Fine", file_name="a.txt", file_size=1, sha256="0" * 64, language="en",
        department=Department.objects.create(name="Library"), doc_type=DocumentType.objects.get(slug="guide"),
    )  # fmt: skip


def weight(chunk: Chunk, word: str) -> float:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT -(weights <#> ('{' || ingestion_word_dimension(%s) || ':1}/1000000000')::sparsevec) "
            "FROM ingestion_wordweights WHERE chunk_id = %s",
            [word, chunk.pk],
        )
        (found,) = cursor.fetchone()
    return float(found)


def write(document: Document, *texts: str) -> list[Chunk]:
    drafts = [ChunkDraft(place, text, 1, "Section") for place, text in enumerate(texts)]
    return Chunk.objects.bulk_create([chunk_row(document, draft) for draft in drafts])


def test_chunks_have_weights_from_their_insertion_to_their_deletion(document: Document) -> None:
    loans, fees = write(document, "Books are lent.", "Fees are paid late, fees are paid.")
    assert WordWeights.objects.count() == 2
    assert weight(loans, "book") == weight(loans, "books") > 0
    assert weight(fees, "paid") > weight(fees, "late")
    assert weight(fees, "fine") > weight(fees, "section") > 0, "the title counts twice"
    assert weight(fees, "book") == 0
    fees.lexemes = chunk_row(document, ChunkDraft(1, "Books.", 1, "")).lexemes
    fees.save()
    assert weight(fees, "book") > 0
    assert weight(fees, "fee") == 0
    loans.delete()
    assert list(WordWeights.objects.values_list("chunk", flat=True)) == [fees.pk]
    document.delete()
    assert not WordWeights.objects.exists()


def test_a_chunk_without_words_has_no_weights(document: Document) -> None:
    document.title = ""
    (chunk,) = Chunk.objects.bulk_create([chunk_row(document, ChunkDraft(0, "?!", 1, ""))])
    assert weight(chunk, "a") == 0


def test_chunks_from_before_are_given_theirs(document: Document) -> None:
    chunk, other = write(document, "Books are lent.", "Fees are paid.")
    kept = weight(other, "fees")
    WordWeights.objects.filter(chunk=chunk).delete()
    with connection.cursor() as cursor:
        cursor.execute(importlib.import_module("search.migrations.0004_query_words").WEIGHTS)
    assert weight(chunk, "books") > 0
    assert weight(other, "fees") == kept


def test_the_database_knows_which_languages_have_stems() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT code FROM unnest(%s::text[]) AS code WHERE NOT ingestion_has_stems(code)",
                       [list(TEXT_SEARCH_CONFIGS)])  # fmt: skip
        assert not cursor.fetchall()
        cursor.execute("SELECT ingestion_has_stems('zh') OR ingestion_has_stems('')")
        assert cursor.fetchone() == (False,)


def test_words_of_a_language_without_stems_count_as_much(document: Document) -> None:
    """They stand in the index once, others twice."""
    document.title = ""
    (english,) = write(document, "loan loan loan")
    document.language = "und"
    (other,) = Chunk.objects.bulk_create([chunk_row(document, ChunkDraft(7, "loan loan loan", 1, "Section"))])
    assert weight(english, "loan") == pytest.approx(weight(other, "loan"), abs=1)
