"""pytest in several processes at once: a lane each, with a cache, a queue and a folder of its own.

A plugin of pytest that `./cloister test` loads (`-p deploy.local.lanes`) beside pytest-xdist, whose workers are the
lanes. It is loaded before the portal's settings are read, which take their addresses from the environment, as do all
processes that tests start. pytest-django gives each lane a database of its own; the embedding node serves all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, MutableMapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

LANE_VARIABLE = "PYTEST_XDIST_WORKER"
"""In a lane, pytest-xdist sets it to `gw0`, `gw1`…"""

CACHE_NUMBERS = 4
"""Databases of the cache's server for each lane: cache, queue, and what drills take that a test runs."""

MOST_LANES = 16 // CACHE_NUMBERS
"""A Valkey server has sixteen databases."""

ONE_LANE = ("portal/tests/browser/",)
"""Folders whose tests share what takes long to start."""

ORDER = (
    "portal/tests/browser/",
    "portal/tests/noninterference/test_stories.py",
    "deploy/tests/test_launcher",
    "portal/tests/noninterference/test_mutations.py",
    "portal/tests/test_stale.py",
)
"""What takes longest starts first, so that no lane ends with it alone."""


def take_lane(environment: MutableMapping[str, str]) -> None:
    """Change the environment of a lane so that it meets no other; that of a process that is none stays as it is."""
    lane = environment.get(LANE_VARIABLE, "")
    if not lane.startswith("gw"):
        return
    number = int(lane.removeprefix("gw"))
    if number >= MOST_LANES:
        raise pytest.UsageError(f"At most {MOST_LANES} processes can test at once: give -n {MOST_LANES} or fewer.")
    for name in ("REDIS_URL", "CELERY_BROKER_URL"):
        address = urlsplit(environment[name])
        place = int(address.path.strip("/") or 0) + number * CACHE_NUMBERS
        environment[name] = address._replace(path=f"/{place}").geturl()
    for name in ("MEDIA_ROOT", "PROMETHEUS_MULTIPROC_DIR"):
        folder = Path(environment[name]) / lane
        folder.mkdir(parents=True, exist_ok=True)
        environment[name] = str(folder)
    environment["AUDIT_SPOOL"] = str(Path(environment["MEDIA_ROOT"]) / "audit")


take_lane(os.environ)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a lane, put what takes longest first, and last what leaves the database empty: all other tests stand on what
    the migrations wrote. pytest-django orders the tests of one process so."""
    if LANE_VARIABLE not in os.environ:
        return

    def place(test: pytest.Item) -> tuple[bool, int]:
        known = (number for number, name in enumerate(ORDER) if test.nodeid.startswith(name))
        return _empties(test), next(known, len(ORDER))

    items.sort(key=place)


def _empties(test: pytest.Item) -> bool:
    """Whether Django truncates all tables after this test."""
    mark = test.get_closest_marker("django_db")
    asked = {"transactional_db", "live_server"} & set(getattr(test, "fixturenames", ()))
    return bool(asked) or (mark is not None and bool(mark.kwargs.get("transaction") or mark.args[:1] == (True,)))


def stretches(tests: Iterable[str]) -> dict[str, str]:
    """The name of the stretch that each test belongs to: tests of one file (or folder of ONE_LANE) in unbroken order.

    So the tests of a file that empty the database are a stretch of their own, and may run in another lane.
    """

    def file_of(test: str) -> str:
        return next((one for one in ONE_LANE if test.startswith(one)), test.split("::", 1)[0])

    found: dict[str, str] = {}
    for number, (file, together) in enumerate(groupby(tests, file_of)):
        found |= dict.fromkeys(together, f"{file} {number}")
    return found


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand the tests out by stretches, in their order: a lane that is done with one takes the next."""
    from xdist.scheduler import LoadScopeScheduling

    class ByStretch(LoadScopeScheduling):
        def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
            self._stretches = stretches(collection)
            super().add_node_collection(node, collection)

        def _split_scope(self, nodeid: str) -> str:
            return self._stretches[nodeid]

    config.option.loadscopereorder = False
    return ByStretch(config, log)
