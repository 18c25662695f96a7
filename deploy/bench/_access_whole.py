"""A whole search in two ways, in turns: with the access rule, and with the rule answered beforehand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from deploy.bench._access_beforehand import answered_by
from deploy.bench._access_server import SESSION
from deploy.bench._access_statements import Question
from deploy.bench._access_timing import processor_ms, scheduled

Answered = TypeVar("Answered")


@dataclass(frozen=True)
class Searcher:
    """Somebody who searches, and the column that knows beforehand what they see ('' for everything)."""

    name: str
    viewer: Any
    column: str
    filters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What one search took, in milliseconds: by the clock, and on the processor, the database's included."""

    clock: float
    processor: float | None


@dataclass(frozen=True)
class Comparison:
    """The costs of each question in both ways: of every question the least of its rounds, which other work disturbs
    least."""

    visible_chunks: int
    exact: bool
    ruled: Sequence[Cost]
    beforehand: Sequence[Cost]

    @property
    def share_percent(self) -> float:
        """What of the search's time the rule takes, in percent: on the processor, where that can be read."""
        on_processor = self._share("processor")
        return self._share("clock") or 0.0 if on_processor is None else on_processor

    def figures(self) -> dict[str, Any]:
        """Medians over the questions, and the rule's share by either measure."""
        figures: dict[str, Any] = {"visible_chunks": self.visible_chunks, "route": "exact" if self.exact else "HNSW"}
        for measure in ("clock", "processor"):
            share = self._share(measure)
            if share is not None:
                figures |= {
                    f"{measure}_p50_ms": round(statistics.median(getattr(one, measure) for one in self.ruled), 2),
                    f"{measure}_p50_ms_beforehand": round(
                        statistics.median(getattr(one, measure) for one in self.beforehand), 2
                    ),
                    f"{measure}_share_percent": share,
                }
        return figures

    def _share(self, measure: str) -> float | None:
        """The sum over the questions with the rule less the sum without it, of the former; None where unknown."""
        ruled, without = (_sum(measure, costs) for costs in (self.ruled, self.beforehand))
        return None if ruled is None or without is None else round(100 * (1 - without / ruled), 1)


def _sum(measure: str, costs: Sequence[Cost]) -> float | None:
    values = [getattr(one, measure) for one in costs]
    return None if None in values else float(sum(values))


def compare(searcher: Searcher, asked: Sequence[Question], rounds: int) -> Comparison:
    """Ask every question in both ways, so many times, the ways taking turns. Raises ValueError where answers differ."""
    from ingestion.models import Document
    from search.nearest import EXACT_UP_TO
    from search.reach import narrowed
    from search.service import search

    queries = [_query(question, searcher) for question in asked]
    kept = prepare()
    visible = narrowed(Document.objects.visible_to(searcher.viewer), queries[0])
    visible_chunks = sum(visible.order_by().values_list("chunk_count", flat=True))
    ruled: list[list[Cost]] = [[] for _ in queries]
    without: list[list[Cost]] = [[] for _ in queries]
    vectors = {query.text: question.vector for query, question in zip(queries, asked, strict=True)}
    with vectors_known(vectors):
        for turn in range(rounds + 1):
            for place, query in enumerate(queries):
                # Whoever asks first warms the memory for the next.
                ways = (True, False) if (turn + place) % 2 else (False, True)
                answers = []
                for with_rule in ways:
                    with nullcontext() if with_rule else answered_by(searcher.column):
                        cost, page = timed(partial(search, query, viewer=searcher.viewer), kept)
                    answers.append([(hit.document.id, hit.best.chunk_id) for hit in page.hits])
                    # The first turn fills every memory, the vectors' cache among them.
                    if turn:
                        (ruled if with_rule else without)[place].append(cost)
                if answers[0] != answers[1]:
                    raise ValueError(f"{searcher.name}: the two ways answer {query.text!r} differently")
    return Comparison(visible_chunks, visible_chunks <= EXACT_UP_TO, least(ruled), least(without))


def _query(question: Question, searcher: Searcher) -> Any:
    from search.query import SearchQuery

    return SearchQuery(question.words.replace(" | ", " "), **searcher.filters)


def timed(work: Callable[[], Answered], kept: Path | None) -> tuple[Cost, Answered]:
    """Do this work: its cost, and what it answers. `kept` tells of the database's process (see `prepare`)."""
    database = processor_ms(kept) if kept else 0.0
    ours, started = time.process_time(), time.perf_counter()
    answer = work()
    clock = 1000 * (time.perf_counter() - started)
    processor = 1000 * (time.process_time() - ours) + processor_ms(kept) - database if kept else None
    return Cost(clock, processor), answer


def prepare() -> Path | None:
    """Set Django's connection up as the benchmarks' are; where Linux keeps its server process' time, if here."""
    from django.db import connection

    with connection.cursor() as cursor:
        for name, value in SESSION.items():
            cursor.execute(f"SET {name} = '{value}'")
        return scheduled(cursor.connection)


def reading_who_asks(departments: Sequence[int], times: int) -> dict[str, float]:
    """Medians, in milliseconds, of `viewer_for` for a member of staff of these departments; nothing of it stays."""
    from django.db import transaction

    from accounts.clearance import viewer_for
    from accounts.models import User

    kept = prepare()
    costs = []
    with transaction.atomic():
        person = User.objects.create_user("bench-access", role="staff")
        person.departments.set(departments)
        for _ in range(times):
            fresh = User.objects.get(pk=person.pk)
            costs.append(timed(lambda fresh=fresh: viewer_for(fresh), kept)[0])  # type: ignore[misc]
        transaction.set_rollback(True)
    return {
        f"{measure}_p50_ms": round(statistics.median(getattr(one, measure) for one in costs), 2)
        for measure in ("clock", "processor")
        if getattr(costs[0], measure) is not None
    }


def least(costs: Sequence[Sequence[Cost]]) -> list[Cost]:
    """Of each question the least that any round took, by each measure."""
    least = []
    for rounds in costs:
        processor = [one.processor for one in rounds if one.processor is not None]
        least.append(Cost(min(one.clock for one in rounds), min(processor) if processor else None))
    return least


@contextmanager
def vectors_known(vectors: Mapping[str, Sequence[float]]) -> Iterator[None]:
    """Inside, the embedding node knows these texts, and the cache has their vectors.

    Whatever an earlier run left there is replaced: the same words may stand for others now.
    """
    from ingestion import vectorspace
    from search import vectors as module

    class Node:
        def embed_query(self, text: str) -> Sequence[float]:
            return vectors[text]

    space = vectorspace.remembered(anew=True)
    for text, numbers in vectors.items():
        module.keep(text, module.QueryVector(list(numbers), space))
    usual = module.client_for
    module.client_for = lambda *_: Node()  # type: ignore[assignment]
    try:
        yield
    finally:
        module.client_for = usual
