"""Which part of the stack is killed when, for how long it stays away, and what each kill met."""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import dataclass, field

from deploy.bench._ingest_parts import DATABASE, NODE, QUEUE, WORKER, Parts
from deploy.drill._ingest_outcome import WORKING

KILLS_OF_EACH = 2
GAP_SECONDS = (1.5, 6.0)
GAP_READY = (1, 20)
"""Between two kills: so much time goes by, and so many documents become ready. Few, and one fault meets what the one
before it has left; many, and it meets a stack that is at work again."""

DOWN_SECONDS = (0.3, 3.0)
"""How long a killed part stays away."""

SPOKEN = {WORKER: "worker", QUEUE: "queue", DATABASE: "database", NODE: "embedding node"}


@dataclass
class Fault:
    """One part killed once."""

    part: str
    after: float
    """Seconds from the kill before it, or from the moment when enough documents were in flight."""
    after_ready: int
    """Documents that must have become ready since the kill before."""
    down_for: float
    at: float | None = None
    """Seconds from the first upload; None: it was not killed."""
    in_flight: int = 0
    made_ready: int = 0
    """Documents that became ready since the kill before, or since the first upload."""
    ready_before: int = 0
    recovered_after: float | None = None
    """Seconds from the kill until one more document was ready than before it."""

    def __str__(self) -> str:
        return SPOKEN[self.part] + (f" at {self.at}" if self.at is not None else ", not killed")


def planned(chance: random.Random) -> list[Fault]:
    """When which part is killed, and for how long it stays away."""
    names = [WORKER, QUEUE, DATABASE, NODE] * KILLS_OF_EACH
    chance.shuffle(names)
    return [
        Fault(
            name,
            after=round(chance.uniform(*GAP_SECONDS), 1),
            after_ready=chance.randint(*GAP_READY),
            down_for=round(chance.uniform(*DOWN_SECONDS), 1),
        )
        for name in names
    ]


@dataclass
class Faults:
    """The faults of one run: each is committed when it is due, and what was killed is started again.

    Times are seconds from the first upload.
    """

    stack: Parts
    plan: list[Fault]
    in_flight: int
    """A kill waits until so many documents are in flight, for as long as uploads go on."""
    _down: dict[str, float] = field(default_factory=dict)
    _done: int = 0
    _last_at: float | None = None
    _last_ready: int = 0
    mended_at: float = 0.0
    """When a part was last started again."""

    @property
    def are_over(self) -> bool:
        """Whether each part was killed as planned, and is started again."""
        return self.all_committed and not self._down

    @property
    def all_committed(self) -> bool:
        """Whether each part was killed as planned."""
        return self._done == len(self.plan)

    def go_on(self, now: float, seen: Counter[str], *, uploading: bool) -> None:
        """Start and kill what is due now, when so many documents were last seen in each state."""
        for name in [name for name, until in self._down.items() if now >= until]:
            del self._down[name]
            self.stack.start(name)
            self.mended_at = now
        for fault in self.plan[: self._done]:
            if fault.at is not None and fault.recovered_after is None and seen["ready"] > fault.ready_before:
                fault.recovered_after = round(now - fault.at, 1)
        in_flight = sum(seen[state] for state in WORKING)
        deep = in_flight >= self.in_flight or not uploading
        if self._last_at is None and deep:
            self._last_at = now
        if self.all_committed or self._last_at is None or not deep:
            return
        fault = self.plan[self._done]
        goes_on = seen["ready"] >= self._last_ready + fault.after_ready
        if goes_on and now >= self._last_at + fault.after and self._is_up(fault.part):
            self._commit(fault, now, in_flight, seen["ready"])

    def _is_up(self, part: str) -> bool:
        return part not in self._down and self.stack.is_ready(part)

    def _commit(self, fault: Fault, now: float, in_flight: int, ready: int) -> None:
        fault.at, fault.in_flight, fault.ready_before = now, in_flight, ready
        fault.made_ready = ready - self._last_ready
        self.stack.kill(fault.part)
        self._down[fault.part] = now + fault.down_for
        self._done, self._last_at, self._last_ready = self._done + 1, now, ready
        print(
            f"{now:6.1f} s  killed: {SPOKEN[fault.part]}, {in_flight} in flight, {ready} ready",
            file=sys.stderr,
            flush=True,
        )
