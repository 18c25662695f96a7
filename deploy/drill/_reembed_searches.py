"""Twenty searches a second over HTTP, and what they answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx

PATIENCE_SECONDS = 15.0
THREADS = 24

Ranking = tuple[tuple[int, float], ...]
"""The hits of an answer, in order: each one's chunk and similarity."""


@dataclass(frozen=True)
class Answer:
    """What one search answered, and when it was asked (of the monotonic clock)."""

    phase: str
    question: str
    asked_at: float
    seconds: float
    fault: str
    ranking: Ranking


@dataclass
class Searches:
    """Searches in turns through the questions, so many a second, at the servers in turns, until it is stopped."""

    servers: Sequence[str]
    questions: Sequence[str]
    a_second: float
    phase: str = ""
    answers: list[Answer] = field(default_factory=list)

    def __enter__(self) -> Searches:
        # gunicorn closes an idle connection after 5 seconds; ours must be the first to let go.
        limits = httpx.Limits(keepalive_expiry=2.0)
        self._clients = [httpx.Client(base_url=one, timeout=PATIENCE_SECONDS, limits=limits) for one in self.servers]
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(THREADS)
        self._clock = threading.Thread(target=self._tick, daemon=True)
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._clock.join()
        self._pool.shutdown()
        for client in self._clients:
            client.close()

    def _tick(self) -> None:
        """Ask at fixed moments, whether or not the answers before have come."""
        begun, number = time.monotonic(), 0
        while not self._ended.wait(max(0.0, begun + number / self.a_second - time.monotonic())):
            self._pool.submit(self._ask, number)
            number += 1

    def _ask(self, number: int) -> None:
        question = self.questions[number % len(self.questions)]
        client = self._clients[number % len(self._clients)]
        self.answers.append(ask(client, question, self.phase))


def ask(client: httpx.Client, question: str, phase: str = "") -> Answer:
    """Ask one question, by meaning alone."""
    asked_at = time.monotonic()
    fault = ""
    ranking: Ranking = ()
    try:
        answer = client.get(f"/api/v1/search/?mode=semantic&q={quote(question)}")
        if answer.status_code != httpx.codes.OK:
            fault = f"status {answer.status_code}: {answer.text[:200]}"
        else:
            body = answer.json()
            fault = ", ".join(body["degraded"])
            ranking = tuple((hit["chunk_id"], hit["similarity"]) for hit in body["results"])
    except httpx.HTTPError as error:
        fault = f"{type(error).__name__}: {error}"
    return Answer(phase, question, asked_at, time.monotonic() - asked_at, fault, ranking)


def reference(server: str, questions: Iterable[str]) -> dict[str, Ranking]:
    """What each question is answered in quiet times. Raises RuntimeError where it is not answered."""
    with httpx.Client(base_url=server, timeout=PATIENCE_SECONDS) as client:
        answers = [ask(client, question) for question in questions]
    if faults := [one.fault for one in answers if one.fault]:
        raise RuntimeError(f"searches fail before anything is changed: {faults[0]}")
    return {one.question: one.ranking for one in answers}
