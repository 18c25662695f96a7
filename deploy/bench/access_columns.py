"""Whether the search reads a chunk's access on the chunk itself or by join from its document (docs/decisions/0002).

    ./cloister bench access_columns [--json] [--chunks N]

Makes a corpus of its own, from a seed, in the database `accesscols` beside the one that DATABASE_URL names, with the
portal's migrations and triggers; leaves it there, so that the next run need not build it (drop it when done). Asks it
as the search does: the statements are those of the real querysets. The ways take turns with every question, so that a
busy machine slows all; where the server runs on this machine the processor time of its process is read too,
which other people's work hardly changes.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import psycopg

from deploy.bench import Bar, conclude, machine
from deploy.bench._access_corpus import DIMENSIONS, SEED, Corpus, build
from deploy.bench._access_server import SESSION, Server, set_up_django
from deploy.bench._access_statements import WAYS, questions, readers, statement, visible_chunks
from deploy.bench._access_timing import take_turns

SCRATCH = "accesscols"
CHUNKS = 100_000
QUESTIONS, FEWER = 40, 15
"""How many are asked where ways are compared, and where only layouts and indexes are."""

SHORT, SHORT_DOCUMENTS, LONG, LONG_DOCUMENTS = 5, 12, 500, 3
"""Chunks of the documents that are reclassified, and how many of each."""


def main() -> int:
    """Measure, print, and return the exit status."""
    before = machine()
    arguments = sys.argv[1:]
    chunks = int(arguments[arguments.index("--chunks") + 1]) if "--chunks" in arguments else CHUNKS
    server = Server(os.environ["DATABASE_URL"], SCRATCH)
    migrate = set_up_django(server)
    mark = f"access_columns: {chunks} chunks, seed {SEED}"
    if not server.made(mark):
        server.make(mark, migrate, lambda connection: build(connection, Corpus(chunks)))
    figures: dict[str, Any] = {}
    with server.connect() as connection:
        for name, value in SESSION.items():
            connection.execute(f"SET {name} = '{value}'")
        figures["searches"] = searches(connection)
        figures["exact_with_an_index"] = exact_with_indexes(connection)
        figures["layout"] = layouts(connection)
    figures["reclassification"] = reclassifications(server)
    rows = figures["searches"]
    return conclude(
        "access_columns",
        on=before,
        data=f"{chunks:,} made chunks of halfvec({DIMENSIONS}), seed {SEED}; {QUESTIONS} questions; top 100",
        figures=figures,
        bars=_bars(rows, figures["reclassification"]),
    )


def _bars(rows: dict[str, Any], writes: dict[str, Any]) -> list[Bar]:
    """What the decision rests on; it is to be made again when one of these falls short."""

    def ratio(reader: str, path: str, way: str, other: str) -> float:
        """What one way costs, where the other costs 1."""
        one, two = (rows[reader][f"{path}, {name}"] for name in (way, other))
        measure = "p50_ms" if one["cpu_p50_ms"] is None or two["cpu_p50_ms"] is None else "cpu_p50_ms"
        return round(float(one[measure]) / float(two[measure]), 2)

    long = writes["on the chunk"][f"{LONG} chunks"]["p50_ms"]
    return [
        Bar("exact scan, 2 % visible: both / on the chunk", ratio("student of none", "exact", "both", "chunk"), 0.5),
        Bar("HNSW, 70 % visible: on the chunk / by join", ratio("academic", "hnsw", "chunk", "join"), 1.1),
        Bar("by words, 70 % visible: on the chunk / by join", ratio("academic", "lexical", "chunk", "join"), 1.0),
        Bar("reclassify a document of 500 chunks (ms)", long, 3000.0),
    ]


def searches(connection: psycopg.Connection) -> dict[str, Any]:
    """Every reader, every path, every way."""
    from search.nearest import EF_SEARCH

    connection.execute(f"SET hnsw.ef_search = {EF_SEARCH}")
    asked = questions(connection, QUESTIONS)
    total = _number(connection, "SELECT count(*) FROM ingestion_chunk")
    outcome: dict[str, Any] = {}
    for reader in readers(connection):
        text, params = visible_chunks(reader, "chunk").values("pk").query.sql_with_params()
        visible = _number(connection, f"SELECT count(*) FROM ({text}) AS visible", params)  # noqa: S608
        outcome[reader.name] = {"visible_percent": round(100 * visible / total, 2)}
        truth: list[list[int]] = []
        for path in ("exact", "hnsw", "lexical"):
            timings = take_turns(
                connection, {way: [statement(reader, one, path, way) for one in asked] for way in WAYS}
            )
            if path != "hnsw":
                truth = timings["chunk"].found
            outcome[reader.name] |= {f"{path}, {way}": one.figures(truth) for way, one in timings.items()}
        _say(reader.name, outcome[reader.name])
    return outcome


def exact_with_indexes(connection: psycopg.Connection) -> dict[str, Any]:
    """The exact scan on the chunk's columns again, with an index over them; nothing of it stays."""
    asked = questions(connection, FEWER)
    outcome: dict[str, Any] = {}
    for name, definition in (
        ("clearance", "CREATE INDEX trial ON ingestion_chunk (clearance) WHERE is_searchable"),
        ("readers", "CREATE INDEX trial ON ingestion_chunk USING gin (readers) WHERE is_searchable"),
    ):
        connection.execute(definition)
        connection.execute("ANALYZE ingestion_chunk")
        outcome[name] = {"size_mb": round(_number(connection, "SELECT pg_relation_size('trial')") / 1e6, 1)}
        for reader in readers(connection):
            scans = [statement(reader, one, "exact", "chunk") for one in asked]
            timing = take_turns(connection, {"chunk": scans})["chunk"]
            outcome[name][reader.name] = timing.figures(timing.found)
        connection.execute("DROP INDEX trial")
        _say(f"index on {name}", outcome[name])
    return outcome


