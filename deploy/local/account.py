"""As whom PostgreSQL runs: itself refuses to run as root."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from deploy.local.errors import LauncherError
from deploy.local.process import CHILD_PROGRAM, Account

# linux/capability.h
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2


def database_account(data: Path) -> Account | None:
    """The user for PostgreSQL: None (ourselves) for an ordinary user; for root the owner of the data, else the user
    who called sudo, else `postgres`, else `nobody`.

    Raises LauncherError when there is no such user.
    """
    if os.geteuid() != 0:
        return None
    owner = data.stat().st_uid if data.exists() else 0
    wanted = [str(owner)] if owner else [os.environ.get("SUDO_UID", ""), "postgres", "nobody"]
    for name in wanted:
        found = _find(name)
        if found is not None and found.pw_uid != 0:
            return Account(found.pw_name, found.pw_uid, found.pw_gid, (found.pw_gid,))
    if owner:
        return Account(str(owner), owner, data.stat().st_gid, (data.stat().st_gid,))
    raise LauncherError(
        "PostgreSQL refuses to run as root and there is no user 'postgres' or 'nobody' to run it as: create one "
        "(useradd --system postgres), or run this command as an ordinary user."
    )


def able_to_reach(account: Account, programs: Path, data: Path) -> Account:
    """The account, with a capability if it cannot otherwise pass through the folders above `programs` and `data`.

    In a clone below /root, which is closed to others, PostgreSQL keeps CAP_DAC_READ_SEARCH (read and pass through
    what others may not), or CAP_DAC_OVERRIDE in a container without it. Nothing is copied and no folder is opened
    wider. Raises LauncherError when neither helps.
    """
    for capability in (None, CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        candidate = replace(account, capability=capability)
        if _reaches(candidate, programs, data):
            return candidate
    raise LauncherError(
        f"the user {account.name}, as whom PostgreSQL runs, cannot reach {programs} or {data}: move the clone to a "
        "folder that others may pass through, such as /srv, or run this command as an ordinary user."
    )


def _reaches(account: Account, programs: Path, data: Path) -> bool:
    plan = {
        "account": asdict(account),
        "probe": [[str(programs / "postgres"), os.R_OK | os.X_OK], [str(data), os.R_OK | os.W_OK | os.X_OK]],
    }
    command = [sys.executable, "-I", "-S", str(CHILD_PROGRAM), json.dumps(plan)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        return None
