"""The server behind the cache: asked in the little time that a search may lose by it, left alone when it fails."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError, ResponseError

logger = logging.getLogger(__name__)

ALLOWANCE_SECONDS = 0.035
"""What one search waits for the cache in all its questions together: with all else that this costs, below 50 ms."""

PAUSE_SECONDS = 5.0
"""After failures the server is left alone for so long: of all the searches of a process one waits for it, not each."""

FIRST_PAUSE_SECONDS = 0.25
"""After a single failure; each further one doubles it. A busy machine makes a good server late now and then."""

PATIENT_ATTEMPTS = 4
"""Of whoever cannot do without an answer, each of which waits as long as the settings say (50 ms)."""

THREADS = 8
"""That wait for the server in the searches' place, so that these can go on without an answer."""

Answer = TypeVar("Answer")


class Away(Exception):
    """The server did not answer in time, or is left alone because it did not."""


class _Allowance:
    def __init__(self) -> None:
        self.left = ALLOWANCE_SECONDS


_allowance: ContextVar[_Allowance | None] = ContextVar("cache_allowance", default=None)


@contextmanager
def allowance() -> Iterator[None]:
    """What is asked of the cache within takes ALLOWANCE_SECONDS at most, all together."""
    token = _allowance.set(_Allowance())
    try:
        yield
    finally:
        _allowance.reset(token)


class Store:
    """Bytes under keys, each for some time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._away = False
        self._failures = 0
        self._ask_again_at = 0.0

    def get(self, key: str) -> bytes | None:
        """What is kept under this key. Raises Away; whatever is there and is no text is nothing."""
        found = self._ask(lambda server, full_key: server.get(full_key), key)
        return found if isinstance(found, bytes) else None

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep it, unless the server has no room. Raises Away."""
        milliseconds = max(1, round(seconds * 1000))
        self._ask(lambda server, full_key: server.set(full_key, value, px=milliseconds), key)

    def raise_to(self, key: str, number: int, seconds: float) -> None:
        """Keep the number under this key, unless a larger one is kept there. Raises Away."""

        def raised(server: Any, full_key: str) -> None:
            server.pipeline().zadd(full_key, {"": number}, gt=True).expire(full_key, int(seconds)).execute()

        self._ask(raised, key)

    def highest(self, key: str) -> int:
        """The largest number that was kept under this key lately, up to 2^53; 0 where none was. Raises Away."""
        return int(self._ask(lambda server, full_key: server.zscore(full_key, ""), key) or 0)

    def highest_at_last(self, key: str) -> int:
        """The same for whoever cannot do without: it is asked several times, and in a pause too. Raises Away."""
        client = cache.client  # type: ignore[attr-defined]
        for attempt in range(PATIENT_ATTEMPTS):
            try:
                return int(client.get_client(write=True).zscore(client.make_key(key), "") or 0)
            except RedisError as error:
                if attempt + 1 == PATIENT_ATTEMPTS:
                    raise Away from error
        raise Away

    def _ask(self, question: Callable[[Any, str], Answer], key: str) -> Answer | None:
        """The server's answer; None where it refuses (no room, or something of another kind under the key)."""
        given = _allowance.get() or _Allowance()
        if given.left <= 0 or not self._may_ask():
            raise Away
        # Each thread has a client of its own, and tests give theirs another prefix.
        client = cache.client  # type: ignore[attr-defined]
        server, full_key = client.get_client(write=True), client.make_key(key)
        began = time.monotonic()
        waited_for = _threads().submit(question, server, full_key)
        try:
            answer = waited_for.result(timeout=given.left)
        except ResponseError as error:
            logger.warning("the cache refused: %s", type(error).__name__)
            answer = None
        except Exception as error:  # the client stumbles in many ways over what is no Valkey
            waited_for.cancel()
            self._note_away(error)
            raise Away from error
        finally:
            given.left -= time.monotonic() - began
        if self._away:
            self._away, self._failures = False, 0
            logger.info("the cache answers again")
        return answer

    def _may_ask(self) -> bool:
        """Whether to try. While the server is away one thread at a time does, and only after a pause."""
        if not self._away:
            return True
        with self._turn:
            if time.monotonic() < self._ask_again_at:
                return False
            self._ask_again_at = time.monotonic() + PAUSE_SECONDS
            return True

    def _note_away(self, error: Exception) -> None:
        with self._turn:
            before, self._away = self._away, True
            pause = min(PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._failures)
            self._failures = min(self._failures + 1, 10)
            self._ask_again_at = time.monotonic() + pause
        if not before:
            logger.warning("searches go on without the cache: it did not answer (%s)", type(error).__name__)


@lru_cache
def _store_at(_location: str) -> Store:
    return Store()


def store() -> Store:
    """The cache that the settings name; each has its own pauses."""
    return _store_at(str(settings.CACHES["default"]["LOCATION"]))


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="cache")


# Threads do not come along into a forked process, which makes its own.
os.register_at_fork(after_in_child=_threads.cache_clear)
