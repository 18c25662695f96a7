"""How fast documents become searchable, what of that is the pipeline's own cost, and whether a worker's memory is flat.

    ./cloister bench ingest [--json] [--quick]

Runs a stack of its own, with a worker and the clock as `up` has them, three times over:

1. the pipeline's own cost: text documents of 5 to 45 sections, about a chunk each, with a node that costs next to
   nothing (deploy/bench/_ingest_model.py); chunks a second, from the first document's start to the last one's end;
2. with the bundled model: fewer of such documents, and then the very texts of their chunks sent straight to the server,
   in batches of the same size, two at a time; besides, passages of 150 tokens sent so;
3. memory: 10,000 small documents with the node of 1; what the worker's processes hold after the first 1,000 and at the
   end. `--quick` takes 2,000, of which 500 come first.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import psycopg

from deploy.bench import Bar, conclude, machine
from deploy.bench._ingest_documents import Made, markdown, sentences
from deploy.bench._ingest_parts import WORKER, Parts, parts
from deploy.local.home import home_from_environment
from deploy.local.process import family, rss_bytes

OWN_COST_DOCUMENTS = 160
SECTIONS = range(5, 46)
"""Of a document: from a notice to a policy of some twenty pages."""

MODEL_DOCUMENTS, QUICK_MODEL_DOCUMENTS = 96, 24
"""An intake takes hours: the start of the worker's processes, and the last documents, while one of its slots has
nothing more to do, should weigh little beside the rest."""

SHORT_PASSAGES, SHORT_SENTENCES = 64, 10
"""Ten such sentences are 150 tokens of the bundled model."""

MEMORY_DOCUMENTS, MEMORY_FIRST = 10_000, 1_000
QUICK_DOCUMENTS, QUICK_FIRST = 2_000, 500

OWN_COST_LIMIT = 300.0
"""Chunks a second, the issue's bar."""

SHARE_OF_THE_MODEL = 0.95
PASSAGES_A_SECOND = 10.0
MOST_GROWTH = 0.05

BATCH, REQUESTS = 16, 2
"""Texts in a request and requests at once: those of ingestion.embeddings and ingestion.embedding_nodes."""

PATIENCE_SECONDS, POLL_SECONDS, SETTLE_SECONDS = 3600.0, 0.1, 5.0

STATES = "SELECT status, count(*) FROM ingestion_document GROUP BY status"
CHUNKS = """
SELECT document.title, chunk.section_title, chunk.text FROM ingestion_chunk AS chunk
JOIN ingestion_document AS document ON document.id = chunk.document_id ORDER BY document.created_at, chunk.position
"""


def main() -> int:
    """Measure, print, and return the exit status."""
    before = machine()
    quick = "--quick" in sys.argv
    documents, first = (QUICK_DOCUMENTS, QUICK_FIRST) if quick else (MEMORY_DOCUMENTS, MEMORY_FIRST)
    embedded = QUICK_MODEL_DOCUMENTS if quick else MODEL_DOCUMENTS
    with tempfile.TemporaryDirectory(prefix="cloister-bench-") as name:
        folder = Path(name)
        # The database's own user passes through where this runs as root.
        folder.chmod(0o711)
        with parts(folder / "stand-in") as stack:
            own = own_cost(stack, folder)
            memory = memory_of(stack, folder, documents, first)
        models = home_from_environment().models
        models.mkdir(parents=True, exist_ok=True)
        with parts(folder / "bundled", models=models) as stack:
            model = with_the_model(stack, folder, embedded)
    figures: dict[str, Any] = {**own, **model, **memory}
    return conclude(
        "ingest",
        on=before,
        data=f"{OWN_COST_DOCUMENTS} documents of {SECTIONS[0]} to {SECTIONS[-1]} sections; {embedded} with "
        f"the bundled model; {documents} of one for the memory",
        figures=figures,
        bars=[
            Bar("pipeline's own cost (ms a chunk)", round(1000 / own["chunks_a_second"], 2), 1000 / OWN_COST_LIMIT),
            Bar(
                "time with the bundled model, to the model's own", round(1 / model["share"], 3), 1 / SHARE_OF_THE_MODEL
            ),
            Bar(
                "bundled model (ms a passage of 150 tokens)",
                round(1000 / model["model_short_passages_a_second"]),
                1000 / PASSAGES_A_SECOND,
            ),
            Bar("growth of the worker's memory", memory["memory_growth"], MOST_GROWTH),
        ],
    )


def own_cost(stack: Parts, folder: Path) -> dict[str, Any]:
    """Chunks a second with a node that costs next to nothing."""
    files = _written(folder / "own", map(_usual, range(OWN_COST_DOCUMENTS)))
    environment = stack.new_database("own_cost")
    _uploaded(stack, environment, files)
    address = environment["DATABASE_URL"]
    with stack.at_work(environment):
        seconds = _wait(address, OWN_COST_DOCUMENTS)
    chunks = len(_chunks(address))
    return {"chunks": chunks, "seconds": round(seconds, 1), "chunks_a_second": round(chunks / seconds, 1)}


