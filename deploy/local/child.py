"""Start one program the way the launcher wants it, then become that program.

Run as `python -I -S child.py PLAN COMMAND…`, where PLAN is a JSON object:

    parent   pid of the launcher: when it is gone already, nothing is started
    signal   number of the signal the program gets when the launcher dies (PR_SET_PDEATHSIG)
    account  null, or {"uid", "gid", "groups", "capability"}: the user to run as. `capability` is null, or the number
             of the one capability to keep, so that the program reaches files below a directory closed to that user
    probe    absent, or a list of [path, mode]: exit 0 if every path can be used, 1 otherwise, instead of COMMAND

A program of its own, because PostgreSQL refuses to run as root and changing the user between fork and exec inside
the launcher (`preexec_fn`) is not safe beside threads. Only the standard library; never imported.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any

# linux/prctl.h, linux/securebits.h, linux/capability.h
PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _prctl(option: int, *arguments: int) -> None:
    padded = [*arguments, 0, 0, 0, 0][:4]
    _check(_libc.prctl(ctypes.c_int(option), *[ctypes.c_ulong(value) for value in padded]))


def _keep_only(capability: int) -> None:
    """Drop every capability but this one, and let it survive the exec (ambient set)."""
    mask = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Two blocks (low and high 32 bits) of effective, permitted, inheritable.
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    _check(_libc.capset(header, data))
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _become(account: dict[str, Any]) -> None:
    capability: int | None = account["capability"]
    if capability is not None:
        # Without this bit access(2), which PostgreSQL asks, ignores the capabilities of an ordinary user.
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups(account["groups"])
    os.setresgid(account["gid"], account["gid"], account["gid"])
    os.setresuid(account["uid"], account["uid"], account["uid"])
    if capability is not None:
        _keep_only(capability)


def main() -> None:
    """Apply the plan and exec the command; exits 127 with one line when the command cannot be started."""
    plan = json.loads(sys.argv[1])
    command = sys.argv[2:]
    try:
        if plan["account"] is not None:
            _become(plan["account"])
        if "probe" in plan:
            sys.exit(0 if all(os.access(path, mode) for path, mode in plan["probe"]) else 1)
        # After the change of user, which would clear it.
        _prctl(PR_SET_PDEATHSIG, plan["signal"])
        if os.getppid() != plan["parent"]:
            sys.exit(0)
        os.execvp(command[0], command)  # noqa: S606 (no shell is wanted)
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0] if command else 'the probe'}: {error}\n")
        sys.exit(127)


if __name__ == "__main__":
    main()
