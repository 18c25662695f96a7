"""The vector spaces of the corpus: which one is live, and how another one takes its place while people search.

A space is a model with its weights. The live one's vectors are in `Chunk.embedding`, those of the other, where there
is one, in `Chunk.second_embedding`. To switch is to swap the names of the two columns and the states of the two rows in
one transaction that has the tables of spaces and of chunks for itself.

Hence the rule that keeps vectors of two models apart (docs/decisions/0015): every statement that names a table locks
it, weakly, until its transaction ends. So inside a transaction the live space stays what it was from the first
statement on that names either table. Whoever compares or writes vectors asks `hold()` in the same transaction, and does
it again with the other model where the answer is not the space that the vectors are of. Where a transaction names both
tables, that of the spaces comes first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from ingestion.embeddings import EmbeddingClient, ModelDescription, client_for, full_name
from ingestion.models import WORKING, Chunk, SpaceState, VectorSpace

LOCK_MILLISECONDS = (*(200,) * 9, 1500) * 2
"""How long each attempt waits for each of the two tables, and so how long it can keep searches waiting behind it. The
long one makes PostgreSQL end an autovacuum that is in the way, which it does after `deadlock_timeout`, 1 s."""

LOCK_PAUSE_SECONDS = 0.3
"""Between attempts: searches that came meanwhile are answered first."""

LOCK_NOT_AVAILABLE = "55P03"

HNSW = "USING hnsw ({column} halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)"

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


class Refused(Exception):
    """What was asked for cannot be done now. The message says why, and what to do; nothing was changed."""


class Incomplete(Refused):
    """Chunks have no vector in the other space yet."""


@dataclass(frozen=True)
class Space:
    """A vector space. `id` is None before anything was embedded; `digest` is empty until a node told it."""

    id: int | None
    model: str
    dimensions: int
    digest: str

    @property
    def key(self) -> str | None:
        """What tells it from every other, and from itself before its digest was known."""
        return None if self.id is None else f"{self.id} {self.digest}"

    def client(self) -> EmbeddingClient:
        """The client that embeds with this model, and with these weights alone."""
        return client_for(self.model, self.dimensions, self.digest)


def of(row: VectorSpace) -> Space:
    """The space of this row."""
    return Space(row.pk, row.model, row.dimensions, row.digest)


def configured() -> Space:
    """What the settings say: for a corpus without vectors that is the live space, for any other it is nothing."""
    return Space(None, settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS, "")


def live() -> Space:
    """The live space, as the database has it now."""
    with connection.cursor() as cursor:
        # Each search and each document asks this; Django would take ten times as long to write the statement.
        cursor.execute(
            "SELECT id, model, dimensions, digest FROM ingestion_vectorspace WHERE state = %s", [SpaceState.LIVE]
        )
        row = cursor.fetchone()
    return Space(*row) if row else configured()


def hold() -> Space:
    """The live space, which stays the live one until this transaction ends, because looking locks its table."""
    return live()


_remembered: Space | None = None


def remembered(*, anew: bool = False) -> Space:
    """The live space as this process last saw it; read anew where asked. For whoever verifies it later, by its key."""
    global _remembered
    if anew or _remembered is None:
        _remembered = live()
    return _remembered


def second() -> VectorSpace | None:
    """The space beside the live one, if there is one."""
    return VectorSpace.objects.exclude(state=SpaceState.LIVE).first()


def settle() -> Space:
    """The live space, into which vectors may be written. The settings decide what it is as long as there are none."""
    space, wanted = live(), configured()
    same = full_name(space.model) == full_name(wanted.model) and space.dimensions == wanted.dimensions
    if space.id is not None and (same or _has_vectors() or second()):
        return space
    if space.id is None and (stored_dimensions() == wanted.dimensions or _has_vectors()):
        fields = {"model": wanted.model, "dimensions": stored_dimensions()}
        return of(VectorSpace.objects.get_or_create(state=SpaceState.LIVE, defaults=fields)[0])

    def resettle(cursor: CursorWrapper) -> None:
        if not _has_vectors() and not second():
            VectorSpace.objects.all().delete()
            if stored_dimensions() != wanted.dimensions:
                _new_column(cursor, "embedding", wanted.dimensions)
                cursor.execute("CREATE INDEX chunk_missing ON ingestion_chunk (id) WHERE embedding IS NULL")
                how = HNSW.format(column="embedding")
                cursor.execute(f"CREATE INDEX chunk_embedding_hnsw ON ingestion_chunk {how}")
            VectorSpace.objects.create(model=wanted.model, dimensions=wanted.dimensions)

    alone(resettle)
    return live()


def learned() -> Space:
    """The live space with the digest of its weights: of those that the nodes serve now, if it was not known yet.

    Raises EmbeddingUnavailable where no node could tell it.
    """
    space = settle()
    if space.digest or space.id is None:
        return space
    digest = space.client().describe().digest
    VectorSpace.objects.filter(pk=space.id, digest="").update(digest=digest)
    return replace(space, digest=digest)


def difference() -> str:
    """How the settings differ from the model that is in use, and what to do; empty when they do not.

    A database that has not been migrated yet, or that is away, differs from nothing.
    """
    try:
        with transaction.atomic():
            space, wanted = live(), configured()
            if full_name(space.model) == full_name(wanted.model) and space.dimensions == wanted.dimensions:
                return ""
            if not _has_vectors():
                return ""
    except DatabaseError:
        return ""
    return (
        f"The corpus is embedded with {space.model} ({space.dimensions} dimensions), which stays in use. "
        f"EMBEDDING_MODEL says {wanted.model} ({wanted.dimensions}), which only counts for an empty corpus. "
        f"Set it back, or change the model with: ./cloister manage reembed --model {wanted.model}"
    )


def prepare_process() -> None:
    """Settle the space of an empty corpus, and log where the settings differ from the model that is in use.

    For processes that serve or work, before they fork: no connection is left open. A database that is away, or not
    migrated yet, ends nothing, because searches and tasks come back with it.
    """
    try:
        if problem := difference():
            logger.warning("%s", problem)
        else:
            settle()
    except (DatabaseError, Refused) as error:
        logger.warning("the vector space is not settled yet: %s", error)
    finally:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]


def stored_dimensions(column: str = "embedding") -> int:
    """The length of the vectors that this column of the chunks has room for."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT atttypmod FROM pg_attribute WHERE attrelid = 'ingestion_chunk'::regclass AND attname = %s", [column]
        )
        return int(cursor.fetchone()[0])


