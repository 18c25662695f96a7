"""The queues as an operator sees them: what waits, for how long, and whether it moves.

Beside each queue stands a note of when a task of it was last begun. The clock sends a canary into each every half
minute, so that the note of a queue that works is never older than that, however little there is to do. Notes lie
beside the queues, in the broker.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings

QUEUES = ("ingestion", "maintenance", "reembed")

STUCK_SECONDS = {"ingestion": 1800.0, "maintenance": 600.0, "reembed": 1800.0}
"""A queue that has not moved for so long is stuck. A worker's hands may all be busy with long documents for a while."""

BROKER_SECONDS = 0.5
"""What an answer of the broker may take: nobody must wait for one that is away."""

LOST_SECONDS = 3600.0
"""A canary that has waited for so long is taken for lost, with its queue, and another one is sent."""

NOTES = "cloister:queues"
"""The hash in the broker: `moved:QUEUE` and `canary:QUEUE`, when a task was begun and when a canary came through;
`sent:QUEUE`, since when a canary waits. In seconds since 1970."""

SENT_AT = "sent_at"
"""The header of a message that says when it was sent, in seconds since 1970."""


@dataclass(frozen=True)
class QueueState:
    """One queue. Times are in seconds; None where nothing is known, as of a queue that was never used."""

    name: str
    waiting: int
    oldest: float | None
    since_moved: float | None
    since_canary: float | None

    @property
    def trouble(self) -> str:
        """Why this queue is stuck; empty when it is not."""
        limit = STUCK_SECONDS[self.name]
        if self.since_moved is not None and self.since_moved > limit:
            return f"nothing was begun for {self.since_moved:.0f} s, and {self.waiting} tasks wait"
        if self.since_moved is None and (self.oldest or 0.0) > limit:
            return f"{self.waiting} tasks wait, the first for {self.oldest:.0f} s"
        return ""

    def described(self) -> dict[str, Any]:
        """For the health page."""
        return {
            "waiting": self.waiting,
            "oldest_seconds": self.oldest,
            "moved_seconds_ago": self.since_moved,
            "canary_seconds_ago": self.since_canary,
        }


def states() -> dict[str, QueueState]:
    """Every queue. Raises redis.RedisError when the broker is away; empty for a broker that is not Valkey or Redis."""
    if not _is_redis():
        return {}
    with _broker() as broker:
        asked = broker.pipeline(transaction=False)
        asked.hgetall(NOTES)
        for queue in QUEUES:
            asked.llen(queue).lindex(queue, -1)
        noted, *answers = asked.execute()
    notes = {name.decode(): float(at) for name, at in noted.items()}
    now = time.time()
    return {
        queue: _state(queue, notes, answers[2 * place], answers[2 * place + 1], now)
        for place, queue in enumerate(QUEUES)
    }


def _state(queue: str, notes: dict[str, float], length: int, oldest: bytes | None, now: float) -> QueueState:
    def since(name: str) -> float | None:
        at = notes.get(f"{name}:{queue}")
        return None if at is None else round(max(0.0, now - at), 1)

    sent_at = json.loads(oldest)["headers"].get(SENT_AT) if oldest else None
    # A canary is no work that waits.
    canaries = 1 if since("sent") is not None else 0
    return QueueState(
        name=queue,
        waiting=max(0, length - canaries),
        oldest=None if sent_at is None else round(max(0.0, now - sent_at), 1),
        since_moved=since("moved"),
        since_canary=since("canary"),
    )


def note_moved(queue: str) -> None:
    """Note that a task of this queue is begun. A broker that is away is told of by whoever reads the notes."""
    if queue in QUEUES and _is_redis():
        with _broker() as broker:
            broker.hset(NOTES, f"moved:{queue}", time.time())


def note_canary(queue: str) -> None:
    """Note that a canary came through this queue. Raises redis.RedisError."""
    with _broker() as broker:
        broker.pipeline().hset(NOTES, f"canary:{queue}", time.time()).hdel(NOTES, f"sent:{queue}").execute()


def without_canary() -> list[str]:
    """The queues in which no canary waits; from now on one does, which the caller sends. Raises redis.RedisError."""
    if not _is_redis():
        return []
    now = time.time()
    with _broker() as broker:
        notes = {name.decode(): float(at) for name, at in broker.hgetall(NOTES).items()}
        free = [queue for queue in QUEUES if now - notes.get(f"sent:{queue}", 0.0) > LOST_SECONDS]
        if free:
            broker.hset(NOTES, mapping={f"sent:{queue}": now for queue in free})
    return free


def _is_redis() -> bool:
    return urlsplit(settings.CELERY_BROKER_URL).scheme in ("redis", "rediss", "unix")


@contextmanager
def _broker() -> Iterator[Any]:
    with redis.Redis.from_url(
        settings.CELERY_BROKER_URL, socket_connect_timeout=BROKER_SECONDS, socket_timeout=BROKER_SECONDS
    ) as broker:
        yield broker
