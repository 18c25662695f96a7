"""Filling a second vector space beside the live one, checking it, and switching to it.

A run works in short slices on a queue of its own, and hands itself on; a later run wins over an earlier one. So it may
be killed anywhere, and `resume` (on beat) finds what stands still. A space that was switched away from is filled on,
so that it is complete whenever somebody wants it back.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from ingestion import statistics, vectorspace
from ingestion.chunkrows import embedded_text
from ingestion.embedding_nodes import REQUESTS_PER_NODE
from ingestion.embeddings import BATCH_SIZE, EmbeddingUnavailable, describe
from ingestion.models import WORKING, Chunk, Document, SpaceState, Status, VectorSpace
from ingestion.queueing import requeue
from ingestion.runs import Superseded
from ingestion.upkeep import UNAVAILABLE

SLICE_SECONDS = 20.0
"""How long a task works before it hands itself on: what is lost with a worker, and how long a document may wait for
its place."""

LARGEST_BATCH = 128
"""Chunks that are read, embedded and written together, however many nodes there are."""

RECALL_LIMIT = 0.95
"""Of the ten nearest chunks the index must find this share (the issue's bar for the approximate search is the same)."""

RECALL_SAMPLE, RECALL_AT = 50, 10
EF_SEARCH = 800
"""As searches use it (search.nearest)."""

SWITCH_ATTEMPTS = 20
"""Documents that become ready while the table is waited for put a switch off; so often it is tried again at once."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """How a change of the model stands. Times in seconds; `seconds_left` is None where it cannot be told."""

    live: str
    second: str
    state: str
    chunks: int
    filled: int
    refused: int
    missing: int
    recall: float | None
    held: bool
    problem: str
    seconds: int
    seconds_left: int | None


def begin(model: str, *, held: bool = False, in_background: bool = True) -> VectorSpace:
    """Begin to embed the corpus with another model. Raises Refused or EmbeddingUnavailable; nothing is changed then."""
    space = vectorspace.begin(describe(model), held=held)
    if in_background:
        enqueue()
    return space


def switch() -> None:
    """Make the space that is complete and checked the live one. Raises Refused."""
    other = vectorspace.second()
    if other and other.state == SpaceState.FILLING and other.recall is not None and other.recall < RECALL_LIMIT:
        raise vectorspace.Refused(_recall_too_low(other))
    _switch(SpaceState.CHECKED)


def roll_back() -> None:
    """Make the space that was live before the live one again; a second time, the other again. Raises Refused."""
    _switch(SpaceState.KEPT)


def clean_up() -> str:
    """Do away with the space that was kept for a roll-back; its name. Raises Refused."""
    return vectorspace.remove_second(from_states=[SpaceState.KEPT])


def cancel() -> str:
    """Give up the space that is being filled; its name. Raises Refused."""
    return vectorspace.remove_second(from_states=[SpaceState.FILLING, SpaceState.CHECKED])


def _switch(from_state: SpaceState) -> None:
    flagged = vectorspace.switch(from_states=[from_state])
    # What their page says of passages that could not be embedded is true of the other model only.
    requeue(Document.objects.filter(pk__in=flagged, status=Status.READY))


def standing() -> Standing:
    """How it stands now."""
    other = vectorspace.second()
    refused = missing = 0
    if other:
        lacking = Chunk.objects.filter(second_embedding__isnull=True)
        refused = lacking.filter(metadata__has_key="second_unembeddable").count()
        missing = lacking.count() - refused
    chunks = Chunk.objects.count() if other else 0
    filled = chunks - missing - refused
    end = (other.filled_at or timezone.now()) if other else None
    seconds = (end - other.created_at).total_seconds() if other and end else 0.0
    left = None if not other or not filled or seconds <= 0 else math.ceil(missing * seconds / filled)
    return Standing(
        live=str(vectorspace.live().model),
        second=str(other.model) if other else "",
        state=other.state if other else "",
        chunks=chunks,
        filled=filled,
        refused=refused,
        missing=missing,
        recall=other.recall if other else None,
        held=bool(other and other.held),
        problem=other.problem if other else "",
        seconds=round(seconds),
        seconds_left=left,
    )


def enqueue() -> None:
    """Hand the work to the workers. A message that none of them takes is forgotten; `resume` sends another."""
    try:
        current_app.send_task("ingestion.reembed", expires=settings.INGESTION_STALE_SECONDS)
    except BrokerError:
        logger.warning("the queue is away: the re-embedding goes on when it is back")


def resume() -> bool:
    """Hand a second space that stands still, and lacks something, to the workers; whether there was one."""
    other = vectorspace.second()
    long_ago = timezone.now() - timedelta(seconds=settings.INGESTION_STALE_SECONDS)
    if other is None or (other.run_seen_at and other.run_seen_at > long_ago):
        return False
    done = other.state == SpaceState.KEPT or (other.state == SpaceState.CHECKED and other.held)
    too_low = other.recall is not None and other.recall < RECALL_LIMIT
    if (done or too_low) and not _next_batch(1):
        return False
    VectorSpace.objects.filter(pk=other.pk).update(run_seen_at=timezone.now())
    enqueue()
    return True


def work() -> None:
    """One slice of the work, and the next one handed on where there is more to do. What the workers run."""
    busy = Document.objects.filter(status__in=WORKING).exclude(error_reason=UNAVAILABLE).exists()
    try:
        # Documents that wait go first: one batch, and to the end of the queue.
        finished = go_on(seconds=0.0 if busy else SLICE_SECONDS)
    except Superseded:
        logger.info("a later run has taken the re-embedding over")
    except EmbeddingUnavailable as error:
        logger.warning("the re-embedding waits: %s", error)
    else:
        if not finished:
            enqueue()


def go_on(*, seconds: float = math.inf, report: Callable[[], None] = lambda: None) -> bool:
    """Fill, check and switch for so long, at least one step; whether nothing is left to be done without a person.

    Raises EmbeddingUnavailable when no node can embed, and Superseded when a later run has taken over.
    """
    space = _claim()
    if space is None:
        return True
    deadline = time.monotonic() + seconds
    _prepare_index_of_missing()
    attempts = 0
    while True:
        try:
            more = _fill_batch(space)
        except EmbeddingUnavailable as error:
            VectorSpace.objects.filter(pk=space.pk, run=space.run).update(problem=str(error))
            raise
        report()
        if not more and space.state == SpaceState.FILLING:
            more = _check(space)
        elif not more and space.state == SpaceState.CHECKED and not space.held and attempts < SWITCH_ATTEMPTS:
            attempts += 1
            more = not _is_switched()
        if not more or time.monotonic() >= deadline:
            return not more


def _is_switched() -> bool:
    try:
        _switch(SpaceState.CHECKED)
    except vectorspace.Incomplete as late:
        logger.info("%s", late)
        return False
    return True


def _claim() -> VectorSpace | None:
    """The second space, taken over from whichever run works on it; None where there is none."""
    space = vectorspace.second()
    if space is None:
        return None
    space.run, space.run_seen_at, space.problem = uuid.uuid4(), timezone.now(), ""
    space.save(update_fields=["run", "run_seen_at", "problem"])
    return space


def _sign_of_life(space: VectorSpace, **changes: object) -> None:
    """Write these fields, if this run still holds the space. Raises Superseded."""
    held = VectorSpace.objects.exclude(state=SpaceState.LIVE).filter(pk=space.pk, run=space.run)
    if not held.update(run_seen_at=timezone.now(), **changes):
        raise Superseded
    for name, value in changes.items():
        setattr(space, name, value)


def _prepare_index_of_missing() -> None:
    """The index by which what is missing is found, and known to be nothing in an instant when it is switched.

    Not CONCURRENTLY: it holds up writers for a moment, and no reader.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE INDEX IF NOT EXISTS chunk_second_missing ON ingestion_chunk (id) WHERE second_embedding IS NULL"
        )