def _has_vectors() -> bool:
    return Chunk.objects.filter(embedding__isnull=False).exists()


def begin(model: ModelDescription, *, held: bool = False) -> VectorSpace:
    """Make room for the vectors of another model beside the live ones; with `held` it is not switched to by itself.

    Raises Refused: there is another space already, the model is the live one, or the table cannot be had.
    """

    def make_room(cursor: CursorWrapper) -> VectorSpace:
        now = live()
        if other := second():
            way = "--clean-up" if other.state == SpaceState.KEPT else "--cancel"
            raise Refused(
                f"There is a second space already: {other}, {other.get_state_display()}. "
                f"See: ./cloister manage reembed --status. To do away with it: ./cloister manage reembed {way}"
            )
        if full_name(now.model) == full_name(model.name) and now.digest in ("", model.digest):
            raise Refused(f"{model.name} is the model that is in use already.")
        if now.id is None:
            VectorSpace.objects.create(model=now.model, dimensions=now.dimensions)
        _new_column(cursor, "second_embedding", model.dimensions)
        return VectorSpace.objects.create(
            model=model.name,
            dimensions=model.dimensions,
            digest=model.digest,
            state=SpaceState.FILLING,
            held=held,
        )

    if second() is None:
        with connection.cursor() as cursor:
            # What the model of an earlier second space refused.
            cursor.execute(
                "UPDATE ingestion_chunk SET metadata = metadata - 'second_unembeddable' "
                "WHERE metadata ? 'second_unembeddable'"
            )
    return alone(make_room)


