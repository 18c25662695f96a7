"""Asking after the parts: side by side, each by one thread at a time, and none of them more often than it needs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as OutOfTime
from dataclasses import dataclass, field
from typing import Any

from portal.health import checks

TIMEOUT_SECONDS = 1.5
"""What whoever asks waits for all parts together. A part that takes longer goes on being asked in the background."""

Check = Callable[[], dict[str, Any]]

CHECKS: dict[str, Check] = {
    "database": checks.database,
    "embedding_service": checks.embedding,
    "cache": checks.cache,
    "workers": checks.workers,
    "replicas": checks.replicas,
    "storage": checks.storage,
    "disk": checks.disk,
}

KEPT_SECONDS = {
    "database": 1.0,
    "embedding_service": 15.0,
    "cache": 5.0,
    "workers": 15.0,
    "replicas": 5.0,
    "storage": 60.0,
    "disk": 15.0,
}
"""How old an answer may be. However often a process is asked, no part is asked more often than that by it."""

STALE_SECONDS = {"embedding_service": 60.0, "storage": 60.0, "replicas": 15.0}
"""While a part takes long to answer anew, its last answer holds for so long: a node that embeds a large document is
late, and not ill. Of the others, being late is what is wrong with them."""


@dataclass(frozen=True)
class Component:
    """How one part is. `response_time` is in seconds; one that is `healthy` may have an `error` that it works with."""

    healthy: bool
    response_time: float
    details: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass
class _Asked:
    """A part that is being asked, since when (monotonic seconds), and what comes of it."""

    since: float
    future: Future[Component]


class Watch:
    """What this process knows of the parts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[str, tuple[float, Component]] = {}
        self._being_asked: dict[str, _Asked] = {}

    def components(self, names: Iterable[str]) -> dict[str, Component]:
        """Each part, asked now where its last answer is too old; takes TIMEOUT_SECONDS at most."""
        asked = {name: self._ask(name) for name in names}
        return {name: self._outcome(name, one) for name, one in asked.items()}

    def latest(self) -> dict[str, Component]:
        """What was answered last, at once and however old; parts with old answers are asked anew in the background."""
        for name in CHECKS:
            self._ask(name)
        with self._lock:
            return {name: component for name, (_, component) in self._answers.items()}

    def _ask(self, name: str) -> _Asked:
        with self._lock:
            at, known = self._answers.get(name, (float("-inf"), None))
            if known is not None and time.monotonic() - at < KEPT_SECONDS[name]:
                answered: Future[Component] = Future()
                answered.set_result(known)
                return _Asked(at, answered)
            if name not in self._being_asked:
                # A daemon: a part that never answers must not keep this process from ending.
                self._being_asked[name] = _Asked(time.monotonic(), Future())
                threading.Thread(target=self._find_out, args=(name,), name=f"health-{name}", daemon=True).start()
            return self._being_asked[name]

    def _find_out(self, name: str) -> None:
        component = _timed(CHECKS[name])
        with self._lock:
            self._answers[name] = (time.monotonic(), component)
            asked = self._being_asked.pop(name)
        asked.future.set_result(component)

    def _outcome(self, name: str, asked: _Asked) -> Component:
        try:
            # Counted from when it was asked first: one that hangs holds up one request, not each.
            return asked.future.result(timeout=max(0.0, asked.since + TIMEOUT_SECONDS - time.monotonic()))
        except OutOfTime:
            with self._lock:
                at, known = self._answers.get(name, (float("-inf"), None))
            if known is not None and time.monotonic() - at < STALE_SECONDS.get(name, 0.0):
                return known
            return Component(False, TIMEOUT_SECONDS, error=f"no answer within {TIMEOUT_SECONDS} s")


def _timed(check: Check) -> Component:
    started = time.perf_counter()
    healthy = True
    try:
        details, error = check(), ""
    except checks.Trouble as trouble:
        details, error, healthy = trouble.details, str(trouble), trouble.works
    except Exception as failure:  # noqa: BLE001  (whatever is wrong with a part is what this page is there to say)
        details, error, healthy = {}, f"{type(failure).__name__}: {failure}", False
    return Component(healthy, round(time.perf_counter() - started, 4), details, error)


_watch = Watch()


def components(names: Iterable[str] = tuple(CHECKS)) -> dict[str, Component]:
    """Each of these parts, as it is now or was a moment ago (KEPT_SECONDS); within TIMEOUT_SECONDS."""
    return _watch.components(tuple(names))


def latest() -> dict[str, Component]:
    """What this process knows of the parts, at once; parts of which it knows nothing yet are left out."""
    return _watch.latest()


def forget() -> None:
    """Know nothing any more: after a fork, whose threads are not here, and between tests."""
    global _watch
    _watch = Watch()


os.register_at_fork(after_in_child=forget)
