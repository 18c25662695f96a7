"""Prometheus and Alertmanager with their tools, for tests and drills: found, or unpacked from Debian's packages.

They are unpacked and not installed: an installed one would start as a service, and be in the way of the machine's own.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from deploy.local.console import Console
from deploy.local.debian import can_install, how_to_install, run_logged
from deploy.local.home import Home

PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
PACKAGES = ("prometheus", "prometheus-alertmanager")
FOLDER = "prometheus"


def find_prometheus(home: Home) -> dict[str, str] | None:
    """The paths of the four programs by name, on PATH or where they were unpacked; None where one is missing."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(_unpacked(home) / "usr" / "bin")])
    found = {name: shutil.which(name, path=path) for name in PROGRAMS}
    if found["prometheus-alertmanager"] is None:
        # Its makers' own name.
        found["prometheus-alertmanager"] = shutil.which("alertmanager", path=path)
    return None if None in found.values() else {name: str(path) for name, path in found.items()}


def ensure_prometheus(home: Home, console: Console) -> dict[str, str] | None:
    """The programs, fetched if need be; None where they cannot be had, which whoever needs them will then say."""
    found = find_prometheus(home)
    if found:
        return found
    console.say("Fetching Prometheus and Alertmanager…")
    folder = _unpacked(home)
    folder.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "download", *(f"{name}:{_architecture()}" for name in PACKAGES)]
    attempts = [[download], [["apt-get", "update"], download]] if can_install() else [[download]]
    for attempt in attempts if shutil.which("apt-get") and shutil.which("dpkg-deb") else []:
        # `apt-get download` puts the files where it is called.
        if all(run_logged(["env", "-C", str(folder), *command], home, FOLDER) for command in attempt):
            for package in folder.glob("*.deb"):
                run_logged(["dpkg-deb", "-x", str(package), str(folder)], home, FOLDER)
                package.unlink()
            return find_prometheus(home)
    console.say(f"Prometheus cannot be had here. What mends it: {how_to_install(*PACKAGES)}")
    return None


def _unpacked(home: Home) -> Path:
    return home.path / FOLDER


def _architecture() -> str:
    return {"aarch64": "arm64", "x86_64": "amd64"}.get(platform.machine(), platform.machine())