def with_the_model(stack: Parts, folder: Path, documents: int) -> dict[str, Any]:
    """Chunks a second with the bundled model, and what the model does with the same texts by itself."""
    files = _written(folder / "model", map(_usual, range(50_000, 50_000 + documents)))
    environment = stack.new_database("with_model")
    url, name = environment["OLLAMA_URLS"], environment["EMBEDDING_MODEL"]
    _alone(url, name, ["passage: warm up"] * BATCH * REQUESTS)
    _uploaded(stack, environment, files)
    address = environment["DATABASE_URL"]
    with stack.at_work(environment):
        seconds = _wait(address, documents)
    # What the pipeline sends; "passage: " is the model's own prefix.
    texts = ["passage: " + "\n".join(filter(None, chunk)) for chunk in _chunks(address)]
    chance = random.Random(7)  # noqa: S311 (texts, not secrets)
    short = _alone(url, name, ["passage: " + sentences(chance, SHORT_SENTENCES) for _ in range(SHORT_PASSAGES)])
    alone = _alone(url, name, texts)
    return {
        "model_chunks": len(texts),
        "model_chunks_a_second": round(len(texts) / seconds, 2),
        "model_alone_chunks_a_second": round(alone, 2),
        "share": round(len(texts) / seconds / alone, 3),
        "model_short_passages_a_second": round(short, 1),
    }


def memory_of(stack: Parts, folder: Path, documents: int, first: int) -> dict[str, Any]:
    """What the worker's processes hold after the first documents and after all."""
    made = (markdown(number, 1) for number in range(100_000, 100_000 + documents))
    some = _written(folder / "first", islice(made, first))
    rest = _written(folder / "rest", made)
    environment = stack.new_database("memory")
    address = environment["DATABASE_URL"]
    with stack.at_work(environment):
        _uploaded(stack, environment, some)
        _wait(address, first)
        after_first, processes = _resident(stack)
        began = time.monotonic()
        _uploaded(stack, environment, rest)
        _wait(address, documents)
        seconds = time.monotonic() - began
        after_all, processes_then = _resident(stack)
    return {
        "memory_documents": documents,
        "memory_mb_after_the_first": round(after_first / 1e6, 1),
        "memory_mb_after_all": round(after_all / 1e6, 1),
        "memory_growth": round(after_all / after_first - 1, 4),
        "memory_of_the_same_processes": processes == processes_then,
        "memory_documents_a_second": round((documents - first) / seconds, 1),
    }


def _usual(number: int) -> Made:
    """A document of 5 to 45 sections."""
    return markdown(number, SECTIONS[number * 7 % len(SECTIONS)])


def _written(folder: Path, made: Iterable[Made]) -> Path:
    folder.mkdir()
    for one in made:
        (folder / one.file_name).write_bytes(one.content)
    return folder


def _uploaded(stack: Parts, environment: dict[str, str], files: Path) -> None:
    """Upload the files, and wait until they are all taken in. Raises RuntimeError."""
    uploads = stack.upload(environment, files)
    if uploads.wait() != 0:
        raise RuntimeError("The documents were not taken in.")


def _wait(address: str, documents: int) -> float:
    """Wait until so many documents are ready; the seconds since the first of them was begun.

    Raises RuntimeError where one fails or it takes too long.
    """
    deadline, began = time.monotonic() + PATIENCE_SECONDS, None
    with psycopg.connect(address, autocommit=True) as connection:
        while True:
            found: dict[str, int] = dict(connection.execute(STATES).fetchall())
            if began is None and set(found) - {"queued"}:
                began = time.monotonic()
            if found.get("failed") or time.monotonic() > deadline:
                raise RuntimeError(f"Not every document became ready: {found}.")
            if began is not None and found.get("ready", 0) >= documents:
                return time.monotonic() - began
            time.sleep(POLL_SECONDS)


def _chunks(address: str) -> list[tuple[str, str, str]]:
    """Title, section and text of all chunks."""
    with psycopg.connect(address) as connection:
        return connection.execute(CHUNKS).fetchall()


def _alone(url: str, model: str, texts: Sequence[str]) -> float:
    """Texts a second that the server embeds, asked as the pipeline asks it, and by nobody else."""
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    with httpx.Client(base_url=url, timeout=300) as client, ThreadPoolExecutor(REQUESTS) as pool:

        def ask(batch: Sequence[str]) -> None:
            client.post("/api/embed", json={"model": model, "input": batch}).raise_for_status()

        began = time.monotonic()
        list(pool.map(ask, batches))
        return len(texts) / (time.monotonic() - began)


def _resident(stack: Parts) -> tuple[float, list[int]]:
    """The memory of the worker's processes in bytes, at rest, and which processes they are."""
    time.sleep(SETTLE_SECONDS)
    processes = family(stack.pid(WORKER))
    return statistics.fmean(sum(map(rss_bytes, processes)) for _ in range(3)), processes


if __name__ == "__main__":
    sys.exit(main())
