"""A command that the launcher runs to its end, such as a migration, while it supervises the services."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from deploy.local.console import Console, tail
from deploy.local.errors import LauncherError
from deploy.local.home import ROOT, Home
from deploy.local.process import MARKER, kill_all, marked, signal_group, wrapped


class Step:
    """A command that ends by itself; its output goes to a log, and with `show` also to the console."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], *, show: bool = False) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._show = show
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Path | None = None
        self._shown = 0
        self._marker = ""

    def start(self, home: Home) -> None:
        """Start the command."""
        home.rotate_log(self.name)
        self._log = home.log(self.name)
        self._marker = f"{home.path}#{self.name}"
        with self._log.open("ab") as log:
            self._shown = log.tell()
            self._process = subprocess.Popen(
                wrapped(self._command, death_signal=signal.SIGTERM, account=None),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self._environment, MARKER: self._marker},
                cwd=ROOT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process of the started command."""
        assert self._process is not None
        return self._process.pid

    def has_ended(self) -> bool:
        """Whether the command has ended."""
        assert self._process is not None
        return self._process.poll() is not None

    def relay(self, console: Console) -> None:
        """Show the complete lines that are new since the last call."""
        if not self._show or self._log is None:
            return
        with self._log.open("rb") as log:
            log.seek(self._shown)
            text, newline, _ = log.read().rpartition(b"\n")
        self._shown += len(text) + len(newline)
        for line in text.decode("utf-8", "replace").splitlines():
            console.say(f"  {line}")

    def raise_if_failed(self) -> None:
        """Raises LauncherError with the command's last words when it failed."""
        assert self._process is not None and self._log is not None
        if self._process.returncode != 0:
            lines = tail(self._log).splitlines()
            raise LauncherError(
                f"{self.name} failed ({lines[-1].strip() if lines else 'no output'}): read {self._log}.",
                log="\n".join(lines[:-1]),
            )

    def end(self) -> None:
        """End the command if it still runs, with all that it started."""
        if self._process is not None and self._process.poll() is None:
            signal_group(self._process.pid, signal.SIGKILL)
            self._process.wait()
        kill_all(lambda: marked(self._marker))
