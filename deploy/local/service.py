"""What it means to run one long-lived program: the plan (`Service`) and the running thing (`Running`)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deploy.local.errors import LauncherError
from deploy.local.home import ROOT, Home
from deploy.local.process import (
    MARKER,
    Account,
    Identity,
    PidFile,
    identify,
    kill_all,
    marked,
    signal_group,
    wrapped,
)


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Service:
    """One program of the stack: how to start it, how to see that it works, how to end it.

    `stop_signal` asks it to end; `hurry_signal` follows after `stop_seconds`; SIGKILL follows that after 5 s.
    With `ready` None there is nothing to ask: it counts as ready once it has lived a while. `leftovers` finds processes
    of this service that are not in its process group and do not carry its marker.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Callable[[], bool] | None
    port: int | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    hurry_signal: signal.Signals = signal.SIGKILL
    stop_seconds: float = 10.0
    before_start: Callable[[], None] = _nothing
    leftovers: Callable[[], list[int]] = list


class Running:
    """A started service. The process is the leader of a session and a process group of its own."""

    def __init__(self, service: Service, home: Home) -> None:
        """Start the program. Raises LauncherError or OSError, and then nothing was started."""
        self.service = service
        self._marker = f"{home.path}#{service.name}"
        self._pid_file = PidFile(home.run / f"{service.name}.pid")
        service.before_start()
        home.rotate_log(service.name)
        with home.log(service.name).open("ab") as log:
            self._process = subprocess.Popen(
                wrapped(service.command, death_signal=service.stop_signal, account=service.account),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**service.environment, MARKER: self._marker},
                cwd=ROOT,
                start_new_session=True,
            )
        self.started = time.monotonic()
        try:
            identity = identify(self._process.pid)
            if identity is None:
                raise LauncherError(f"{service.name} ended as it started: read {home.log(service.name)}.")
            self.identity: Identity = identity
            self._pid_file.write(identity)
        except (OSError, LauncherError):
            self.bury()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self) -> bool:
        """Whether the program ended. Its pid stays its own until `bury`."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._process.returncode is not None or os.waitid(os.P_PID, self.pid, options) is not None

    def bury(self) -> str:
        """After the end: kill what it left behind, and say how it ended ("exit status 1", "signal SIGKILL")."""
        # While the leader is unburied its group number cannot belong to anybody else.
        signal_group(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        kill_all(lambda: marked(self._marker))
        kill_all(self.service.leftovers)
        self._pid_file.remove()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def ask_to_stop(self) -> None:
        """Send the stop signal to the program (not to its children: it ends them in its own order)."""
        self._signal(self.service.stop_signal)

    def wait_stopped(self) -> None:
        """Wait until it has ended, hurrying it when it does not, and bury it."""
        for seconds, number in (
            (self.service.stop_seconds, self.service.hurry_signal),
            (5.0, signal.SIGKILL),
            (5.0, signal.SIGKILL),
        ):
            deadline = time.monotonic() + seconds
            while not self.has_ended() and time.monotonic() < deadline:
                time.sleep(0.02)
            if self.has_ended():
                break
            self._signal(number)
        self.bury()

    def _signal(self, number: signal.Signals) -> None:
        if not self.has_ended():
            os.kill(self.pid, number)
