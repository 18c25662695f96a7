"""A command that the launcher runs to its end, such as a migration, while it supervises the services."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.console import Console, tail
from deploy.local.errors import StepFailed
from deploy.local.home import ROOT, Home
from deploy.local.process import MARKER, kill_all, marked, signal_group, wrapped


@dataclass(frozen=True)
class Step:
    """What to run. Its output goes to a log of its name, and with `show` also to the console."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    show: bool = False


class RunningStep:
    """A started step."""

    def __init__(self, step: Step, home: Home) -> None:
        self.step = step
        home.rotate_log(step.name)
        self._log = home.log(step.name)
        self._marker = f"{home.path}#{step.name}"
        with self._log.open("ab") as log:
            self._shown = log.tell()
            self._process = subprocess.Popen(
                wrapped(step.command, death_signal=signal.SIGTERM, account=None),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**step.environment, MARKER: self._marker},
                cwd=ROOT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process of the command."""
        return self._process.pid

    def has_ended(self) -> bool:
        """Whether the command has ended."""
        return self._process.poll() is not None

    def relay(self, console: Console) -> None:
        """Show the complete lines that are new since the last call."""
        if not self.step.show:
            return
        with self._log.open("rb") as log:
            log.seek(self._shown)
            text, newline, _ = log.read().rpartition(b"\n")
        self._shown += len(text) + len(newline)
        for line in text.decode("utf-8", "replace").splitlines():
            console.say(f"  {line}")

    def raise_if_failed(self) -> None:
        """Raises LauncherError with the command's last words when it failed."""
        if self._process.returncode != 0:
            lines = tail(self._log).splitlines()
            last_words = lines[-1].strip() if lines else "it said nothing"
            raise StepFailed(
                f"{self.step.name} failed ({last_words}): read {self._log}, then try again.",
                log="\n".join(lines[:-1]),
            )

    def end(self) -> None:
        """End the command if it still runs, with all that it started."""
        if self._process.poll() is None:
            signal_group(self._process.pid, signal.SIGKILL)
            self._process.wait()
        kill_all(lambda: marked(self._marker))
