"""Processes as the kernel tells of them: who is alive, who belongs to which service, how to end them."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
CHILD_PROGRAM = Path(__file__).with_name("child.py")

# Every process of a service carries this variable, and so do the processes it starts.
MARKER = "CLOISTER_SERVICE"


@dataclass(frozen=True)
class Identity:
    """One process for good: a pid is used again, the moment it started (clock ticks since boot) is not."""

    pid: int
    started: int
    boot: str


@dataclass(frozen=True)
class Account:
    """The user a program runs as; `capability` as in child.py."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    capability: int | None = None


def identify(pid: int) -> Identity | None:
    """The identity of a live process; None when there is none, or only its zombie."""
    fields = _stat_fields(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return Identity(pid, int(fields[19]), _boot())


def is_alive(identity: Identity) -> bool:
    """Whether exactly this process still runs."""
    return identify(identity.pid) == identity


def uptime_seconds(identity: Identity) -> float:
    """Seconds since the process started."""
    since_boot = float((PROC / "uptime").read_text().split()[0])
    return max(0.0, since_boot - identity.started / TICKS_PER_SECOND)


def rss_bytes(pid: int) -> int:
    """Resident memory of one process in bytes; 0 when it is gone."""
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def family(pid: int) -> list[int]:
    """The process and all that descend from it, parents first."""
    children: dict[int, list[int]] = {}
    for candidate in _pids():
        fields = _stat_fields(candidate)
        if fields is not None and fields[0] not in "ZX":
            children.setdefault(int(fields[1]), []).append(candidate)
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found


def marked(prefix: str) -> list[int]:
    """Processes whose marker is `prefix`, or is below it; only those this user may look into."""
    wanted = f"{MARKER}={prefix}".encode()
    found = []
    for pid in _pids():
        try:
            environment = (PROC / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        if any(part == wanted or part.startswith(wanted + b"#") for part in environment.split(b"\0")):
            found.append(pid)
    return [pid for pid in found if pid != os.getpid() and identify(pid)]


def titled(prefix: str) -> list[int]:
    """Processes whose command line begins like this.

    PostgreSQL's processes leave the group of their parent and overwrite their environment, but name their cluster in
    their title, which every user may read.
    """
    found = []
    for pid in _pids():
        try:
            title = (PROC / str(pid) / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(prefix.encode()) and identify(pid):
            found.append(pid)
    return found


def wrapped(command: Iterable[str], *, death_signal: signal.Signals, account: Account | None) -> list[str]:
    """The command that starts `command` through child.py: ended with this process, run as `account`."""
    plan = {"parent": os.getpid(), "signal": int(death_signal), "account": asdict(account) if account else None}
    return [sys.executable, "-I", "-S", str(CHILD_PROGRAM), json.dumps(plan), *command]


def signal_process(pid: int, number: signal.Signals) -> None:
    """Signal a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal a process group, if any of it is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def adopt_orphans() -> None:
    """From now on a process whose parent died becomes our child, not that of process 1, which in a container often
    does not bury it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury_adopted(ours: Iterable[int]) -> None:
    """Bury dead children that this process adopted, leaving alone those in `ours`, whose owners bury them."""
    kept = set(ours)
    try:
        while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and dead.si_pid not in kept:
            os.waitpid(dead.si_pid, 0)
    except ChildProcessError:
        return  # No children at all.


def kill_all(find: Callable[[], list[int]], *, seconds: float = 10.0) -> None:
    """SIGKILL what `find` returns until it returns nothing (new ones may appear meanwhile), at most `seconds`."""
    deadline = time.monotonic() + seconds
    while pids := find():
        for pid in pids:
            signal_process(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds; False when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class PidFile:
    """Which process a service is, for whoever comes after a supervisor that was killed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, identity: Identity) -> None:
        """Remember this process."""
        self.path.write_text(json.dumps(asdict(identity)), encoding="utf-8")

    def read(self) -> Identity | None:
        """The remembered process if it is still alive."""
        try:
            identity = Identity(**json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return identity if is_alive(identity) else None

    def remove(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name: state first (proc(5) counts it as the third)."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None


def _boot() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()
