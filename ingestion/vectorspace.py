"""The vector space of the corpus: which model its embeddings were made with, and how it is changed."""

from __future__ import annotations

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from ingestion.embeddings import EmbeddingUnavailable
from ingestion.models import Chunk, VectorSpace


def stored_dimensions() -> int:
    """The dimension of the column that holds the embeddings."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT atttypmod FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'embedding'",
            [Chunk._meta.db_table],
        )
        return int(cursor.fetchone()[0])


def mismatch(model: str, dimensions: int) -> str:
    """What is wrong when this model is used with the stored vectors; empty when they belong together.

    A database that has not been migrated yet matches everything.
    """
    try:
        with transaction.atomic():
            space = VectorSpace.objects.first()
            column = stored_dimensions()
    except DatabaseError:
        return ""
    if column != dimensions:
        return (
            f"The database holds embeddings of {column} dimensions, but EMBEDDING_DIMENSIONS is {dimensions}. "
            "Set it back, or embed the corpus anew with: ./cloister manage reembed"
        )
    if space and space.model != model:
        return (
            f"The database holds embeddings of {space.model}, but EMBEDDING_MODEL is {model}. "
            "Set it back, or embed the corpus anew with: ./cloister manage reembed"
        )
    return ""


def require_at_start() -> None:
    """End this process, saying what to do, when the stored vectors are not of the configured model.

    For processes that serve or work, before they fork: no connection is left open. A database that is away ends
    nothing, because searches and tasks come back with it.
    """
    try:
        problem = mismatch(settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS)
    finally:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
    if problem:
        raise SystemExit(f"Cloister cannot start. {problem}")


def require(model: str, dimensions: int) -> None:
    """Make sure that vectors of this model may be stored; the first ones of an empty corpus settle it.

    Raises EmbeddingUnavailable with what to do when the stored ones are of another model.
    """
    VectorSpace.objects.get_or_create(pk=1, defaults={"model": model, "dimensions": dimensions})
    if problem := mismatch(model, dimensions):
        raise EmbeddingUnavailable(problem)


@transaction.atomic
def reset(model: str, dimensions: int) -> None:
    """Drop every vector and make room for those of another model. The corpus stays searchable by words meanwhile."""
    # First, so that it waits for a count of statistics that is going on, and does not meet it half-way.
    VectorSpace.objects.update_or_create(pk=1, defaults={"model": model, "dimensions": dimensions, "counted": ""})
    table = connection.ops.quote_name(Chunk._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS chunk_embedding_hnsw")
        cursor.execute(f"ALTER TABLE {table} ALTER COLUMN embedding TYPE halfvec({int(dimensions)}) USING NULL")
        # A new type brings its own way of storage; why PLAIN: see ingestion/migrations/0002.
        cursor.execute(f"ALTER TABLE {table} ALTER COLUMN embedding SET STORAGE PLAIN")
        cursor.execute(
            f"UPDATE {table} SET metadata = metadata - 'unembeddable' "  # noqa: S608  # nosec B608  # our table's name
            "WHERE metadata ? 'unembeddable'"
        )
        cursor.execute("DELETE FROM ingestion_languagecentre")
        cursor.execute(f"ALTER TABLE ingestion_languagecentre ALTER COLUMN vector TYPE vector({int(dimensions)})")
        cursor.execute(
            f"CREATE INDEX chunk_embedding_hnsw ON {table} USING hnsw (embedding halfvec_cosine_ops) "
            "WITH (m = 16, ef_construction = 64)"
        )
