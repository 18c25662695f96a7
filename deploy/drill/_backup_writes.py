"""What the drill writes, and what the server told of it: when each commit was, and what the rows were."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

DIMENSIONS = 384
CHUNKS_A_DOCUMENT = 5

DOCUMENTS = """
INSERT INTO ingestion_document (
    id, title, file, file_name, file_size, mime_type, sha256, department_id, doc_type_id, audience, clearance, language,
    priority, status, progress, error, error_reason, page_count, chunk_count, recipe, is_searchable, readers,
    created_at, updated_at, next_file, next_file_name, next_file_size, next_sha256, unread_pages, part)
SELECT id, 'Document ' || id, 'originals/' || id, id || '.pdf', 1000, 'application/pdf', replace(id::text, '-', ''),
    (SELECT min(id) FROM accounts_department), (SELECT min(id) FROM ingestion_documenttype), 'institution', 1, 'en', 3,
    'ready', 100, '', '', 1, %(chunks)s, 'made', true, '{}', now(), now(), '', '', 0, '', 0, ''
FROM unnest(%(ids)s::uuid[]) AS id
"""

# `id` is in the expression so that a vector is drawn for each row, and not one for all.
CHUNKS = """
INSERT INTO ingestion_chunk (
    document_id, position, text, page_number, section_title, language, lexemes, embedding, content_hash, staged,
    metadata, clearance, readers, is_searchable)
SELECT id, place, body, 1, '', 'en', to_tsvector('simple', body), (
        SELECT array_agg(random() - 0.5 + 0 * (one + place + hashtext(id::text)))::real[]::halfvec(384)
        FROM generate_series(1, 384) AS one
    ), sha256(body::bytea), false, '{}', 4, '{}', false
FROM unnest(%(ids)s::uuid[]) AS id, generate_series(0, %(chunks)s - 1) AS place,
    LATERAL (SELECT 'passage ' || place || ' of ' || id || ' ' || md5(random()::text || place || id) AS body) AS made
"""

# Whole rows as text, vectors and all.
DIGESTS = """
SELECT document.id, md5(document::text || coalesce(
    (SELECT string_agg(chunk::text, '|' ORDER BY chunk.id) FROM ingestion_chunk AS chunk
     WHERE chunk.document_id = document.id), ''))
FROM ingestion_document AS document
"""


@dataclass(frozen=True)
class Write:
    """One acknowledged transaction: when the server committed it, and what the document was then (None: gone)."""

    committed: datetime
    acknowledged: float
    document: UUID
    digest: str | None


@dataclass
class Writer:
    """Writes documents, changes and deletes them, one transaction after the other, until the server is gone."""

    address: str
    seed: int
    written: list[Write] = field(default_factory=list)
    untold: set[UUID] = field(default_factory=set)
    """A document whose last transaction was not acknowledged, or whose rows could not be asked for any more."""

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until it has seen that the server is gone."""
        self._thread.join(60)

    def _write(self) -> None:
        drawn, mine = random.Random(self.seed), list[UUID]()  # noqa: S311 (what to do next)
        document = uuid4()
        try:
            with psycopg.connect(self.address, autocommit=True) as connection:
                while True:
                    turn = drawn.random()
                    document = uuid4() if turn < 0.6 or not mine else drawn.choice(mine)
                    self.untold.add(document)
                    with connection.transaction():
                        number = self._change(connection, turn, document, mine)
                    acknowledged = time.monotonic()
                    told = one_row(connection, "SELECT pg_xact_commit_timestamp(%s::xid)", [number])
                    row = connection.execute(f"{DIGESTS} WHERE document.id = %s", [document]).fetchone()
                    self.written.append(Write(told[0], acknowledged, document, str(row[1]) if row else None))
                    self.untold.discard(document)
        except psycopg.Error:
            return  # The server is gone: that is what the drill is about.

    def _change(self, connection: psycopg.Connection, turn: float, document: UUID, mine: list[UUID]) -> str:
        """Insert, change or delete this document; the transaction's number."""
        if document not in mine:
            insert(connection, [document])
            mine.append(document)
        elif turn < 0.85:
            connection.execute(
                "UPDATE ingestion_chunk SET text = text || ' changed', embedding = embedding + "
                "array_fill(0.25, ARRAY[384])::real[]::halfvec WHERE document_id = %s AND position = 0",
                [document],
            )
        else:
            connection.execute("DELETE FROM ingestion_chunk WHERE document_id = %s", [document])
            connection.execute("DELETE FROM ingestion_document WHERE id = %s", [document])
            mine.remove(document)
        return str(one_row(connection, "SELECT pg_current_xact_id()::xid::text")[0])


def one_row(connection: psycopg.Connection, statement: str, values: list[Any] | None = None) -> tuple[Any, ...]:
    """The one row of the answer."""
    row = connection.execute(statement, values).fetchone()
    if row is None:
        raise RuntimeError(f"no row: {statement}")
    return row


def insert(connection: psycopg.Connection, documents: list[UUID]) -> None:
    """Write documents with their chunks and vectors."""
    connection.execute(DOCUMENTS, {"ids": documents, "chunks": CHUNKS_A_DOCUMENT})
    connection.execute(CHUNKS, {"ids": documents, "chunks": CHUNKS_A_DOCUMENT})


def digests(address: str) -> dict[UUID, str]:
    """What each document is, with its chunks and vectors, as the server has them."""
    with psycopg.connect(address) as connection:
        return dict(connection.execute(DIGESTS).fetchall())


def others(address: str) -> dict[str, str]:
    """Every other table of the portal's, as a whole."""
    with psycopg.connect(address) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename NOT IN ('ingestion_document', 'ingestion_chunk')"
        ).fetchall()
        found = {}
        for (table,) in tables:
            whole = f'SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "{table}" AS t'  # noqa: S608
            found[str(table)] = str(one_row(connection, whole)[0])
        return found


def as_of(before: dict[UUID, str], writes: list[Write], moment: datetime | None) -> dict[UUID, str]:
    """What the documents were after everything that was committed up to this moment; None: after everything."""
    found = dict(before)
    for write in sorted(writes, key=lambda one: one.committed):
        if moment is not None and write.committed > moment:
            break
        if write.digest is None:
            found.pop(write.document, None)
        else:
            found[write.document] = write.digest
    return found