def _next_batch(size: int) -> list[Chunk]:
    lacking = Chunk.objects.filter(second_embedding__isnull=True).exclude(metadata__has_key="second_unembeddable")
    wanted = lacking.select_related("document").only("text", "section_title", "document__title")
    return list(wanted.order_by("pk")[:size])


def _fill_batch(space: VectorSpace) -> bool:
    """Embed some of the chunks that have no vector in this space; False where there are none."""
    batch = _next_batch(min(LARGEST_BATCH, BATCH_SIZE * REQUESTS_PER_NODE * len(settings.OLLAMA_URLS)))
    if not batch:
        return False
    texts = [embedded_text(chunk.document.title, chunk.section_title, chunk.text) for chunk in batch]
    vectors = vectorspace.of(space).client().embed_passages(texts)
    pairs = list(zip(batch, vectors, strict=True))
    for document_id, of_document in groupby(pairs, key=lambda pair: pair[0].document_id):
        _write(space, document_id, [(chunk.pk, vector) for chunk, vector in of_document])
    return True


def _write(space: VectorSpace, document_id: UUID, vectors: Sequence[tuple[int, list[float] | None]]) -> None:
    """Write vectors of one document's chunks. Chunks that are gone since are passed over. Raises Superseded."""
    with transaction.atomic(), connection.cursor() as cursor:
        # A document's row is locked first and its chunks' after it, as everywhere; one document at a time.
        Document.objects.select_for_update(no_key=True).filter(pk=document_id).first()
        vectorspace.hold()
        _sign_of_life(space)
        made = [(pk, "[" + ",".join(map(str, vector)) + "]") for pk, vector in vectors if vector is not None]
        cursor.execute(
            "UPDATE ingestion_chunk SET second_embedding = made.vector::halfvec "
            "FROM unnest(%s::bigint[], %s::text[]) AS made (id, vector) WHERE ingestion_chunk.id = made.id",
            [[pk for pk, _ in made], [text for _, text in made]],
        )
        cursor.execute(
            "UPDATE ingestion_chunk SET metadata = metadata || '{\"second_unembeddable\": true}' WHERE id = ANY (%s)",
            [[pk for pk, vector in vectors if vector is None]],
        )


