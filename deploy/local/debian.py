"""Packages of Debian and its like, installed where that is possible: as root, with apt-get."""

from __future__ import annotations

import os
import shutil
import subprocess

from deploy.local.home import Home

INSTALL_SECONDS = 600.0


def can_install() -> bool:
    """Whether packages can be installed here at all."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_commands(*packages: str) -> list[list[str]]:
    """What installs these packages, to be tried in turn; none where packages cannot be installed.

    A bare machine knows no packages before the update; one that does is spared it.
    """
    if not can_install():
        return []
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    return [install, ["apt-get", "update"], install]


def how_to_install(*packages: str) -> str:
    """The command that a person would type for it."""
    names = " ".join(packages)
    return f"apt-get update && apt-get install {names}" if can_install() else f"apt-get install {names} (as root)"


def run_logged(command: list[str], home: Home, log_name: str) -> bool:
    """Run a command that installs something, with its words in that log; whether it went well, within ten minutes."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with home.log(log_name).open("ab") as log:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0
