"""`test` and its like: a command with a database, a cache and a model of its own, started before and gone after."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from deploy.local.chromium import ensure_chromium
from deploy.local.console import Console
from deploy.local.errors import LauncherError, StopRequested
from deploy.local.home import ROOT, Home
from deploy.local.install import Installation
from deploy.local.lock import take_lock
from deploy.local.ocr import ensure_ocr
from deploy.local.orphans import stop_orphans
from deploy.local.portal import portal_environment
from deploy.local.prometheus import ensure_prometheus
from deploy.local.stack import (
    given_by_environment,
    make_stack,
    require_machine,
    require_reachable,
)
from deploy.local.temporary import run_beside, running_parts

# The address that Django's test client uses.
TEST_HOST = "testserver"

# Processes that share the tests, where there are as many cores; each needs some 500 MB with what its tests start.
LANES = 2

# With these a person looks on, which works in one process only.
WATCHED = frozenset({"--pdb", "--trace", "-s", "--capture=no", "--collect-only", "--co", "--setup-plan", "--fixtures"})


def run_tests(home: Home, arguments: list[str]) -> int:
    """Run pytest with these arguments and return its exit status.

    Each run has a home of its own below the instance's, so that runs collide neither with each other nor with `up`.
    """
    require_machine(given_by_environment())
    home.create()
    installation = Installation()
    installation.ensure(home, Console(home.log("cloister")), development=True)
    console = Console(home.log("cloister"))
    chromium = ensure_chromium(installation.python, home, console)
    ensure_ocr(home, console)
    changes = {"CLOISTER_CHROMIUM": chromium} if chromium else {}
    if tools := ensure_prometheus(home, console):
        changes["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(tools["promtool"]).parent)])
    console.say("Starting what the tests need…")
    given = given_by_environment()
    # A cache that is given has other databases beside the one that is named, which are none of ours.
    alone = bool(given.redis_url or given.broker_url)
    lanes = [] if alone else lanes_wanted(arguments, cores=len(os.sched_getaffinity(0)))
    pytest = [str(installation.python), "-m", "pytest", *lanes, *arguments]
    return run_with_own_parts(home, installation, console, pytest, changes)


def lanes_wanted(arguments: list[str], *, cores: int) -> list[str]:
    """The options with which pytest runs in several processes where that is quicker; none where it is not.

    Arguments of the caller that say how many are obeyed.
    """
    plugin = ["-p", "deploy.local.lanes"]
    if any(one.startswith(("-n", "--numprocesses")) for one in arguments):
        return plugin
    named = {one.split("::", 1)[0] for one in arguments if not one.startswith("-")}
    files = [name for name in named if (ROOT / name).exists()]
    one_file = len(files) == 1 and (ROOT / files[0]).is_file()
    if one_file or WATCHED.intersection(arguments) or cores < LANES:
        return []
    return [*plugin, "-n", str(LANES)]


def run_with_own_parts(
    home: Home, installation: Installation, console: Console, command: list[str], changes: Mapping[str, str]
) -> int:
    """Run a command in a portal's environment with these changes, and return its exit status.

    What the environment does not give (database, cache, embedding node) is started for it in a home of its own below
    the instance's, and is gone afterwards.
    """
    given = given_by_environment()
    require_machine(given)
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
        environment = portal_environment(stack, port=8000, demo=False) | dict(changes)
        environment["ALLOWED_HOSTS"] += f",{TEST_HOST}"
        try:
            with running_parts(own, stack) as supervisor:
                exit_status = run_beside(supervisor, command, environment, f"{own.path}#command")
        except StopRequested:
            exit_status = 130
        if exit_status != 0:
            _keep_logs(home, own)
        return exit_status
    finally:
        lock.release()
        shutil.rmtree(own.path, ignore_errors=True)


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
