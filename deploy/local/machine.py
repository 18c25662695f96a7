"""What this machine must offer: an operating system, a processor and room that the embedded parts can use."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from deploy.local.errors import LauncherError

# Measured: the virtual environment takes about 700 MB and pip unpacks beside it; a new database takes 50 MB.
INSTALL_BYTES = 1_500_000_000
START_BYTES = 200_000_000


def require_linux() -> None:
    """Raises LauncherError on a system for which the embedded parts are not built."""
    if platform.system() != "Linux":
        raise LauncherError(
            f"the embedded database and cache run on Linux, and this is {platform.system()}: use a Linux machine or a "
            "container, or set DATABASE_URL and REDIS_URL to servers of your own."
        )


def require_avx2(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Raises LauncherError on an Intel or AMD processor without AVX2, which the embedded PostgreSQL is built for."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags") and "avx2" not in line.split():
            raise LauncherError(
                "this processor lacks AVX2, which the embedded PostgreSQL needs: set DATABASE_URL to a PostgreSQL 16 "
                "or newer with pgvector."
            )


def require_room(folder: Path, wanted: int) -> None:
    """Raises LauncherError when the file system of `folder` (which may not exist yet) has fewer bytes free."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise LauncherError(
            f"only {free // 1_000_000} MB are free on the disk of {folder} and {wanted // 1_000_000} MB are needed: "
            "make room, or set CLOISTER_HOME to a folder on another disk."
        )
