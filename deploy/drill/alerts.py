"""Whether operators are told of trouble, and that it is over: real faults, a real Prometheus and a real Alertmanager.

    ./cloister drill alerts [--json]

Runs a stack of its own: PostgreSQL, Valkey, an embedding node (the stand-in of the other drills), web server, worker
and clock, with people who search all the time; Prometheus, which scrapes it, and Alertmanager, which tells a webhook.
Then, one after the other, each fault of deploy/drill/_alerts_faults.py is made; its alert must arrive there. It is
mended; the word that the alert is over must arrive. Before the first fault none of these alerts may be told.

The rules are those of deploy/prometheus/alerts.yml with shorter windows (deploy/drill/_alerts_rules.py says which), and
Alertmanager's settings those of deploy/alertmanager/alertmanager.yml with the webhook's address.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.bench import Bar, conclude, machine
from deploy.bench._ingest_parts import Parts, parts, seconds_since
from deploy.drill._alerts_faults import Fault, FullDisk, fault_of_replica, faults_without_replica
from deploy.drill._alerts_watch import Receiver, watching
from deploy.local.console import Console
from deploy.local.errors import LauncherError
from deploy.local.home import home_from_environment
from deploy.local.portal import portal_services
from deploy.local.ports import choose
from deploy.local.process import wait_until
from deploy.local.prometheus import ensure_prometheus
from deploy.local.service import Running
from deploy.local.standby import Standby

REST_SECONDS = 30.0
"""How long all is well before the first fault."""

TOLD_SECONDS, OVER_SECONDS = 120.0, 180.0
"""Within these an alert, and the word that it is over, must arrive. With the real rules it takes minutes longer."""

PEOPLE = 3
PAUSE_SECONDS = 0.2


def main() -> int:
    """Run the drill, print, and return the exit status."""
    before = machine()
    started = time.monotonic()
    own = home_from_environment()
    own.create()
    tools = ensure_prometheus(own, Console(own.log("cloister"), sys.stderr))
    if tools is None:
        raise LauncherError("the drill needs Prometheus and Alertmanager, which could not be fetched.")
    with tempfile.TemporaryDirectory(prefix="cloister-drill-") as name:
        folder = Path(name)
        # The database's own user passes through where the drill runs as root.
        folder.chmod(0o711)
        disk = FullDisk(folder)
        with parts(folder / "home") as stack:
            try:
                rest, outcomes, searches = _drill(stack, tools, disk)
            except BaseException:
                for log in sorted(stack.home.logs.glob("*.log")):
                    print(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}", file=sys.stderr)
                raise
    missing = [one["alert"] for one in outcomes if one["seconds_until_told"] is None]
    lasting = [one["alert"] for one in outcomes if one["seconds_until_over"] is None]
    figures = {
        "faults": {one.pop("alert"): one for one in outcomes},
        "told_before_any_fault": rest,
        "searches": searches,
        "seconds": seconds_since(started),
    }
    return conclude(
        "alerts",
        on=before,
        data=f"{len(outcomes)} faults, {PEOPLE} people who search all the time; windows a tenth of the real ones",
        figures=figures,
        bars=[
            Bar("alerts told before any fault", len(rest), 0),
            Bar("faults of which nobody was told", len(missing), 0),
            Bar("faults of which nobody was told that they are over", len(lasting), 0),
        ],
    )


def _drill(
    stack: Parts, tools: dict[str, str], disk: FullDisk
) -> tuple[list[str], list[dict[str, Any]], dict[str, int]]:
    """Which alerts were told at rest, what came of each fault, and how searches were answered meanwhile."""
    port, mark = choose(None, ()), stack.home.path / "backup-mark"
    mark.touch()
    given = stack.new_database("alerts") | {
        "PORT": str(port),
        "BACKUP_MARK": str(mark),
        "OPERATOR_NETWORKS": "127.0.0.0/8",
        "QUEUE_CANARY_SECONDS": "2",
        "SEARCH_CACHE_SECONDS": "0",
        "THROTTLE_FACTOR": "0",
        "LOG_LEVEL": "WARNING",
        "LOW_DISK_SHARE": "0",
    }
    outcomes: list[dict[str, Any]] = []
    with watching(stack.home, tools, port, low_share=disk.low_share) as receiver, stack.at_work(given):
        with _web(stack, given), _people(port) as searches:
            faults = faults_without_replica(stack, given["DATABASE_URL"], disk)
            began = time.monotonic()
            time.sleep(REST_SECONDS)
            expected = {fault.alert for fault in faults} | {"ReplicaLagHigh", "PortalDown", "ComponentDown"}
            # Counted from when the first scrapes are over: before, the portal was not there to be scraped.
            rest = sorted(receiver.names(began + REST_SECONDS / 2) & expected)
            outcomes += [_outcome(fault, receiver) for fault in faults]
        standby = Standby(stack.postgres, 1, choose(None, (port,)))
        standby.initialise()
        replica = Running(standby.service(), stack.home)
        try:
            address = urlsplit(standby.url)._replace(path="/alerts").geturl()
            with _web(stack, given | {"DATABASE_REPLICA_URLS": address}), _people(port) as more:
                time.sleep(REST_SECONDS / 3)
                outcomes.append(_outcome(fault_of_replica(standby), receiver))
        finally:
            replica.bury()
    return rest, outcomes, {name: searches[name] + more[name] for name in searches}


def _outcome(fault: Fault, receiver: Receiver) -> dict[str, Any]:
    """Make a fault, wait until its alert is told, mend it, and wait until it is told that it is over."""
    print(f"{fault.alert}: {fault.what}", file=sys.stderr, flush=True)
    made = time.monotonic()
    fault.make()
    try:
        wait_until(lambda: receiver.told(fault.alert, "firing", made) is not None, TOLD_SECONDS)
    finally:
        mended = time.monotonic()
        fault.mend()
    told = receiver.told(fault.alert, "firing", made)
    over = None
    if told:
        wait_until(lambda: receiver.told(fault.alert, "resolved", mended) is not None, OVER_SECONDS)
        over = receiver.told(fault.alert, "resolved", mended)
    found = {
        "alert": fault.alert,
        "fault": fault.what,
        "severity": told["labels"]["severity"] if told else None,
        "seconds_until_told": round(told["arrived"] - made, 1) if told else None,
        "seconds_until_over": round(over["arrived"] - mended, 1) if over else None,
    }
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


@contextmanager
def _web(stack: Parts, environment: dict[str, str]) -> Iterator[None]:
    """The web server as `up` has it."""
    stack.manage(environment, "collectstatic", "--noinput", "--verbosity", "0")
    web, _, _ = portal_services(stack.stack, environment)
    running = Running(replace(web, stop_seconds=2.0), stack.home)
    try:
        if web.ready is None or not wait_until(web.ready, 60.0):
            raise LauncherError(f"the web server does not start: read {stack.home.log('gunicorn')}.")
        yield
    finally:
        running.bury()


@contextmanager
def _people(port: int) -> Iterator[dict[str, int]]:
    """People who search, each with words of their own; how many searches were answered, and how many were not."""
    counts, over = {"answered": 0, "failed": 0}, threading.Event()

    def ask(person: int) -> None:
        number = 0
        while not over.wait(PAUSE_SECONDS):
            number += 1
            try:
                url = f"http://127.0.0.1:{port}/api/v1/search/?q=question+{person}+{number}"
                with urllib.request.urlopen(url, timeout=30) as answer:
                    answer.read()
                counts["answered"] += 1
            except (urllib.error.URLError, OSError):
                counts["failed"] += 1

    threads = [threading.Thread(target=ask, args=(person,), daemon=True) for person in range(PEOPLE)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


if __name__ == "__main__":
    sys.exit(main())