def layouts(connection: psycopg.Connection) -> dict[str, Any]:
    """What the columns weigh, and what they cost the exact scan when PostgreSQL keeps `readers` out of line."""
    outcome: dict[str, Any] = {"hnsw_mb": _megabytes(connection, "chunk_embedding_hnsw")}
    asked = questions(connection, FEWER)
    access = ("clearance", "readers", "is_searchable", "visible_from", "visible_until")
    columns = [
        row[0]
        for row in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'ingestion_chunk'::regclass AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum"
        )
    ]
    for name, change, kept in (
        ("readers in line", "ALTER COLUMN readers SET STORAGE MAIN", columns),
        ("readers out of line", "ALTER COLUMN readers SET STORAGE EXTENDED", columns),
        ("without access", ", ".join(f"DROP COLUMN {one}" for one in access), [c for c in columns if c not in access]),
    ):
        connection.execute("DROP SCHEMA IF EXISTS trial CASCADE")
        connection.execute("CREATE SCHEMA trial")
        connection.execute("CREATE TABLE trial.ingestion_chunk (LIKE public.ingestion_chunk INCLUDING STORAGE)")
        connection.execute(f"ALTER TABLE trial.ingestion_chunk {change}")
        listed = ", ".join(kept)
        connection.execute(f"INSERT INTO trial.ingestion_chunk ({listed}) SELECT {listed} FROM public.ingestion_chunk")  # noqa: S608
        connection.execute("VACUUM (ANALYZE) trial.ingestion_chunk")
        outcome[name] = {
            "heap_mb": _megabytes(connection, "trial.ingestion_chunk"),
            "with_toast_mb": round(_number(connection, "SELECT pg_table_size('trial.ingestion_chunk')") / 1e6, 1),
        }
        if kept == columns:
            connection.execute("CREATE INDEX ON trial.ingestion_chunk USING gin (lexemes)")
            connection.execute("SET search_path = trial, public")
            for reader in readers(connection)[:3]:
                for path in ("exact", "lexical"):
                    scans = [statement(reader, one, path, "chunk") for one in asked]
                    timing = take_turns(connection, {"chunk": scans})["chunk"]
                    outcome[name][f"{reader.name}, {path}"] = timing.figures(timing.found)
            connection.execute("RESET search_path")
        _say(name, outcome[name])
    connection.execute("DROP SCHEMA trial CASCADE")
    return outcome


