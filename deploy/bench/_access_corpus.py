"""The made corpus of the access benchmarks: a university's documents, their access, and vectors lying as real ones do.

Everything follows from one seed, so that a second run, here or elsewhere, measures the same rows. The tables are the
project's own: migrations, triggers and indexes are what the portal has.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg import Connection, Cursor

SEED = 20260
DIMENSIONS = 1024
DEPARTMENTS = 60
TOPICS = 600
"""Themes that documents are about; each belongs to a department, so that access and meaning go together."""

CHUNKS_A_DOCUMENT = 5
LONG_DOCUMENTS, LONG = 12, 500
"""Handbooks: there are some in every university, and they are what a reclassification costs most for."""

AccessMix = tuple[tuple[str, int, float], ...]

ACCESS_MIX: AccessMix = (
    ("institution", 1, 0.005),
    ("institution", 2, 0.015),
    ("institution", 3, 0.48),
    ("institution", 4, 0.10),
    ("department", 2, 0.22),
    ("department", 3, 0.12),
    ("department", 4, 0.06),
)
"""Audience, clearance, share of the documents: an intranet, of which outsiders see next to nothing. No other mix
leaves as little as 0.5 % by access alone, because whoever is signed in sees what is for the whole institution."""

ONE_LANGUAGE = {"en": 1.0}

WINDOW_ENDS = ("2026-01-01", "2999-01-01")
"""Before the first and after the second: dates that every run lies between."""

FIRST_REVIEW, REVIEW_DAYS = np.datetime64("2023-01-01"), 1000
"""Documents were last reviewed on a day drawn evenly from these: a filter by it leaves any share of any theme."""

SHARED = 0.3
"""Share of the departmental documents that one to three further departments may read."""

# What two vectors have in common, as parts of their squared length: any two, a department's, a theme's, a document's.
# Cosines come out near 0.35, 0.45, 0.6 and 0.75, as bge-m3 gives them for texts of one language.
COMMON, DEPARTMENT, TOPIC, DOCUMENT, OWN = 0.35, 0.11, 0.14, 0.15, 0.25
SPECTRUM = 0.35
"""How fast a vector's variance falls over its dimensions; text embeddings fill far fewer than they have."""

WORDS_A_CHUNK, VOCABULARY = 95, 20_000

Vectors = NDArray[np.float32]


def draw(random: np.random.Generator, count: int) -> Vectors:
    """Random directions of length 1 with a text embedding's falling spectrum."""
    spectrum = (1.0 + np.arange(DIMENSIONS)) ** -SPECTRUM
    return unit((random.standard_normal((count, DIMENSIONS), dtype=np.float32) * spectrum).astype(np.float32))


