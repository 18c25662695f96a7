"""What an ingestion left in the database and among the stored files, and how two of them differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

WORKING = ("queued", "extracting", "embedding")

# Made anew by every registration and every run, or a moment.
DOCUMENT_SAYS_NOTHING = "{id,file,parent_id,batch_id,owner_id,run,run_seen_at,created_at,updated_at,checked_at}"
CHUNK_SAYS_NOTHING = "{id,document_id}"

PICTURE = """
SELECT document.file_name, coalesce(parent.file_name, ''), document.part, document.status,
    md5((to_jsonb(document) - %(of_documents)s::text[])::text),
    coalesce((
        SELECT md5(string_agg((to_jsonb(chunk) - %(of_chunks)s::text[])::text, ' ' ORDER BY position, chunk.id))
        FROM ingestion_chunk AS chunk WHERE chunk.document_id = document.id
    ), ''),
    (SELECT count(*) FROM ingestion_chunk AS chunk WHERE chunk.document_id = document.id),
    document.error
FROM ingestion_document AS document LEFT JOIN ingestion_document AS parent ON parent.id = document.parent_id
"""

REFERRED = """
SELECT file FROM ingestion_document UNION SELECT next_file FROM ingestion_document
UNION SELECT file FROM ingestion_earlierversion
"""

Key = tuple[str, str, str]
"""Name of the file, name of the file that it came in, and its place there."""


@dataclass(frozen=True)
class Look:
    """One document: its state, and hashes of all that it says of itself and of its chunks, vectors included."""

    status: str
    itself: str
    chunks: str
    chunk_count: int
    error: str = ""


@dataclass(frozen=True)
class Outcome:
    """What there is when nothing is left to do."""

    documents: Mapping[Key, tuple[Look, ...]]
    staged_chunks: int
    missing_originals: int
    stray_originals: int

    @property
    def count(self) -> int:
        return sum(map(len, self.documents.values()))

    @property
    def chunks(self) -> int:
        return sum(look.chunk_count for looks in self.documents.values() for look in looks)


@dataclass
class Differences:
    """How an outcome differs from that of an undisturbed run of the same files: documents by their names."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    not_ready: list[str] = field(default_factory=list)
    other_chunks: list[str] = field(default_factory=list)
    otherwise: list[str] = field(default_factory=list)


def counts(address: str) -> Counter[str]:
    """How many documents are in which state. Raises psycopg.Error while the database is away."""
    with psycopg.connect(address, autocommit=True, connect_timeout=2) as connection:
        rows = connection.execute("SELECT status, count(*) FROM ingestion_document GROUP BY status").fetchall()
    return Counter(dict(rows))


def outcome(address: str, media: Path) -> Outcome:
    """Look at everything that an ingestion has left."""
    given = {"of_documents": DOCUMENT_SAYS_NOTHING, "of_chunks": CHUNK_SAYS_NOTHING}
    documents: dict[Key, tuple[Look, ...]] = {}
    with psycopg.connect(address, autocommit=True) as connection:
        for name, parent, part, *look in connection.execute(PICTURE, given):
            documents[name, parent, part] = (*documents.get((name, parent, part), ()), Look(*look))
        row = connection.execute("SELECT count(*) FROM ingestion_chunk WHERE staged").fetchone()
        referred = {name for (name,) in connection.execute(REFERRED) if name}
    stored = {str(path.relative_to(media)) for path in media.rglob("*") if path.is_file()}
    return Outcome(documents, row[0] if row else 0, len(referred - stored), len(stored - referred))


def differences(calm: Outcome, disturbed: Outcome) -> Differences:
    """How the second outcome differs from the first."""
    found = Differences()
    found.strange = sorted(" in ".join(filter(None, key)) for key in disturbed.documents.keys() - calm.documents.keys())
    for key, (expected, *_) in calm.documents.items():
        name, looks = " in ".join(filter(None, key)), disturbed.documents.get(key, ())
        if not looks:
            found.lost.append(name)
        if len(looks) > 1:
            found.doubled.append(name)
        for look in looks:
            if look.status != "ready":
                found.not_ready.append(f"{name}: {look.status}: {look.error}")
            elif (look.chunks, look.chunk_count) != (expected.chunks, expected.chunk_count):
                found.other_chunks.append(f"{name}: {look.chunk_count} chunks, {expected.chunk_count} expected")
            elif look.itself != expected.itself:
                found.otherwise.append(name)
    return found
