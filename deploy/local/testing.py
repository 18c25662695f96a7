"""`test`: pytest against a database, a cache and a model of its own, started before and gone after."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

from deploy.local.chromium import ensure_chromium
from deploy.local.console import Console
from deploy.local.errors import LauncherError, StopRequested
from deploy.local.home import ROOT, Home
from deploy.local.install import Installation
from deploy.local.lock import take_lock
from deploy.local.orphans import stop_orphans
from deploy.local.portal import portal_environment
from deploy.local.process import MARKER, kill_all, marked
from deploy.local.stack import (
    given_by_environment,
    make_stack,
    require_machine,
    require_reachable,
)
from deploy.local.supervisor import Supervisor

READY_SECONDS = 120.0
# pytest gets this long to finish after Ctrl-C.
INTERRUPT_SECONDS = 30.0
# The address that Django's test client uses.
TEST_HOST = "testserver"


def run_tests(home: Home, arguments: list[str]) -> int:
    """Run pytest with these arguments and return its exit status.

    Each run has a home of its own below the instance's, so that runs collide neither with each other nor with `up`.
    """
    given = given_by_environment()
    require_machine(given)
    home.create()
    installation = Installation()
    installation.ensure(home, Console(home.log("cloister")), development=True)
    console = Console(home.log("cloister"))
    chromium = ensure_chromium(installation.python, home, console)
    _sweep(home)
    own = Home(home.path / "test" / str(os.getpid()))
    # The model's graph takes seconds to build and is the same for everybody.
    own.path.mkdir(parents=True)
    own.models.symlink_to(home.models)
    own.create()
    lock = take_lock(own, "test")
    if lock is None:
        raise LauncherError(f"{own.path} is in use, though it is named after this process: remove it and try again.")
    try:
        require_reachable(given)
        stack = make_stack(own, installation, given, running=False)
        environment = portal_environment(stack, port=8000, demo=False)
        environment["ALLOWED_HOSTS"] += f",{TEST_HOST}"
        if chromium:
            environment["CLOISTER_CHROMIUM"] = chromium
        supervisor = Supervisor(own, Console(own.log("cloister")))
        with supervisor.signals():
            try:
                console.say("Starting what the tests need…")
                for service in stack.services():
                    supervisor.start(service)
                if stack.postgres:
                    stack.postgres.initialise()
                    supervisor.start(stack.postgres.service())
                    supervisor.wait_ready("postgres", seconds=READY_SECONDS)
                    stack.postgres.ensure_database()
                supervisor.wait_ready(*(service.name for service in stack.services()), seconds=READY_SECONDS)
                exit_status = _pytest(supervisor, installation, environment, own, arguments)
            except StopRequested:
                exit_status = 130
            finally:
                supervisor.stop()
        if exit_status != 0:
            _keep_logs(home, own)
        return exit_status
    finally:
        lock.release()
        shutil.rmtree(own.path, ignore_errors=True)


def _pytest(
    supervisor: Supervisor, installation: Installation, environment: dict[str, str], own: Home, arguments: list[str]
) -> int:
    """Run pytest in the foreground, the parts supervised meanwhile. Returns its exit status."""
    marker = f"{own.path}#pytest"
    # In our own process group and on our own terminal, so that Ctrl-C and a debugger work.
    process = subprocess.Popen(
        [str(installation.python), "-m", "pytest", *arguments], env={**environment, MARKER: marker}, cwd=ROOT
    )
    supervisor.spare(process.pid)
    try:
        while process.poll() is None:
            supervisor.tick()
    except StopRequested:
        if supervisor.stop_signal != signal.SIGINT:
            # After Ctrl-C pytest has the signal from the terminal already, and a second one would cut its clean-up.
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


def _sweep(home: Home) -> None:
    """Clear away what earlier test runs left that were killed."""
    for folder in (home.path / "test").glob("*"):
        old = Home(folder)
        if not old.run.is_dir():
            continue
        lock = take_lock(old, "test")
        if lock is not None:
            stop_orphans(old, lambda line: None)
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def _keep_logs(home: Home, own: Home) -> None:
    """Keep what the parts logged during a run that failed, in place of the last such run's."""
    for log in own.logs.glob("*.log"):
        if log.stat().st_size:
            shutil.copyfile(log, home.log(f"test-{log.stem}"))
