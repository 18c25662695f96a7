"""Whether replicas serve searches, never what was withdrawn, and go on when a database is lost.

    ./cloister drill replicas [--json] [--searches N]

Starts a primary and two replicas that really follow it, two web servers on them, and a document, a person and a service
account for each change of deploy/drill/_stale_changes.py. Then, again and again, for each change:

1. replay is paused on one replica, or on both, while the document shows;
2. the change is made on the primary;
3. people search, by every way that the change ends and at both servers: an answer with the document is stale, and so is
   one without it, by the ways that the change does not end, broken;
4. replay is resumed, the change is taken back, and the document must show again.

Then databases are lost under searches: a replica is killed and comes back; one is 30 s late; the primary is killed,
while one replica has everything, and while none has. Counted are errors, stale answers, and who read the answers.

The bars: no stale answer in 10,000 (`--searches` makes it shorter), and no error as long as any database may answer.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.bench import AtLeast, Bar, conclude, machine
from deploy.bench._parts import again_with_parts, missing
from deploy.drill._replicas_faults import (
    Fared,
    Searches,
    all_behind,
    forget_connections,
    primary_lost,
    replica_late,
    replica_lost,
)
from deploy.drill._stale_changes import CHANGES, Change
from deploy.drill._stale_doors import DOORS, Answer
from deploy.drill._stale_scene import Scene, Setting, Stage
from deploy.drill._stale_servers import prepare, web_servers
from deploy.drill.stale import Tally
from deploy.local.home import Home
from deploy.local.replicating import Cluster, replicating

SEARCHES_WANTED = 10_000
SERVERS = 2

SEARCH_DOORS = frozenset(("search page", "search pane", "API search", "facets", "similar documents"))
"""Doors behind which replicas are read."""


def main() -> int:
    """Run the drill, print, and return the exit status."""
    if missing():
        return again_with_parts("deploy.drill.replicas")
    before = machine()
    arguments = sys.argv[1:]
    wanted = int(arguments[arguments.index("--searches") + 1]) if "--searches" in arguments else SEARCHES_WANTED
    started = time.monotonic()
    with _ready() as (cluster, servers, metrics):
        stage = Stage(servers)
        try:
            # One more than there are changes: a document that everybody sees, until it is narrowed.
            scene = stage.scene(len(CHANGES), Setting(clearance=1))
            searches = Searches(servers, scene.watched, metrics)
            tally, served = play(cluster, stage, searches, wanted)
            faults = fail(cluster, scene, searches)
        finally:
            stage.close()
            forget_connections()
    stale, hidden, broken = (+counts for counts in (tally.stale, tally.hidden, tally.broken))
    figures: dict[str, Any] = {
        "searches_after_a_change": tally.withdrawn,
        "searches_that_had_to_show_it": tally.granted,
        "changes_made": tally.changes,
        "read_from": dict(served),
        **{name: fared.figures() for name, fared in faults.items()},
        "seconds": round(time.monotonic() - started),
    }
    for name, found in (("stale", stale), ("missing", hidden), ("broken", broken)):
        if found:
            figures[name] = dict(found.most_common(20))
    refused = faults.pop("primary killed, no replica has all")
    return conclude(
        "replicas",
        on=before,
        data=f"a primary with two replicas, {SERVERS} web servers; {len(CHANGES)} kinds of change under paused replay",
        figures=figures,
        bars=[
            Bar("stale answers", sum(stale.values()) + refused.stale + sum(one.stale for one in faults.values()), 0),
            Bar("searches that did not show what was granted", sum(hidden.values()), 0),
            Bar("searches that were not answered under paused replay", sum(broken.values()), 0),
            Bar("searches short of what was asked for", max(0, wanted - tally.withdrawn), 0),
            AtLeast("searches read from replicas, one being paused", served.total() - served["primary"], wanted // 10),
            *(Bar(f"errors: {name}", one.errors, 0) for name, one in faults.items()),
            Bar("answers while no database may give one", refused.statuses[200], 0),
        ],
    )


def play(cluster: Cluster, stage: Stage, searches: Searches, wanted: int) -> tuple[Tally, Counter[str]]:
    """Make all changes in turns, under paused replay, until so many searches came after one; and who read them."""
    tally, turn = Tally(), 0
    scenes: dict[str, Scene] = {}
    # Changes that end a sign-in leave nobody who could search; curators' doors are no searches.
    changes = [change for change in CHANGES if not change.doors]
    before = searches.served()
    per_change = max(1, -(-wanted // (3 * len(changes))))
    with ThreadPoolExecutor(2 * SERVERS) as pool:
        while tally.withdrawn < wanted:
            change = changes[turn % len(changes)]
            scene = scenes.get(change.name) or scenes.setdefault(
                change.name, stage.scene(CHANGES.index(change), change.setting)
            )
            cluster.catch_up()
            paused = cluster.replicas if turn % 4 == 3 else (cluster.replicas[turn % 2],)
            tally.note(change, _ask(pool, scene, change, 1), ended=frozenset())
            for replica in paused:
                cluster.pause(replica)
            change.acts.withdraw(scene)
            tally.note(change, _ask(pool, scene, change, per_change), ended=change.ended)
            for replica in paused:
                cluster.resume(replica)
            # While it catches up.
            tally.note(change, _ask(pool, scene, change, 1), ended=change.ended)
            change.acts.restore(scene)
            tally.note(change, _ask(pool, scene, change, 1), ended=frozenset())
            turn += 1
            tally.changes += 1
            print(f"{tally.withdrawn:,} searches, {(+tally.stale).total()} stale", file=sys.stderr, flush=True)
    served = searches.served() - before
    for scene in scenes.values():
        for way in scene.ways.values():
            way.close()
    return tally, served


def fail(cluster: Cluster, scene: Scene, searches: Searches) -> dict[str, Fared]:
    """Lose databases under searches for one document, whose access is narrowed meanwhile."""

    def narrow() -> None:
        scene.patch(clearance=4)

    def widen() -> None:
        forget_connections()
        scene.patch(clearance=1)
        cluster.catch_up()

    faults = replica_lost(cluster, searches)
    faults |= replica_late(cluster, searches, narrow)
    widen()
    faults |= primary_lost(cluster, searches, narrow)
    widen()
    faults |= all_behind(cluster, searches, narrow)
    return faults


def _ask(pool: ThreadPoolExecutor, scene: Scene, change: Change, at_least: int) -> list[Answer]:
    """So many searches at least by each way that the change concerns, at each server, all at the same time."""

    def visit(way: str, server: int) -> list[Answer]:
        doors = [door for door in DOORS[way] if door.name in SEARCH_DOORS]
        return [
            scene.ways[way].ask(server, doors[number % len(doors)], scene.watched)
            for number in range(max(len(doors), -(-at_least // (SERVERS * len(change.seen_by)))))
        ]

    visits = [pool.submit(visit, way, server) for way in sorted(change.seen_by) for server in range(SERVERS)]
    return [answer for one in visits for answer in one.result()]


@contextmanager
def _ready() -> Iterator[tuple[Cluster, list[str], str]]:
    """Databases that replicate, migrated, the web servers on them, and the folder of their metrics."""
    with tempfile.TemporaryDirectory(prefix="cloister-drill-") as name:
        folder = Path(name)
        # The servers of the databases may run as another user.
        folder.chmod(0o711)
        with replicating(Home(folder / "databases"), 2) as cluster:
            environment = prepare(
                folder,
                DATABASE_URL=cluster.primary.url,
                DATABASE_REPLICA_URLS=",".join(replica.url for replica in cluster.replicas),
                # Every search asks a database.
                SEARCH_CACHE_SECONDS="0",
            )
            with web_servers(environment, SERVERS) as servers:
                yield cluster, servers, environment["PROMETHEUS_MULTIPROC_DIR"]


if __name__ == "__main__":
    sys.exit(main())
