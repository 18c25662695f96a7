"""Counting the requests of a minute: in Valkey for all processes together, in this process while Valkey is away."""

from __future__ import annotations

import logging
import math
import threading
import time
from functools import cache
from typing import Any

from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from prometheus_client import Counter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""After a failure Valkey is left alone for this time: one request of them all waits for it, not each."""

COUNTED_LOCALLY = Counter(
    "throttle_fallback_total", "Requests that were counted by one process alone, because Valkey did not answer."
)


class Counters:
    """Counters of the last minute, each with a limit of its own.

    A moving window: any 60 seconds let at most the limit through. While Valkey does not answer, each process counts by
    itself, up to its share of the limit, so that all of them together let through no more than Valkey would.
    """

    def __init__(self, url: str, *, processes: int, timeout: float) -> None:
        """`url` is a Valkey database, `processes` how many share the counters, `timeout` in seconds."""
        storage = RedisStorage(
            url,
            key_prefix="throttle",
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 1),  # type: ignore[arg-type]  # goes to the client as it is
        )
        self._shared = MovingWindowRateLimiter(storage)
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._processes = max(1, processes)
        self._turn = threading.Lock()
        self._away = False
        self._ask_again_at = 0.0

    def take(self, counter: str, whose: str, *, a_minute: int, requests: int = 1) -> int | None:
        """Count so many requests against `whose` counter of this name.

        None when they are within the limit; otherwise none is counted, and the answer is how many whole seconds from
        now the next one will be (at least 1). Never raises because of Valkey.
        """
        return self._ask(counter, whose, a_minute, requests)

    def spent(self, counter: str, whose: str, *, a_minute: int) -> int | None:
        """As `take`, without counting anything: whether the next request would be refused."""
        return self._ask(counter, whose, a_minute, 0)

    def _ask(self, counter: str, whose: str, a_minute: int, requests: int) -> int | None:
        if self._may_ask():
            try:
                answer = _decide(self._shared, counter, whose, a_minute, requests)
            except RedisError as error:
                self._note_away(error)
            else:
                self._note_back()
                return answer
        COUNTED_LOCALLY.inc()
        return _decide(self._local, counter, whose, max(1, a_minute // self._processes), requests)

    def _may_ask(self) -> bool:
        """Whether to try Valkey. While it is away one thread at a time does, and only after a pause."""
        if not self._away:
            return True
        with self._turn:
            now = time.monotonic()
            if now < self._ask_again_at:
                return False
            self._ask_again_at = now + PAUSE_SECONDS
            return True

    def _note_away(self, error: RedisError) -> None:
        with self._turn:
            before, self._away = self._away, True
            self._ask_again_at = time.monotonic() + PAUSE_SECONDS
        if not before:
            # The type only: a message of the server may hold what somebody sent.
            logger.warning("throttles count in this process alone: Valkey did not answer (%s)", type(error).__name__)

    def _note_back(self) -> None:
        if self._away:
            self._away = False
            logger.info("throttles count in Valkey again")


def _decide(limiter: MovingWindowRateLimiter, counter: str, whose: str, a_minute: int, requests: int) -> int | None:
    """None where so many (0: one, which is not counted) are within the limit, else the seconds until one is."""
    limit = RateLimitItemPerMinute(a_minute)
    within = limiter.hit(limit, counter, whose, cost=requests) if requests else limiter.test(limit, counter, whose)
    if within:
        return None
    oldest_leaves_at, left = limiter.get_window_stats(limit, counter, whose)
    # The oldest may have left since the decision.
    return 1 if left else max(1, math.ceil(oldest_leaves_at - time.time()))


@cache
def _counters(url: str, processes: int, timeout: float) -> Counters:
    return Counters(url, processes=processes, timeout=timeout)


def counters() -> Counters:
    """The portal's counters.

    They lie in the cache's database, so that whoever clears the cache clears them too, and wait for it no longer than
    the cache does: when it is away or slow, that must cost a request next to nothing.
    """
    options: Any = settings.CACHES["default"]["OPTIONS"]
    return _counters(settings.REDIS_URL, settings.WEB_PROCESSES, options["SOCKET_TIMEOUT"])