def switch(*, from_states: Sequence[SpaceState]) -> list[UUID]:
    """Make the other space the live one, and keep this one; the documents in which a model refused a text.

    Raises Refused where there is none in one of these states, and Incomplete where chunks of documents that are not at
    work have no vector in it.
    """

    def swap(cursor: CursorWrapper) -> list[UUID]:
        other = second()
        if other is None:
            raise Refused("There is no second space. Begin with: ./cloister manage reembed --model NAME")
        if other.state not in from_states:
            raise Refused(f"{other} is {other.get_state_display()}. See: ./cloister manage reembed --status")
        # The table is ours: nobody shall wait for a look at all of it.
        cursor.execute("SET LOCAL enable_seqscan = off")
        if count := _missing_of_resting_documents(cursor):
            raise Incomplete(f"{count} chunks have no vector of {other} yet. The workers make them; try again then.")
        for old, new in (("embedding", "moving"), ("second_embedding", "embedding"), ("moving", "second_embedding")):
            cursor.execute(f"ALTER TABLE ingestion_chunk RENAME COLUMN {old} TO {new}")
        for first, its_second in (
            ("chunk_embedding_hnsw", "chunk_second_embedding_hnsw"),
            ("chunk_missing", "chunk_second_missing"),
        ):
            for old, new in ((first, "chunk_moving"), (its_second, first), ("chunk_moving", its_second)):
                cursor.execute(f"ALTER INDEX {old} RENAME TO {new}")
        # What a model refused is without a vector, and so in one of the two small indexes.
        cursor.execute(
            """
            UPDATE ingestion_chunk SET metadata = metadata - ARRAY['unembeddable', 'second_unembeddable']
                || CASE WHEN metadata ? 'second_unembeddable' THEN '{"unembeddable": true}' ELSE '{}' END::jsonb
                || CASE WHEN metadata ? 'unembeddable' THEN '{"second_unembeddable": true}' ELSE '{}' END::jsonb
            WHERE (embedding IS NULL OR second_embedding IS NULL)
                AND metadata ?| ARRAY['unembeddable', 'second_unembeddable']
            RETURNING document_id
            """
        )
        flagged = sorted({document_id for (document_id,) in cursor.fetchall()})
        VectorSpace.objects.filter(state=SpaceState.LIVE).update(state=SpaceState.KEPT)
        VectorSpace.objects.filter(pk=other.pk).update(
            state=SpaceState.LIVE, live_at=timezone.now(), counted="", problem="", run=None
        )
        return flagged

    flagged = alone(swap)
    logger.warning("searches and new documents use %s from now on", live().model)
    return flagged


def remove_second(*, from_states: Sequence[SpaceState]) -> str:
    """Do away with the other space and its vectors; its name. Raises Refused where there is none in these states."""

    def remove(cursor: CursorWrapper) -> str:
        other = second()
        if other is None or other.state not in from_states:
            found = f"{other} is {other.get_state_display()}." if other else "There is no second space."
            raise Refused(f"{found} See: ./cloister manage reembed --status")
        cursor.execute("ALTER TABLE ingestion_chunk DROP COLUMN second_embedding, ADD COLUMN second_embedding halfvec")
        name = str(other)
        other.delete()
        return name

    return alone(remove)


def _missing_of_resting_documents(cursor: CursorWrapper) -> int:
    """How many chunks lack a vector in the second space, but for those of documents at work: their runs notice a switch
    and give them theirs before they end (`pipeline._serve`)."""
    cursor.execute(
        """
        SELECT count(*) FROM ingestion_chunk AS chunk JOIN ingestion_document AS document ON document.id = document_id
        WHERE second_embedding IS NULL AND NOT chunk.metadata ? 'second_unembeddable' AND document.status <> ALL (%s)
        """,
        [list(WORKING)],
    )
    return int(cursor.fetchone()[0])


def _new_column(cursor: CursorWrapper, column: str, dimensions: int) -> None:
    """Put an empty column of this length in a column's place, its indexes gone. No row is touched."""
    cursor.execute(f"ALTER TABLE ingestion_chunk DROP COLUMN {column}, ADD COLUMN {column} halfvec({int(dimensions)})")
    # A new column brings its type's own way of storage; why PLAIN: see ingestion/migrations/0002.
    cursor.execute(f"ALTER TABLE ingestion_chunk ALTER COLUMN {column} SET STORAGE PLAIN")


def alone(change: Callable[[CursorWrapper], Answer]) -> Answer:
    """What `change` gives, in a transaction that has the tables of spaces and chunks for itself. It must be short.

    Waits for them in short attempts, because everybody else waits behind each. Raises Refused when none got them.
    """
    for milliseconds in LOCK_MILLISECONDS:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])
                cursor.execute("LOCK TABLE ingestion_vectorspace, ingestion_chunk IN ACCESS EXCLUSIVE MODE")
                return change(cursor)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE:
                raise
        time.sleep(LOCK_PAUSE_SECONDS)
    raise Refused(
        "The table of chunks is in use for long (a backup, a vacuum, a large upload): nothing was changed. Try again."
    )
