"""Whether the time of an answer betrays a hidden document. Part of `./cloister drill leaks`: a busy machine that runs
all tests says little about milliseconds. CLOISTER_TIMING_REPORT names a file for the outcome.
"""

from __future__ import annotations

import gc
import json
import os
import random
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from portal.tests.noninterference.world import DocumentFacts, PersonFacts, World, WorldFacts, make

REPORT = os.environ.get("CLOISTER_TIMING_REPORT")
TRIES = int(os.environ.get("CLOISTER_TIMING_TRIES", "2000"))
"""Of each kind, at each address."""

SEED = 20250815

ADDRESSES = {
    "document page": "/documents/{}/",
    "API document": "/api/v1/documents/{}/",
    "file": "/api/v1/documents/{}/file/",
    "chunks": "/api/v1/documents/{}/chunks/",
    "similar": "/api/v1/documents/{}/similar/",
}

HIDDEN = WorldFacts(
    documents=tuple(
        DocumentFacts(paper=number % 9, department=1, clearance=1 + number % 4, audience="department",
                      state=("ready", "archived")[number % 2])
        for number in range(20)
    ),
    people=(PersonFacts("student", frozenset({0})),),
)  # fmt: skip
"""Hidden from a student of another department, each for another reason."""


def accuracy(hidden: Sequence[float], unknown: Sequence[float]) -> float:
    """How often the best single threshold, chosen on every other try, tells the two apart on the rest.

    0.5 is a coin; it may lie a little on either side of it.
    """
    learned = sorted([(seconds, True) for seconds in hidden[::2]] + [(seconds, False) for seconds in unknown[::2]])
    total = sum(slow for _, slow in learned)
    best, threshold, above = 0, 0.0, True
    below = 0
    for place, (seconds, slow) in enumerate(learned, start=1):
        below += slow
        # Right if what is hidden lies above this moment, or if it lies below.
        for right, side in (
            (place - below + total - below, True),
            (below + len(learned) - place - total + below, False),
        ):
            if right > best:
                best, threshold, above = right, seconds, side
    held = [(seconds > threshold) == above for seconds in hidden[1::2]]
    held += [(seconds > threshold) != above for seconds in unknown[1::2]]
    return sum(held) / len(held)


def timed(client: Client, path: str) -> float:
    """Seconds of one question."""
    started = time.perf_counter()
    response = client.get(path)
    seconds = time.perf_counter() - started
    assert response.status_code == 404
    return seconds


def measure(client: Client, world: World, address: str, tries: int, draw: random.Random) -> tuple[list[float], ...]:
    """Times of hidden documents and of unknown ones, asked in a drawn order, after some to warm up."""
    ids: dict[bool, Callable[[], uuid.UUID]] = {
        True: lambda: draw.choice(world.documents),
        False: lambda: uuid.UUID(int=draw.getrandbits(128)),
    }
    for _ in range(20):
        for kind in ids.values():
            timed(client, address.format(kind()))
    times: dict[bool, list[float]] = {True: [], False: []}
    gc.collect()
    gc.disable()
    try:
        for _ in range(tries):
            # In pairs, the first of which is drawn: whatever the machine does meanwhile, it does to both.
            for kind in draw.sample((True, False), 2):
                times[kind].append(timed(client, address.format(ids[kind]())))
    finally:
        gc.enable()
    return times[True], times[False]


@pytest.mark.django_db
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not REPORT, reason="./cloister drill leaks measures this")
def test_no_threshold_of_time_tells_hidden_from_unknown() -> None:
    world, draw = make(HIDDEN), random.Random(SEED)  # noqa: S311  (no secret)
    client = Client()
    client.force_login(User.objects.get(pk=world.people[0]))
    found = {}
    for name, address in ADDRESSES.items():
        found[name] = round(accuracy(*measure(client, world, address, TRIES, draw)), 4)
    Path(str(REPORT)).write_text(json.dumps({"tries": TRIES, "accuracy": found}), encoding="utf-8")


def test_a_difference_that_is_there_is_found() -> None:
    draw = random.Random(SEED)  # noqa: S311
    slow = [draw.gauss(5.5, 0.5) for _ in range(2000)]
    quick = [draw.gauss(5.0, 0.5) for _ in range(2000)]
    assert accuracy(slow, quick) > 0.65
    assert accuracy(quick, slow) > 0.65
    assert accuracy(quick, [draw.gauss(5.0, 0.5) for _ in range(2000)]) < 0.55
