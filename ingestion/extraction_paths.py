"""Which files this process may touch (Landlock, Linux 5.13 and later): what it was given, and what Python needs.

Everything else fails with 'permission denied', whoever the process runs as, root included: other originals, the
environment of other processes, keys and settings of the machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

# The same numbers on every architecture (asm-generic/unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

# linux/landlock.h
_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_FILE, _TRUNCATE = 1 << 7, 1 << 8, 1 << 14
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_FILE
_FILE_RIGHTS = _READ_FILE | _WRITE_FILE | _TRUNCATE
# How many rights over files each version knows: all of them are ruled, so what is not allowed is refused.
_RIGHTS_KNOWN = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NEWEST_RIGHTS = 16
_TCP_SINCE, _SCOPES_SINCE = 4, 6
_BIND_AND_CONNECT = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11

_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share",
    "/usr/local/share",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
)


def confine(*, read: Iterable[Path], write: Iterable[Path]) -> bool:
    """Leave this process, and its threads to come, only these paths; False where the kernel has no Landlock.

    To be called while the process has one thread.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    if version < 1:
        return False
    known = (1 << _RIGHTS_KNOWN.get(version, _NEWEST_RIGHTS)) - 1
    # struct landlock_ruleset_attr, as long as this version knows it
    attributes = struct.pack("Q", known)
    if version >= _TCP_SINCE:
        attributes += struct.pack("Q", _BIND_AND_CONNECT)
    if version >= _SCOPES_SINCE:
        attributes += struct.pack("Q", _ABSTRACT_SOCKETS_AND_SIGNALS)
    rules = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if rules < 0:
        return False
    try:
        for path in (*_of_python(), *map(Path, _SYSTEM), *read):
            _allow(libc, rules, path, _READ & known)
        for path in (Path("/dev/null"), *write):
            _allow(libc, rules, path, _WRITE & known)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return bool(libc.syscall(_RESTRICT_SELF, rules, ctypes.c_uint32(0)) == 0)
    finally:
        os.close(rules)


def _of_python() -> set[Path]:
    """Python, its packages, and this package; not the folder it lies in, where the originals may be."""
    here = Path(__file__).resolve().parent
    folders = {Path(os.__file__).parent, Path(sys.base_prefix, "lib"), Path(sys.prefix, "lib")}
    return {here} | (folders | {Path(entry) for entry in sys.path if entry}) - {here.parent, Path.cwd(), Path("/")}


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    """Add one rule. A path that is not there needs none."""
    with contextlib.suppress(OSError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not path.is_dir():
                rights &= _FILE_RIGHTS
            # struct landlock_path_beneath_attr, packed
            rule = struct.pack("=Qi", rights, place)
            libc.syscall(_ADD_RULE, rules, ctypes.c_uint32(_PATH_BENEATH), rule, ctypes.c_uint32(0))
        finally:
            os.close(place)