def _check(space: VectorSpace) -> bool:
    """Index the space, count its centres, and see whether the index finds what is near; whether to go on."""
    if not space.filled_at:
        _sign_of_life(space, filled_at=timezone.now())
    if not _is_indexed():
        return False
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ingestion_chunk (second_embedding)")
    _sign_of_life(space, recall=_measured_recall())
    if space.recall is not None and space.recall < RECALL_LIMIT:
        _sign_of_life(space, problem=_recall_too_low(space))
        return False
    statistics.count_centres_of_second(space)
    _sign_of_life(space, state=SpaceState.CHECKED)
    return True


def _recall_too_low(space: VectorSpace) -> str:
    return (
        f"The index of {space} finds only {space.recall:.3f} of the nearest chunks, {RECALL_LIMIT} are needed: it is "
        "not switched to. Give it up with: ./cloister manage reembed --cancel"
    )


def _is_indexed() -> bool:
    """Whether the HNSW index of the second space is there; makes it, unless somebody else is at it.

    After the filling, because that is faster and gives a smaller index than filling through it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('chunk_second_embedding_hnsw')), "
            "EXISTS (SELECT FROM pg_stat_progress_create_index WHERE relid = 'ingestion_chunk'::regclass)"
        )
        is_valid, is_being_made = cursor.fetchone()
        if is_valid:
            return True
        if is_being_made:
            return False
        if is_valid is False:
            cursor.execute("DROP INDEX CONCURRENTLY IF EXISTS chunk_second_embedding_hnsw")
        how = vectorspace.HNSW.format(column="second_embedding")
        cursor.execute(f"CREATE INDEX CONCURRENTLY chunk_second_embedding_hnsw ON ingestion_chunk {how}")
    return True


def _measured_recall() -> float | None:
    """Which share of the nearest chunks to a sample of them the second space's index finds; None where it is empty."""
    found = wanted = 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('hnsw.ef_search', %s, true)", [str(EF_SEARCH)])
        cursor.execute(
            "SELECT id, second_embedding::text FROM ingestion_chunk WHERE second_embedding IS NOT NULL "
            "ORDER BY hashint8(id) LIMIT %s",
            [RECALL_SAMPLE],
        )
        for pk, vector in cursor.fetchall():
            exact, indexed = (_distances(cursor, pk, vector, by_index=by_index) for by_index in (False, True))
            wanted += len(exact)
            # By distance, not by number: of equally near ones any will do.
            found += sum(1 for distance in indexed if exact and distance <= exact[-1] + 1e-6)
    return found / wanted if wanted else None


def _distances(cursor: CursorWrapper, pk: int, vector: str, *, by_index: bool) -> list[float]:
    """How far the nearest other chunks are from this one, in the second space: by its index, or comparing every one."""
    cursor.execute(
        "SELECT set_config('enable_indexscan', %s, true), set_config('enable_seqscan', %s, true)",
        ["on", "off"] if by_index else ["off", "on"],
    )
    distance = "(second_embedding <=> %(vector)s::halfvec)"
    cursor.execute(
        f"SELECT distance FROM (SELECT id, {distance} AS distance FROM ingestion_chunk "  # noqa: S608  # nosec B608  # fixed
        f"WHERE second_embedding IS NOT NULL ORDER BY {distance} {'' if by_index else '+ 0.0'} LIMIT %(limit)s) "
        "AS near WHERE id <> %(pk)s",
        {"vector": vector, "limit": RECALL_AT + 1, "pk": pk},
    )
    return sorted(distance for (distance,) in cursor.fetchall())[:RECALL_AT]
