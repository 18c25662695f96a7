"""How good is the search: the measures of a judged set, and the judged set put through the real search.

A set is a folder with `corpus.jsonl` (id, title, text, language), `queries.jsonl` (id, text, language) and `qrels.tsv`
(query_id, doc_id, relevance; only relevant pairs are listed).
"""

from __future__ import annotations

import csv
import json
import math
import statistics
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from accounts.clearance import OPERATOR, Audience, Clearance
from accounts.models import Department
from ingestion import pipeline, vectorspace
from ingestion import statistics as corpus_statistics
from ingestion.embeddings import EmbeddingUnavailable
from ingestion.models import Document, DocumentType
from search import service
from search.query import MAX_QUERY_LENGTH, Mode, SearchQuery, normalise
from search.vectors import query_vector

DEPTH = 100
"""Ranks that are looked at; recall@100 needs as many."""

STATISTICS_SECONDS = 30
"""How long a worker's own count of the statistics is waited for."""


class InvalidSet(Exception):
    """The folder is not a judged set; the message says what is missing."""


@dataclass(frozen=True)
class JudgedSet:
    """Documents, queries, and which document answers which query."""

    corpus: dict[str, dict[str, str]]
    queries: dict[str, str]
    relevant: dict[str, set[str]]

    def sampled(self, every: int) -> JudgedSet:
        """The same documents with each `every`-th question."""
        queries = dict(list(self.queries.items())[::every])
        return replace(self, queries=queries, relevant={name: self.relevant[name] for name in queries})


@dataclass(frozen=True)
class LoadedSet:
    """A judged set in the corpus: the department that owns it, and each document's id with the set's own."""

    department: str
    names: dict[str, str]


def read_set(
    folder: Path, *, qrels: str = "qrels.tsv", query_language: str = "", document_language: str = ""
) -> JudgedSet:
    """The set in this folder, narrowed to one language of queries and documents where asked. Raises InvalidSet."""
    try:
        documents = {
            one["id"]: one
            for one in _lines(folder / "corpus.jsonl")
            if not document_language or one["language"] == document_language
        }
        queries = {
            one["id"]: one["text"]
            for one in _lines(folder / "queries.jsonl")
            if not query_language or one["language"] == query_language
        }
        relevant: dict[str, set[str]] = {}
        with (folder / qrels).open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                if row["query_id"] in queries and row["doc_id"] in documents and int(row["relevance"]) > 0:
                    relevant.setdefault(row["query_id"], set()).add(row["doc_id"])
    except (OSError, KeyError, ValueError) as error:
        raise InvalidSet(f"{folder} is not a judged set: {error!r}") from None
    judged = {query_id: text for query_id, text in queries.items() if query_id in relevant}
    if not judged:
        raise InvalidSet(f"{folder} has no judged query left for these languages.")
    return JudgedSet(documents, judged, relevant)


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def evaluate(judged: JudgedSet, *, mode: Mode) -> dict[str, Any]:
    """The measures of this set: everything is rolled back, so the corpus is left as it was.

    Latencies are in milliseconds, of the whole search for the first hundred, without the embedding of the query.
    """
    with loaded(judged) as corpus:
        return measured(judged, corpus, mode=mode)


def measured(judged: JudgedSet, corpus: LoadedSet, *, mode: Mode, depth: int = DEPTH) -> dict[str, Any]:
    """The measures of these questions in a set that is loaded, down to `depth` hits; latencies as in `evaluate`.

    Raises EmbeddingUnavailable where a question would be answered without its vector.
    """
    runs, latencies = {}, []
    for query_id, text in judged.queries.items():
        query = SearchQuery(
            normalise(text)[:MAX_QUERY_LENGTH], departments=(corpus.department,), mode=mode, page_size=depth
        )
        if mode is not Mode.KEYWORD:
            query_vector(query.meaning)  # so that the latency below is without it
        started = time.perf_counter()
        page = service.search(  # access: measured at the command line, which prints figures only
            query, viewer=OPERATOR, endpoint="evaluation", audited=False
        )
        latencies.append((time.perf_counter() - started) * 1000)
        if page.degraded:
            raise EmbeddingUnavailable("The embedding service went away: these would not be the measures of this mode.")
        runs[query_id] = [corpus.names[hit.document.id] for hit in page.hits]
    return measures(runs, judged.relevant) | {
        "documents": len(judged.corpus),
        "queries": len(judged.queries),
        "p50_ms": round(statistics.median(latencies), 1),
        "p95_ms": round(sorted(latencies)[int(len(latencies) * 0.95)], 1),
    }


@contextmanager
def loaded(judged: JudgedSet) -> Iterator[LoadedSet]:
    """The set in the corpus, through the pipeline's own parts, for as long as this lasts.

    All of it happens in one transaction that is rolled back; the statistics that scores use are counted anew with the
    set.
    """
    with transaction.atomic():
        vectorspace.settle()
        department = Department.objects.create(name=f"Evaluation {uuid.uuid4()}")
        names = _load(judged, department)
        deadline = time.monotonic() + STATISTICS_SECONDS
        while not corpus_statistics.refresh() and time.monotonic() < deadline:
            time.sleep(0.1)  # a worker is counting
        yield LoadedSet(department.name, names)
        transaction.set_rollback(True)


def _load(judged: JudgedSet, department: Department) -> dict[str, str]:
    """Write the set as public documents of this department; document id -> the set's id."""
    doc_type = DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})[0]
    names, texts = {}, []
    for name, one in judged.corpus.items():
        document = Document(
            title=one["title"][:300],
            file_name=f"{name}.txt",
            file_size=len(one["text"]),
            sha256="",
            department=department,
            doc_type=doc_type,
            clearance=Clearance.PUBLIC,
            audience=Audience.INSTITUTION,
            language=one["language"],
        )
        names[str(document.pk)] = name
        texts.append((document, one["text"]))
    pipeline.insert_ready(texts)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ingestion_chunk, ingestion_document")  # access: reads nothing out
    return names


def measures(runs: Mapping[str, Sequence[str]], relevant: Mapping[str, set[str]]) -> dict[str, float]:
    """nDCG@10, MRR@10, recall@10 and recall@100, each averaged over the queries, with binary relevance."""
    averaged = {
        "ndcg@10": [ndcg(runs[query], relevant[query], 10) for query in runs],
        "mrr@10": [reciprocal_rank(runs[query], relevant[query], 10) for query in runs],
        "recall@10": [recall(runs[query], relevant[query], 10) for query in runs],
        "recall@100": [recall(runs[query], relevant[query], 100) for query in runs],
    }
    return {name: round(statistics.fmean(values), 4) for name, values in averaged.items()}


def ndcg(found: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002), gain 1 for a relevant document."""
    gained = sum(1 / math.log2(rank + 1) for rank, one in enumerate(found[:k], start=1) if one in relevant)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    return gained / ideal


def reciprocal_rank(found: Sequence[str], relevant: Collection[str], k: int) -> float:
    """One over the rank of the first relevant document among the first k, else 0."""
    return next((1 / rank for rank, one in enumerate(found[:k], start=1) if one in relevant), 0.0)


def recall(found: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The share of the relevant documents that stand among the first k."""
    return len(set(found[:k]) & set(relevant)) / len(relevant)
