"""What a killed launcher leaves behind, and how to end it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

from deploy.local.home import Home
from deploy.local.postgres import cluster_title
from deploy.local.process import (
    PidFile,
    is_alive,
    kill_all,
    marked,
    signal_group,
    signal_process,
    titled,
    wait_until,
)
from deploy.local.standby import replicas_title

# What feeds others stops before them: the clock queues tasks, worker and web server use the rest, the database is last.
PORTAL_NAMES = ("beat", "worker", "gunicorn")
STOP_ORDER = ("nginx", *PORTAL_NAMES, "pgbouncer", "embedding", "valkey", "replica", "postgres")

# Seconds that an orphan gets to end by itself; the database writes its memory to disk meanwhile.
ORPHAN_SECONDS = {"postgres": 30.0, "replica": 30.0, "worker": 15.0}


def kind(name: str) -> str:
    """What a service is one of: the second web server, `gunicorn-2`, is a `gunicorn`."""
    return re.sub(r"-\d+$", "", name)


def stop_orphans(home: Home, say: Callable[[str], None]) -> bool:
    """End every process that an earlier launcher started in this home, and say whether there was any.

    The caller holds the lock, so none of them belongs to a living launcher.
    """
    files = [path for path in home.run.glob("*.pid") if kind(path.stem) in STOP_ORDER]
    files.sort(key=lambda path: STOP_ORDER.index(kind(path.stem)))
    remembered = {path.stem: PidFile(path) for path in files}
    alive = {name: identity for name, file in remembered.items() if (identity := file.read()) is not None}
    if alive:
        say("Stopping what an earlier launcher, which was killed, left running…")
    for name, identity in alive.items():
        is_database = kind(name) in ("postgres", "replica")
        signal_process(identity.pid, signal.SIGINT if is_database else signal.SIGTERM)
        wait_until(lambda one=identity: not is_alive(one), ORPHAN_SECONDS.get(kind(name), 10.0))  # type: ignore[misc]
        signal_group(identity.pid, signal.SIGKILL)
    kill_all(lambda: marked(str(home.path)))
    kill_all(lambda: titled(cluster_title(home)) + titled(replicas_title(home)))
    for pid_file in remembered.values():
        pid_file.remove()
    home.state_file.unlink(missing_ok=True)
    return bool(alive)
