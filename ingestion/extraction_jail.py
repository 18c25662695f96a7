"""The cell in which one file is read: what the child process takes from itself before it opens anything.

`python -m ingestion.extraction_jail` goes into it and prints, as a JSON list, which of MEASURES hold on this machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from ingestion import extraction_filter, extraction_paths
from ingestion.extraction_types import Limits

ALONE = "no network"
BOUND = "no other programs or processes"
CONFINED = "no files but its own"
ORPHANED = "ends with its worker"
MEASURES = (ALONE, BOUND, CONFINED, ORPHANED)
"""What may be missing where the kernel lacks it. The limits on memory, time and files hold everywhere."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
_CAPABILITY_VERSION_3, _CAP_DAC_READ_SEARCH = 0x20080522, 2  # linux/capability.h
_OPEN_FILES = 256
# Where nothing else forbids new processes. It counts all of this user's, so it must leave room for the portal's own.
_PROCESSES_OF_THE_USER = 4096


def enter(
    limits: Limits, *, read: Iterable[Path] = (), write: Iterable[Path] = (), parent: int | None = None
) -> tuple[str, ...]:
    """Give up what reading a file does not need, for good; the MEASURES that this kernel has.

    `read` are the paths that may be read beside Python's own, `write` the folders in which files may be made, `parent`
    the process that wants this one, which may be gone already. To be called first, while the process has one thread.
    """
    held = []
    _die_first()
    _limit(limits)
    if extraction_paths.confine(read=read, write=write):
        held.append(CONFINED)
    if extraction_filter.install():
        held += [ALONE, BOUND]
    else:
        resource.setrlimit(resource.RLIMIT_NPROC, _no_more_than(resource.RLIMIT_NPROC, _PROCESSES_OF_THE_USER))
        if _leave_network():
            held.append(ALONE)
    _drop_capabilities()
    # Last, because a new user namespace would clear it.
    if _end_with_parent(parent):
        held.append(ORPHANED)
    return tuple(held)


def _end_with_parent(parent: int | None) -> bool:
    """Be killed when the parent dies, as it does with its worker, so that nothing goes on reading for nobody."""
    if not sys.platform.startswith("linux"):
        return False
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        return False
    if parent is not None and os.getppid() != parent:
        sys.exit("The process that wanted this file read is gone.")
    return True


def _die_first() -> None:
    """Where memory runs out, let the kernel end this process before the worker and anything else."""
    with contextlib.suppress(OSError):  # no Linux, or no /proc
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit(limits: Limits) -> None:
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        # A part larger than a file may be could not be taken in anyway.
        (resource.RLIMIT_FSIZE, max(limits.scratch_bytes, limits.file_bytes)),
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        resource.setrlimit(kind, _no_more_than(kind, value))
    # One second between the signal that ends it and the one that cannot be caught.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))


def _no_more_than(kind: int, value: int) -> tuple[int, int]:
    """This limit as the soft and the hard one, or what is in force already where that is less."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    return value, value


def _drop_capabilities() -> None:
    """As root: keep the right to read the file that was given, whoever owns it, and no other privilege."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return
    keep = 1 << _CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Two blocks (low and high 32 bits) of effective, permitted, inheritable.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, (ctypes.c_uint32 * 6)(keep, keep, 0, 0, 0, 0)) != 0:
        # A container may not have had that one to give.
        libc.capset(header, (ctypes.c_uint32 * 6)(0, 0, 0, 0, 0, 0))


def _leave_network() -> bool:
    """Move into a network namespace with no interfaces, where the kernel allows it."""
    if not sys.platform.startswith("linux"):
        return False
    unshare = ctypes.CDLL(None).unshare
    # As root the first suffices and keeps the right to read any file; others need a user namespace for it.
    return bool(unshare(_CLONE_NEWNET) == 0 or unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(enter(Limits())))
