"""The lock of a home: one launcher at a time runs processes in it."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from deploy.local.errors import LauncherError
from deploy.local.home import Home, read_json


class HomeLock:
    """The right to run processes in a home: held from the first check to the last stop, gone with its holder.

    The lock is the kernel's (flock), so that `kill -9` frees it; the file names the holder for `down` and `status`.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        """Use `take_lock`."""
        self._path = path
        self._descriptor = descriptor
        self._held = True

    def name_holder(self, purpose: str) -> None:
        """Write this process down as the holder (again, after a fork has handed the lock over)."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "purpose": purpose}).encode(), 0)

    def hand_over(self) -> None:
        """Forget the lock without freeing it: a forked child holds it now."""
        if self._held:
            os.close(self._descriptor)
            self._held = False

    def release(self) -> None:
        """Free the lock, unless it was handed over, and leave no file behind."""
        if self._held:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._held = False


def take_lock(home: Home, purpose: str) -> HomeLock | None:
    """The lock of this home; None when somebody else holds it."""
    while True:
        descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        # The holder before us removes the file as it leaves: then this lock is on a file nobody else will see.
        if _is_same_file(descriptor, home.lock):
            lock = HomeLock(home.lock, descriptor)
            lock.name_holder(purpose)
            return lock
        os.close(descriptor)


def lock_holder(home: Home) -> dict[str, Any] | None:
    """Who holds the lock: {"pid", "purpose"}, or None when it is free."""
    try:
        descriptor = os.open(home.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise LauncherError(f"{home.lock} belongs to another user: run this command as that user.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = read_json(home.lock)
        return holder if "pid" in holder else {"pid": 0, "purpose": ""}
    finally:
        os.close(descriptor)
    return None


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
