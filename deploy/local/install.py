"""The virtual environment `.venv` beside the launcher: made once, brought up to date when the pins change."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.console import Console, tail
from deploy.local.errors import LauncherError
from deploy.local.home import ROOT, Home
from deploy.local.machine import INSTALL_BYTES, require_room
from deploy.local.process import wrapped

# Seconds between two lines of progress while pip works.
PROGRESS_SECONDS = 5.0

NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|ReadTimeout|ProxyError|Connection refused"
    r"|Network is unreachable|SSLError|\(from versions: none\)"
)


@dataclass(frozen=True)
class Installation:
    """One virtual environment and the files that say what belongs in it."""

    root: Path = ROOT

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def marker(self) -> Path:
        return self.venv / "cloister.json"

    def requirements(self, *, development: bool) -> list[Path]:
        """The requirement files for running, and with `development` for testing too."""
        names = ["requirements.txt", "requirements-dev.txt"] if development else ["requirements.txt"]
        return [self.root / name for name in names]

    def packages(self) -> Path:
        """The folder of the installed packages."""
        major, minor = sys.version_info[:2]
        return self.venv / "lib" / f"python{major}.{minor}" / "site-packages"

    def is_current(self, *, development: bool) -> bool:
        """Whether everything wanted is installed, for this Python."""
        marker = self._read_marker()
        return (
            self.python.exists()
            and marker.get("python") == _python_fingerprint()
            and all(marker.get(path.name) == _digest(path) for path in self.requirements(development=development))
        )

    def ensure(self, home: Home, console: Console, *, development: bool = False) -> None:
        """Install what is missing. Raises LauncherError with the cure when pip cannot.

        Two launchers at once do not race: the second waits, and finds the work done.
        """
        if self.is_current(development=development):
            return
        with self._locked(console):
            if self.is_current(development=development):
                return
            require_room(self.root, INSTALL_BYTES)
            marker = self._read_marker()
            if marker.get("python") != _python_fingerprint() or not self.python.exists():
                # Also after an installation that was broken off: what is there cannot be trusted.
                self._create(home, console)
                marker = {"python": _python_fingerprint()}
            wanted = [
                path for path in self.requirements(development=development) if marker.get(path.name) != _digest(path)
            ]
            base = self.requirements(development=False)[0]
            if base in wanted:
                self.marker.unlink(missing_ok=True)
            started = time.monotonic()
            self._pip_install(wanted, home, console)
            self.marker.write_text(json.dumps(marker | {path.name: _digest(path) for path in wanted}))
            console.say(f"Installed the Python packages in {time.monotonic() - started:.0f} s.")

    def _read_marker(self) -> dict[str, str]:
        try:
            return dict(json.loads(self.marker.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    @contextmanager
    def _locked(self, console: Console) -> Iterator[None]:
        # The lock sits on the requirements file, which is there anyway, so that none is left behind.
        with self.requirements(development=False)[0].open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                console.say("Waiting for another cloister that is installing the Python packages…")
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _create(self, home: Home, console: Console) -> None:
        console.say(f"Making a virtual environment in {self.venv}…")
        if self.venv.exists():
            shutil.rmtree(self.venv)
        # The launcher's own pip installs into it, which spares unpacking a second pip; `ensurepip` is the way where
        # there is none.
        options = ["--without-pip"] if _has_pip() else []
        log = home.log("install")
        with log.open("ab") as stream:
            made = subprocess.run(
                [sys.executable, "-m", "venv", *options, str(self.venv)], stdout=stream, stderr=stream, check=False
            )
        if made.returncode != 0:
            raise LauncherError(
                "a virtual environment cannot be made: install pip and venv for this Python (Debian: apt-get install "
                "python3-pip python3-venv).",
                log=tail(log),
            )

    def _pip_install(self, files: list[Path], home: Home, console: Console) -> None:
        pip = [sys.executable, "-m", "pip", "--python", str(self.python)]
        if not _has_pip():
            pip = [str(self.python), "-m", "pip"]
        arguments = [argument for path in files for argument in ("-r", str(path))]
        command = [*pip, "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", *arguments]
        log = home.log("install")
        console.say(f"Installing the Python packages of {' and '.join(path.name for path in files)}…")
        environment = os.environ | {"PIP_ROOT_USER_ACTION": "ignore", "PIP_USER": "0", "PYTHONUNBUFFERED": "1"}
        start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as stream:
            process = subprocess.Popen(
                wrapped(command, death_signal=signal.SIGTERM, account=None),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.root,
                start_new_session=True,
            )
        try:
            self._show_progress(process, log, start, console)
        except BaseException:
            # Also Ctrl-C and `cloister down`: pip must not go on alone.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if process.returncode != 0:
            raise _pip_error(log.read_bytes()[start:].decode("utf-8", "replace"), log)

    def _show_progress(self, process: subprocess.Popen[bytes], log: Path, start: int, console: Console) -> None:
        total = sum(
            1
            for path in self.requirements(development=False)
            for line in path.read_text(encoding="utf-8").splitlines()
            if re.match(r"[A-Za-z0-9]", line)
        )
        shown = ""
        while True:
            try:
                process.wait(timeout=PROGRESS_SECONDS)
                return
            except subprocess.TimeoutExpired:
                text = log.read_bytes()[start:].decode("utf-8", "replace")
            found = len(re.findall(r"^Collecting ", text, re.MULTILINE))
            line = (
                "  unpacking them" if "Installing collected packages" in text else f"  found {found} of about {total}"
            )
            if line != shown:
                console.say(line)
                shown = line


def _python_fingerprint() -> str:
    return f"{sys.version} {sys.base_prefix}"


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise LauncherError(f"{path} is missing: run the launcher from a complete clone.") from error


def _has_pip() -> bool:
    asked = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    return asked.returncode == 0


def _pip_error(output: str, log: Path) -> LauncherError:
    """pip's own words turned into what to do about it."""
    shown = "\n".join(output.splitlines()[-8:])
    if "No space left on device" in output:
        return LauncherError("there is no room left on the disk for the Python packages: make room and try again.")
    if NO_NETWORK.search(output):
        return LauncherError(
            "the Python packages cannot be fetched: check the network (or PIP_INDEX_URL and the proxy settings) and "
            "try again.",
            log=shown,
        )
    missing = re.search(r"No matching distribution found for (\S+)", output)
    if missing:
        return LauncherError(
            f"there is no {missing[1]} for this Python and machine: use 64-bit Linux with glibc and Python 3.11-3.13.",
            log=shown,
        )
    return LauncherError(f"pip failed: read {log}, mend what it says and try again.", log=shown)