def reclassifications(server: Server) -> dict[str, Any]:
    """What it costs to change a document's clearance, in a copy of the corpus that is dropped afterwards."""
    copy = f"{SCRATCH}_writes"
    with server.beside() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {copy}")
        connection.execute(f"CREATE DATABASE {copy} TEMPLATE {SCRATCH} STRATEGY file_copy")
    outcome: dict[str, Any] = {}
    try:
        with server.connect(copy) as connection:
            for round_number, (name, before) in enumerate(
                (
                    ("on the chunk", "SELECT 1"),
                    ("on the chunk, indexed", "CREATE INDEX trial ON ingestion_chunk (clearance) WHERE is_searchable"),
                    ("by join", "ALTER TABLE ingestion_document DISABLE TRIGGER ingestion_document_to_chunks"),
                )
            ):
                connection.execute(before)
                outcome[name] = {
                    f"{length} chunks": _reclassify(connection, length, count, skip=round_number * count)
                    for length, count in ((SHORT, SHORT_DOCUMENTS), (LONG, LONG_DOCUMENTS))
                }
                _say(name, outcome[name])
            outcome["hnsw_mb_after"] = _megabytes(connection, "chunk_embedding_hnsw")
            started = time.perf_counter()
            connection.execute("VACUUM ingestion_chunk")
            outcome["vacuum_afterwards_seconds"] = round(time.perf_counter() - started, 1)
    finally:
        with server.beside() as connection:
            connection.execute(f"DROP DATABASE {copy}")
    return outcome


def _reclassify(connection: psycopg.Connection, length: int, count: int, *, skip: int) -> dict[str, Any]:
    """Change the clearance of documents of this length, each in a transaction of its own."""
    chosen = connection.execute(
        "SELECT id FROM ingestion_document WHERE chunk_count = %s ORDER BY id OFFSET %s LIMIT %s", [length, skip, count]
    ).fetchall()
    clock, log = [], []
    written, in_page = _chunk_updates(connection)
    for (document,) in chosen:
        position = _number(connection, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        started = time.perf_counter()
        with connection.transaction():
            connection.execute("UPDATE ingestion_document SET clearance = clearance %% 4 + 1 WHERE id = %s", [document])
        clock.append(1000 * (time.perf_counter() - started))
        log.append(_number(connection, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn") - position)
    written, in_page = (now - then for now, then in zip(_chunk_updates(connection), (written, in_page), strict=True))
    return {
        "p50_ms": round(statistics.median(clock), 1),
        "slowest_ms": round(max(clock), 1),
        "log_kb": round(statistics.median(log) / 1000),
        "chunks_written": written,
        "of_these_hot": in_page,
    }


def _chunk_updates(connection: psycopg.Connection) -> tuple[int, int]:
    """Updates of chunk rows so far, and how many of them were heap-only (HOT), which leave the indexes alone."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'ingestion_chunk'"
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _number(connection: psycopg.Connection, statement: str, params: Sequence[Any] | None = None) -> int:
    row = connection.execute(statement, params).fetchone()
    return int(row[0]) if row else 0


def _megabytes(connection: psycopg.Connection, relation: str) -> float:
    return round(_number(connection, "SELECT pg_relation_size(%s::regclass)", [relation]) / 1e6, 1)


def _say(name: str, figures: dict[str, Any]) -> None:
    print(f"{name}: {json.dumps(figures)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
