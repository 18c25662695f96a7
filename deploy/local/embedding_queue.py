"""A bounded queue of texts before the model, fair between a search's one query and an ingestion's long batch."""

import heapq
import itertools
import threading
from collections.abc import Sequence
from typing import TypeAlias

from deploy.local.embedding_engine import Embedded, Engine

SHORT_CHARACTERS = 300
"""Up to this length a text counts as a query, which the spare thread may take."""


class QueueFull(Exception):
    """More requests wait than the queue may hold."""


class Job:
    """The texts of one request, and their vectors once they are there."""

    def __init__(self, texts: Sequence[str], context_tokens: int) -> None:
        self.texts = texts
        self.context_tokens = context_tokens
        self.results: list[Embedded | None] = [None] * len(texts)
        self.failure: Exception | None = None
        self.finished = threading.Event()
        self.left = len(texts)


Waiting: TypeAlias = tuple[bool, int, int, Job]
"""A text that waits: whether it is not the first of its request, when it came, and which of which job's it is."""


class EmbeddingQueue:
    """Runs jobs on one thread a core, and on one spare thread that takes short texts only.

    The first text of every request goes before all others: a query waits at most for what is being computed at the
    moment. What else there is goes in the order in which the requests came, so that of two batches one ends while half
    of the other is still to do, and whoever sent it writes its vectors down meanwhile: side by side they would end at
    the same moment, and leave the model idle. The spare thread makes even a query's wait short, because the operating
    system then shares the cores between the query and the passages.
    """

    def __init__(self, engine: Engine, *, threads: int, max_requests: int) -> None:
        self._engine = engine
        self._max_requests = max_requests
        self._requests = 0
        self._closed = False
        self._arrivals = itertools.count()
        self._short: list[Waiting] = []
        self._long: list[Waiting] = []
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, args=(short_only,), name=f"compute-{number}")
            for number, short_only in enumerate([False] * threads + [True])
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, texts: Sequence[str], context_tokens: int) -> Job:
        """Put the texts in the queue; wait for `finished` of the answer. Raises QueueFull."""
        job = Job(texts, context_tokens)
        with self._changed:
            if self._closed or self._requests >= self._max_requests:
                raise QueueFull
            self._requests += 1
            for position, text in enumerate(texts):
                waiting = self._short if len(text) <= SHORT_CHARACTERS else self._long
                heapq.heappush(waiting, (position > 0, next(self._arrivals), position, job))
            self._changed.notify_all()
        return job

    def cancel(self, job: Job, reason: Exception) -> None:
        """Give up what is left of a job, for instance because its client has gone."""
        with self._changed:
            self._finish(job, reason)

    def close(self) -> None:
        """Take nothing more, give up what waits, and return when the threads have ended after the text they are at.

        The process must not end before: taking a thread out of the model's C++ code aborts it.
        """
        with self._changed:
            self._closed = True
            for *_, job in itertools.chain(self._short, self._long):
                self._finish(job, QueueFull())
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, short_only: bool) -> None:
        while (task := self._take(short_only)) is not None:
            position, job = task
            failure: Exception | None = None
            try:
                job.results[position] = self._engine.embed(job.texts[position], job.context_tokens)
            except Exception as error:  # noqa: BLE001  the thread must outlive any text; the request that sent it gets the error
                failure = error
            with self._changed:
                job.left -= 1
                if failure is not None or job.left == 0:
                    self._finish(job, failure)

    def _take(self, short_only: bool) -> tuple[int, Job] | None:
        """The text to compute next, as its position in its job; None when the queue is closed."""
        with self._changed:
            while not self._closed:
                waiting = self._first(short_only)
                if waiting is None:
                    self._changed.wait()
                    continue
                *_, position, job = heapq.heappop(waiting)
                if not job.finished.is_set():
                    return position, job
            return None

    def _first(self, short_only: bool) -> list[Waiting] | None:
        """The heap whose first text comes next."""
        if short_only or not self._long:
            return self._short or None
        if not self._short:
            return self._long
        return min(self._short, self._long, key=lambda heap: heap[0][:2])

    def _finish(self, job: Job, failure: Exception | None) -> None:
        """With the lock held: let the waiting request go on, once."""
        if not job.finished.is_set():
            job.failure = failure
            self._requests -= 1
            job.finished.set()