def unit(vectors: Vectors) -> Vectors:
    """The same directions at length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


class Corpus:
    """What is drawn: documents with their access and length, and the vectors of their chunks."""

    def __init__(
        self,
        chunks: int,
        mix: AccessMix = ACCESS_MIX,
        languages: Mapping[str, float] = ONE_LANGUAGE,
        windowed: float = 0.0,
        spoken: float = 0.0,
    ) -> None:
        """`windowed` is the share of the documents that have a publication window: half began, half are to end.

        `spoken` is how much of a vector (of its squared length) its language decides, at the expense of what all have
        in common.
        """
        random = np.random.default_rng(SEED)
        self.chunks = chunks
        documents = chunks // CHUNKS_A_DOCUMENT
        self.ids = [UUID(bytes=random.bytes(16), version=4) for _ in range(documents)]
        weights = 1.0 / (1.0 + np.arange(DEPARTMENTS))
        self.department = random.choice(DEPARTMENTS, documents, p=weights / weights.sum())
        drawn = random.choice(len(mix), documents, p=[share for _, _, share in mix])
        self.access = [mix[one] for one in drawn]
        self.shared = [
            random.choice(DEPARTMENTS, random.integers(1, 4), replace=False)
            if audience == "department" and random.random() < SHARED
            else ()
            for audience, _, _ in self.access
        ]
        self.length = self._lengths(random, documents)
        # From a generator of their own: with one language and no window the rest is drawn as without them.
        apart = np.random.default_rng(SEED + 3)
        self.language = apart.choice(list(languages), documents, p=list(languages.values()))
        first, last = WINDOW_ENDS
        self.window = [
            (first, None) if place < windowed / 2 else (None, last) if place < windowed else (None, None)
            for place in apart.random(documents)
        ]
        self.reviewed = FIRST_REVIEW + apart.integers(0, REVIEW_DAYS, documents)
        theme = random.integers(0, TOPICS // DEPARTMENTS, documents) * DEPARTMENTS + self.department
        owners = np.arange(TOPICS) % DEPARTMENTS
        parts = (draw(random, 1), draw(random, DEPARTMENTS)[owners], draw(random, TOPICS))
        shares = (COMMON - spoken, DEPARTMENT, TOPIC)
        topics = sum(np.sqrt(share) * part for share, part in zip(shares, parts, strict=True))
        self._centres: Vectors = topics[theme] + np.float32(np.sqrt(DOCUMENT)) * draw(random, documents)
        if spoken:
            _, place = np.unique(self.language, return_inverse=True)
            self._centres += np.float32(np.sqrt(spoken)) * draw(apart, len(languages))[place]
        self._random = random

    def _lengths(self, random: np.random.Generator, documents: int) -> NDArray[np.int64]:
        """Chunks of each document: a few handbooks, and a long tail of short ones that makes up the sum."""
        rest = self.chunks - LONG_DOCUMENTS * LONG
        drawn = random.lognormal(0.0, 0.8, documents - LONG_DOCUMENTS)
        ends = np.rint(np.cumsum(1.0 + drawn / drawn.sum() * (rest - len(drawn)))).astype(np.int64)
        return np.concatenate([np.full(LONG_DOCUMENTS, LONG), np.diff(ends, prepend=0)])

    def vectors(self) -> Iterator[tuple[int, Vectors]]:
        """Each document's place and the vectors of its chunks."""
        own = np.float32(np.sqrt(OWN))
        for place, length in enumerate(self.length):
            yield place, unit(self._centres[place] + own * draw(self._random, int(length)))

    def texts(self) -> Iterator[str]:
        """A text for each chunk, of made-up words that are as unevenly frequent as real ones."""
        random = np.random.default_rng(SEED + 1)
        syllables = ["ba", "de", "ki", "lo", "mu", "ran", "ster", "ti", "ver", "ion", "al", "en"]
        words = np.array(["".join(random.choice(syllables, random.integers(1, 5))) + str(n) for n in range(VOCABULARY)])
        weights = np.cumsum(1.0 / (1.0 + np.arange(VOCABULARY)))
        for _ in range(self.chunks):
            yield " ".join(words[np.searchsorted(weights, random.random(WORDS_A_CHUNK) * weights[-1])])


