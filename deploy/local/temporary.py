"""The embedded parts for as long as one command runs, and that command in the foreground beside them."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local.console import Console
from deploy.local.errors import StopRequested
from deploy.local.home import ROOT, Home
from deploy.local.process import MARKER, kill_all, marked
from deploy.local.stack import Stack
from deploy.local.supervisor import Supervisor

READY_SECONDS = 120.0
# The command gets this long to finish after Ctrl-C.
INTERRUPT_SECONDS = 30.0


@contextmanager
def running_parts(home: Home, stack: Stack) -> Iterator[Supervisor]:
    """Start the embedded parts of this stack, and stop them at the end, whatever happens. Raises StopRequested."""
    supervisor = Supervisor(home, Console(home.log("cloister")))
    with supervisor.signals():
        try:
            for service in stack.services():
                supervisor.start(service)
            if stack.postgres:
                stack.postgres.initialise()
                supervisor.start(stack.postgres.service())
                supervisor.wait_ready("postgres", seconds=READY_SECONDS)
                stack.postgres.ensure_database()
            supervisor.wait_ready(*(service.name for service in stack.services()), seconds=READY_SECONDS)
            yield supervisor
        finally:
            supervisor.stop()


def run_beside(supervisor: Supervisor, command: list[str], environment: dict[str, str], marker: str) -> int:
    """Run a command in the foreground, the parts supervised meanwhile. Returns its exit status as a shell gives it."""
    # In our own process group and on our own terminal, so that Ctrl-C and a debugger work.
    process = subprocess.Popen(command, env={**environment, MARKER: marker}, cwd=ROOT)
    supervisor.spare(process.pid)
    try:
        while process.poll() is None:
            supervisor.tick()
    except StopRequested:
        if supervisor.stop_signal != signal.SIGINT:
            # After Ctrl-C it has the signal from the terminal already, and a second one would cut its clean-up.
            process.send_signal(signal.SIGINT)
        try:
            process.wait(INTERRUPT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    finally:
        kill_all(lambda: marked(marker))
    return process.returncode if process.returncode >= 0 else 128 - process.returncode
