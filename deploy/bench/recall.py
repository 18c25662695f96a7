"""Whether everybody finds what is nearest, however little they may see.

    ./cloister bench recall [--json] [--chunks N]

Ten viewers and filters, which leave 100 % to 0.05 % of a made corpus, ask questions by meaning. Of the ten chunks that
are nearest among those that they may see (every one compared) the search must have found 99 %, and show ten documents
wherever there are ten. Then the same again while 50 chunks a second are written.

Makes its corpus, from a seed, in the database `searchbench` beside the one that DATABASE_URL names, and leaves it there
for the next run and for `bench search` (drop it when done). Without a running instance it starts the parts that it
needs.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from pgvector import HalfVector
from pgvector.psycopg import register_vector

from deploy.bench import AtLeast, Bar, conclude, machine
from deploy.bench._access_corpus import draw, unit
from deploy.bench._access_server import Server
from deploy.bench._access_statements import Question, questions
from deploy.bench._access_whole import prepare as prepare_connection
from deploy.bench._access_whole import vectors_known
from deploy.bench._parts import again_with_parts, missing
from deploy.bench._search_corpus import Asker, askers, described, prepare

QUESTIONS, FEWER = 40, 10
"""How many are asked in quiet, and while chunks are written."""

AT = 10
FLOOR = 0.99
"""The issue that introduced this benchmark."""

WRITTEN_TOGETHER, PAUSE_SECONDS = 10, 0.2
"""Documents of ten chunks, five a second."""


def main() -> int:
    """Measure, print, and return the exit status."""
    if missing():
        return again_with_parts("deploy.bench.recall")
    before = machine()
    server, chunks = prepare(sys.argv[1:])
    with server.connect() as connection:
        asked = questions(connection, QUESTIONS)
    prepare_connection()
    with vectors_known({question.words.replace(" | ", " "): question.vector for question in asked}):
        quiet = {one.name: _measured(one, asked) for one in askers()}
        with writing(server) as pace:
            writes = {one.name: _measured(one, asked[:FEWER]) for one in askers()}
    return conclude(
        "recall",
        on=before,
        data=f"{described(chunks)}; {QUESTIONS} questions, {FEWER} while {pace[0]:.0f} chunks a second were written",
        figures={"quiet": quiet, "while_chunks_are_written": writes},
        bars=[
            *_bars("", quiet),
            *_bars(", while chunks are written", writes),
            AtLeast("chunks a second", pace[0], 45.0),
        ],
    )


def _bars(when: str, figures: dict[str, Any]) -> list[Bar]:
    return [
        bar
        for name, one in figures.items()
        for bar in (
            AtLeast(f"{name}{when}: recall@{AT}", one["recall"], FLOOR),
            Bar(f"{name}{when}: pages with fewer hits than there are documents", one["short_pages"], 0),
        )
    ]


def _measured(asker: Asker, asked: Sequence[Question]) -> dict[str, Any]:
    """Recall of the nearest ten chunks, and pages that are not full though there is more to show."""
    from ingestion.models import Document
    from search.reach import narrowed
    from search.retrieval import candidates
    from search.service import search
    from search.vectors import query_vector

    recalls, short = [], 0
    for question in asked:
        query = asker.query(question, "semantic")
        wanted = nearest(asker, question)
        found = candidates(query, viewer=asker.viewer, vector=query_vector(query.text, anew=True)).candidates
        best = sorted(found, key=lambda one: -one.similarity)[:AT]
        page = search(query, viewer=asker.viewer, audited=False)
        visible = narrowed(Document.objects.visible_to(asker.viewer), query).order_by()
        short += len(page.hits) < visible[:AT].count()
        recall = _recall(wanted, best)
        # What is written meanwhile was there for one of the two.
        recalls.append(recall if recall == 1 else max(recall, _recall(nearest(asker, question), best)))
    return {
        "visible_chunks": sum(visible.values_list("chunk_count", flat=True)),
        "recall": round(statistics.fmean(recalls), 4),
        "least_recall": round(min(recalls), 2),
        "short_pages": short,
    }


def _recall(wanted: Sequence[int], found: Sequence[Any]) -> float:
    ids = {one.chunk_id for one in found}
    return sum(1 for pk in wanted if pk in ids) / len(wanted) if wanted else 1.0


def nearest(asker: Asker, question: Question) -> list[int]:
    """The ten nearest chunks that they may see, by comparing every one."""
    from django.db.models import F, Value
    from pgvector.django import CosineDistance

    from ingestion.models import Chunk
    from search.reach import narrowed

    chunks = narrowed(Chunk.objects.visible_to(asker.viewer), asker.query(question, "semantic"), "document__")
    near = chunks.filter(embedding__isnull=False).annotate(distance=CosineDistance("embedding", question.vector))
    # Ordering by an expression keeps the planner from the index.
    return list(near.order_by(F("distance") + Value(0.0), "pk").values_list("pk", flat=True)[:AT])


@contextmanager
def writing(server: Server) -> Iterator[list[float]]:
    """Meanwhile, documents of ten chunks are written, five a second; the chunks a second that were, when it is over."""
    stop, written, pace = threading.Event(), [0], [0.0]

    def write() -> None:
        with server.connect() as connection:
            register_vector(connection)
            due = time.monotonic()
            while not stop.is_set():
                _write_document(connection)
                written[0] += WRITTEN_TOGETHER
                due += PAUSE_SECONDS
                stop.wait(max(0.0, due - time.monotonic()))

    started = time.monotonic()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield pace
    finally:
        stop.set()
        writer.join()
        pace[0] = written[0] / (time.monotonic() - started)
        with server.connect() as connection:
            for table, key in (("chunk", "document_id"), ("document", "id")):
                connection.execute(
                    f"DELETE FROM ingestion_{table} WHERE {key} IN "  # noqa: S608
                    "(SELECT id FROM ingestion_document WHERE title = 'Written meanwhile')"
                )


def _write_document(connection: psycopg.Connection) -> None:
    """A copy of some public document under another title, its chunks near those that they are copied from."""
    import numpy as np

    random = np.random.default_rng()
    key = uuid4()
    with connection.transaction():
        model = connection.execute(
            "SELECT id FROM ingestion_document WHERE chunk_count >= %s AND title LIKE 'Document %%' "
            "ORDER BY id OFFSET floor(random() * 1000) LIMIT 1",
            [WRITTEN_TOGETHER],
        ).fetchone()
        columns = _columns(connection, "document") - {"id", "title", "sha256", "chunk_count"}
        listed = ", ".join(f'"{one}"' for one in sorted(columns))
        connection.execute(
            f"INSERT INTO ingestion_document (id, title, sha256, chunk_count, {listed}) "  # noqa: S608
            f"SELECT %s, 'Written meanwhile', %s, %s, {listed} FROM ingestion_document WHERE id = %s",
            [key, key.hex, WRITTEN_TOGETHER, *(model or [None])],
        )
        columns = _columns(connection, "chunk") - {"id", "document_id", "embedding"}
        listed = ", ".join(f'"{one}"' for one in sorted(columns))
        copied = connection.execute(
            "SELECT id, embedding FROM ingestion_chunk WHERE document_id = %s ORDER BY position LIMIT %s",
            [*(model or [None]), WRITTEN_TOGETHER],
        ).fetchall()
        for pk, vector in copied:
            near = unit(np.array([vector.to_list()], dtype=np.float32) + np.float32(0.5) * draw(random, 1))[0]
            connection.execute(
                f"INSERT INTO ingestion_chunk (document_id, embedding, {listed}) "  # noqa: S608
                f"SELECT %s, %s, {listed} FROM ingestion_chunk WHERE id = %s",
                [key, HalfVector(near), pk],
            )


def _columns(connection: psycopg.Connection, table: str) -> set[str]:
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'",
        [f"ingestion_{table}"],
    )
    return {row[0] for row in rows}


if __name__ == "__main__":
    sys.exit(main())