def build(connection: Connection, corpus: Corpus) -> None:
    """Write the corpus into the migrated, empty tables of this autocommitting connection; build its indexes last."""
    register_vector(connection)
    cursor = connection.cursor()
    # Beside a vector of 2 kB PostgreSQL would put even these few bytes out of line (docs/decisions/0002).
    cursor.execute("ALTER TABLE ingestion_chunk ALTER COLUMN readers SET STORAGE MAIN")
    cursor.execute("INSERT INTO accounts_department (name) SELECT 'Department ' || n FROM generate_series(1, %s) AS n",
                   [DEPARTMENTS])  # fmt: skip
    departments = [int(row[0]) for row in cursor.execute("SELECT id FROM accounts_department ORDER BY id")]
    types = [int(row[0]) for row in cursor.execute("SELECT id FROM ingestion_documenttype ORDER BY id LIMIT 1")]
    _progress(f"{len(corpus.ids):,} documents")
    _copy_documents(cursor, corpus, departments, *types)
    cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE indexname IN "
                   "('chunk_embedding_hnsw', 'chunk_lexemes') ORDER BY 1")  # fmt: skip
    slow_to_keep = cursor.fetchall()
    for name, _ in slow_to_keep:
        cursor.execute(f'DROP INDEX "{name}"')
    _progress(f"{corpus.chunks:,} chunks")
    _copy_chunks(cursor, corpus)
    shared_memory = Path("/dev/shm")  # noqa: S108 (not a temporary folder of ours)
    roomy = shared_memory.is_dir() and shutil.disk_usage(shared_memory).free > 2_000_000_000
    # The workers of a parallel build meet in shared memory, of which a container often has 64 MB.
    cursor.execute(f"SET max_parallel_maintenance_workers = {2 if roomy else 0}")
    cursor.execute("SET maintenance_work_mem = '1GB'")
    for name, definition in slow_to_keep:
        _progress(f"index {name}")
        cursor.execute(definition)
    cursor.execute("VACUUM (ANALYZE)")


def _copy_documents(cursor: Cursor, corpus: Corpus, departments: list[int], doc_type: int) -> None:
    columns = (
        "id, title, file, file_name, file_size, mime_type, sha256, department_id, doc_type_id, audience, clearance, "
        "language, priority, status, progress, error, error_reason, page_count, chunk_count, recipe, is_searchable, "
        "readers, visible_from, visible_until, created_at, updated_at, next_file, next_file_name, next_file_size, "
        "next_sha256, unread_pages, part, last_reviewed"
    )
    noted = "2026-01-01"
    with cursor.copy(f"COPY ingestion_document ({columns}) FROM STDIN") as copy:
        for place, key in enumerate(corpus.ids):
            audience, clearance, _ = corpus.access[place]
            length = int(corpus.length[place])
            copy.write_row(
                (key, f"Document {place}", f"originals/{key.hex}", f"{place}.pdf", 100_000, "application/pdf", key.hex,
                 departments[corpus.department[place]], doc_type, audience, clearance, str(corpus.language[place]), 3,
                 "ready", 100, "", "", 1, length, "made", True, [], *corpus.window[place], noted, noted,
                 "", "", 0, "", 0, "", str(corpus.reviewed[place]))
            )  # fmt: skip
    with cursor.copy("COPY ingestion_document_shared_with (document_id, department_id) FROM STDIN") as copy:
        for place, key in enumerate(corpus.ids):
            for department in corpus.shared[place]:
                copy.write_row((key, departments[department]))


def _copy_chunks(cursor: Cursor, corpus: Corpus) -> None:
    """The vectors by COPY into a passing table; text search vectors, as long as real ones, on the way from there."""
    columns = "document uuid, place integer, spoken text, body text, meaning halfvec"
    cursor.execute(f"CREATE TEMPORARY TABLE drawn ({columns})")
    texts = corpus.texts()
    with cursor.copy("COPY drawn FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["uuid", "int4", "text", "text", "halfvec"])
        for place, vectors in corpus.vectors():
            for position, vector in enumerate(vectors):
                spoken = str(corpus.language[place])
                copy.write_row((corpus.ids[place], position, spoken, next(texts), HalfVector(vector)))
    cursor.execute(
        """
        INSERT INTO ingestion_chunk (document_id, position, text, page_number, section_title, language, lexemes,
                                     embedding, content_hash, staged, metadata, clearance, readers, is_searchable)
        SELECT document, place, body, 1, 'A section of the made document', spoken,
               to_tsvector('english', body) || to_tsvector('simple', body), meaning, sha256(body::bytea), false, '{}',
               4, '{}', false
        FROM drawn
        """
    )
    cursor.execute("DROP TABLE drawn")


def _progress(said: str) -> None:
    print(f"making {said}", file=sys.stderr, flush=True)
