"""Whether what was withdrawn shows for even one more request, at any door, by any sign-in, at either web server.

    ./cloister drill stale [--json] [--answers N]

Starts two web servers, each one worker process, on one new database and one cache, with a document, a person and a
service account for each change of deploy/drill/_stale_changes.py. Then, again and again, for each change:

1. every door (pages, pane, file, API search, facets, suggestions, similar documents, chunks, lists) is opened at both
   servers through an open browser session, a token and an API key that were given out long before (and with none of
   them, where the document is public): the document must show, and every cache is warm;
2. the change is made, the way it is made in earnest;
3. the very next request by each way at each server, and those after it, must not show the document: each is one answer,
   and one that does is stale. Ways that the change does not end must go on showing it;
4. the change is taken back, and the next request by each way at each server must show the document again, so that
   nothing can pass by showing nothing.

The bar is no stale answer in 10,000 (`--answers` makes it shorter).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.bench import Bar, conclude, machine
from deploy.bench._parts import again_with_parts, missing
from deploy.drill._stale_changes import CHANGES, Change
from deploy.drill._stale_doors import ANSWERS, DOORS, Answer, Door
from deploy.drill._stale_scene import Scene, Stage
from deploy.drill._stale_servers import database_of_our_own, prepare, web_servers

ANSWERS_WANTED = 10_000
SERVERS = 2


@dataclass
class Tally:
    """What was counted so far."""

    withdrawn: int = 0
    granted: int = 0
    stale: Counter[str] = field(default_factory=Counter)
    hidden: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    by_change: Counter[str] = field(default_factory=Counter)
    changes: int = 0

    def note(self, change: Change, answers: Iterable[Answer], *, ended: frozenset[str]) -> None:
        """Count answers: by the ways that are `ended` the document must not show, by all others it must."""
        for one in answers:
            where = f"{change.name}: {one.door} by {one.way}, server {one.server}"
            if one.status not in ANSWERS:
                self.broken[f"{where}: {one.status}"] += 1
            elif one.way in ended:
                self.withdrawn += 1
                self.by_change[change.name] += 1
                self.stale[where] += one.shown
            else:
                self.granted += 1
                self.hidden[where] += not one.shown


def main() -> int:
    """Run the drill, print, and return the exit status."""
    if missing():
        return again_with_parts("deploy.drill.stale")
    before = machine()
    arguments = sys.argv[1:]
    wanted = int(arguments[arguments.index("--answers") + 1]) if "--answers" in arguments else ANSWERS_WANTED
    started = time.monotonic()
    with _ready() as servers, _scenes(servers) as scenes:
        began = time.monotonic()
        tally = play(scenes, wanted)
        took = time.monotonic() - began
    stale, hidden, broken = (+counts for counts in (tally.stale, tally.hidden, tally.broken))
    figures: dict[str, Any] = {
        "answers_after_a_change": tally.withdrawn,
        "answers_that_had_to_show_it": tally.granted,
        "changes_made": tally.changes,
        "answers_by_change": dict(tally.by_change),
        "seconds": round(took),
        "seconds_with_preparation": round(time.monotonic() - started),
    }
    for name, found in (("stale", stale), ("missing", hidden), ("broken", broken)):
        if found:
            figures[name] = dict(found.most_common(20))
    return conclude(
        "stale",
        on=before,
        data=f"{SERVERS} web servers on one database and one cache; {len(CHANGES)} kinds of change; "
        "sessions, tokens, API keys and no sign-in",
        figures=figures,
        bars=[
            Bar("stale answers", sum(stale.values()), 0),
            Bar("answers that did not show what was granted", sum(hidden.values()), 0),
            Bar("answers that were no answer", sum(broken.values()), 0),
            Bar("answers short of what was asked for", max(0, wanted - tally.withdrawn), 0),
        ],
    )


def play(scenes: dict[str, Scene], wanted: int) -> Tally:
    """Make and take back all changes in turns until so many answers were given after one."""
    tally = Tally()
    a_round = sum(SERVERS * len(_doors(change, way)) for change in CHANGES for way in change.ended)
    # A short drill opens fewer doors at each change, other ones each time, rather than leave out changes.
    share = min(1.0, wanted / a_round)
    with ThreadPoolExecutor(2 * SERVERS) as pool:
        turn = 0
        while tally.withdrawn < wanted:
            for change in CHANGES:
                scene = scenes[change.name]
                tally.note(change, _ask(pool, scene, change, turn, share), ended=frozenset())
                change.acts.withdraw(scene)
                tally.note(change, _ask(pool, scene, change, turn, share), ended=change.ended)
                change.acts.restore(scene)
                tally.note(change, _ask(pool, scene, change, turn, 0.0), ended=frozenset())
                turn += 1
                tally.changes += 1
            print(f"{tally.withdrawn:,} answers, {(+tally.stale).total()} stale", file=sys.stderr, flush=True)
    return tally


def _doors(change: Change, way: str) -> tuple[Door, ...]:
    """The doors that this way leads to and that show the document before the change."""
    return tuple(door for door in DOORS[way] if not change.doors or door.name in change.doors)


def _ask(pool: ThreadPoolExecutor, scene: Scene, change: Change, turn: int, share: float) -> list[Answer]:
    """Open doors by each way at each server, all at the same time; each time another door is the first."""

    def visit(way: str, server: int) -> list[Answer]:
        doors = _doors(change, way)
        first = (turn + server) % len(doors)
        opened = (doors[first:] + doors[:first])[: max(1, round(share * len(doors) + 0.49))]
        return [scene.ways[way].ask(server, door, scene.watched) for door in opened]

    visits = [pool.submit(visit, way, server) for way in sorted(change.seen_by) for server in range(SERVERS)]
    return [answer for one in visits for answer in one.result()]


@contextmanager
def _ready() -> Iterator[list[str]]:
    """A migrated database and the servers on it."""
    with (
        tempfile.TemporaryDirectory(prefix="cloister-drill-") as name,
        database_of_our_own(),
        web_servers(prepare(Path(name)), SERVERS) as servers,
    ):
        yield servers


@contextmanager
def _scenes(servers: list[str]) -> Iterator[dict[str, Scene]]:
    """The scene of each change."""
    stage = Stage(servers)
    with ThreadPoolExecutor(2 * SERVERS) as pool:
        made = list(pool.map(stage.scene, range(len(CHANGES)), [change.setting for change in CHANGES]))
    scenes = {change.name: scene for change, scene in zip(CHANGES, made, strict=True)}
    try:
        yield scenes
    finally:
        stage.close()
        for scene in scenes.values():
            for way in scene.ways.values():
                way.close()


if __name__ == "__main__":
    sys.exit(main())
