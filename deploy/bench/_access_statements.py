"""What `access_columns` asks: who searches, what for, and the statement that the real querysets make of it.

The portal's models are imported when they are needed: Django has to be set up first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

import numpy as np
import psycopg

from deploy.bench._access_corpus import SEED, draw, unit

ASKED_NOISE = 0.6
"""How far a question lies from the passage it is about (length of what is added to the passage's vector)."""

Statement = tuple[str, Sequence[Any]]


@dataclass(frozen=True)
class Reader:
    """Somebody who searches: a viewer, and the department that they filter by (0: none)."""

    name: str
    viewer: Any
    department: int = 0


@dataclass(frozen=True)
class Question:
    """What is asked: by meaning and by words."""

    vector: list[float]
    words: str


def readers(connection: psycopg.Connection) -> list[Reader]:
    """Viewers who are left with about 70, 10, 2 and 0.5 % by access alone, and one with 2 % by a filter."""
    from accounts.clearance import PUBLIC_VIEWER, Role, Viewer

    departments = [row[0] for row in connection.execute("SELECT id FROM accounts_department ORDER BY id")]
    # The departments are made from the largest to the smallest.
    academic = Viewer(Role.ACADEMIC, 4, frozenset(departments[:1]))
    return [
        Reader("academic", academic),
        Reader("student of two large departments", Viewer(Role.STUDENT, 2, frozenset(departments[:2]))),
        Reader("student of none", Viewer(Role.STUDENT, 2)),
        Reader("anonymous", PUBLIC_VIEWER),
        Reader("academic, one department's documents", academic, departments[6]),
    ]


WAYS = ("chunk", "join", "both")
"""Where the rule is read: on the chunk's own columns, on its document by join, or on both, so that the planner may
start from the documents while the chunk still has the last word."""


def visible_chunks(reader: Reader, way: str) -> Any:
    """The queryset of the chunks that a reader sees, read in one of the `WAYS`."""
    from accounts.clearance import RestrictedQuerySet
    from ingestion.models import Chunk, Document

    # The rule itself over the chunk's columns, whatever Chunk.objects makes of it.
    chunks = RestrictedQuerySet(Chunk)
    if way in ("chunk", "both"):
        chunks = chunks.visible_to(reader.viewer)
    if way in ("join", "both"):
        chunks = chunks.filter(document__in=Document.objects.visible_to(reader.viewer), staged=False)
    return (chunks.filter(document__department=reader.department) if reader.department else chunks).order_by()


def statement(reader: Reader, question: Question, path: str, way: str) -> Statement:
    """A leg of the search at its plainest (no languages apart): `exact`, `hnsw` or `lexical`."""
    from django.contrib.postgres.search import SearchQuery, SearchRank
    from django.db.models import F, Value
    from pgvector.django import CosineDistance

    from search.words import CANDIDATES_BY_WORDS

    chunks = visible_chunks(reader, way)
    if path == "lexical":
        words = SearchQuery(question.words, search_type="raw", config="simple")
        rank = SearchRank(F("lexemes"), words, normalization=Value(1))
        chunks = chunks.filter(lexemes=words).order_by(rank.desc(), "pk")
    else:
        distance = CosineDistance("embedding", question.vector)
        chunks = chunks.filter(embedding__isnull=False)
        chunks = chunks.order_by(distance + Value(0.0) if path == "exact" else distance)
    text, params = chunks.values("pk")[:CANDIDATES_BY_WORDS].query.sql_with_params()
    return text, params


def questions(connection: psycopg.Connection, count: int) -> list[Question]:
    """Near a passage that is there, whoever may see it, and three of its words that are neither everywhere nor rare."""
    random = np.random.default_rng(SEED + 2)
    ends = connection.execute("SELECT min(id), max(id) FROM ingestion_chunk").fetchone() or (0, 0)
    chosen = random.integers(ends[0], ends[1], count).tolist()
    found = connection.execute("SELECT embedding::text, text FROM ingestion_chunk WHERE id = ANY(%s)", [chosen])
    asked = []
    for vector, text in found.fetchall():
        telling = [word for word in text.split() if 100 <= int(word.lstrip(ascii_lowercase)) < 5000]
        passage = np.array([json.loads(vector)], dtype=np.float32)
        near = unit(passage + np.float32(ASKED_NOISE) * draw(random, 1))[0]
        asked.append(Question(near.tolist(), " | ".join(telling[:3])))
    return asked
