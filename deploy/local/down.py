"""`down`: stop everything that runs in a home."""

from __future__ import annotations

import os
import signal

from deploy.local.errors import LauncherError
from deploy.local.home import Home
from deploy.local.lock import lock_holder, take_lock
from deploy.local.orphans import stop_orphans
from deploy.local.process import wait_until

# Longer than all services together may take to stop.
STOP_SECONDS = 120.0


def down(home: Home) -> int:
    """Stop the instance, or what is left of one whose launcher was killed. Nothing running is no failure."""
    holder = lock_holder(home)
    if holder is None and not home.run.is_dir():
        print(f"Cloister is not running in {home.path}.")
        return 0
    if holder is not None:
        print("Stopping…", flush=True)
        _stop_holder(home, int(holder["pid"]))
    lock = take_lock(home, "down")
    if lock is None:
        raise LauncherError(f"another launcher has begun to work in {home.path}: wait for it, then try again.")
    try:
        found = stop_orphans(home, lambda line: print(line, flush=True))
    finally:
        lock.release()
    print("Stopped." if holder is not None or found else f"Cloister is not running in {home.path}.")
    return 0


def _stop_holder(home: Home, pid: int) -> None:
    """Ask the launcher that holds the lock to stop; kill it when it does not."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # It ended by itself since the lock was read.
        except PermissionError as error:
            raise LauncherError("it was started by another user: run this command as that user.") from error
        if wait_until(lambda: lock_holder(home) is None, seconds):
            return
    raise LauncherError(f"process {pid} cannot be stopped: look at it with ps -fp {pid}.")
