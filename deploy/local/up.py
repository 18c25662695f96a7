"""`up`: from nothing to a portal that serves, here in the foreground or left behind as a daemon."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from deploy.local import ports
from deploy.local.console import Console, tail
from deploy.local.errors import LauncherError, StepFailed, StopRequested, explain
from deploy.local.home import ROOT, Home
from deploy.local.install import Installation
from deploy.local.lock import HomeLock, lock_holder, take_lock
from deploy.local.machine import START_BYTES, require_room
from deploy.local.orphans import stop_orphans
from deploy.local.portal import (
    DEMO_ACCOUNTS,
    is_portal_ready,
    manage_command,
    portal_environment,
    portal_services,
    probe_host,
    web_address,
    web_services,
)
from deploy.local.postgres import Postgres
from deploy.local.stack import (
    Stack,
    given_by_environment,
    make_stack,
    require_machine,
    require_reachable,
)
from deploy.local.standby import forget_others
from deploy.local.step import Step
from deploy.local.supervisor import Supervisor

# Longest waits, in seconds. The database replays its log after a crash; the model is read from disk.
DATABASE_SECONDS, PARTS_SECONDS, PORTAL_SECONDS = 300.0, 120.0, 120.0
# Another launcher may be installing everything, over a slow line.
OTHER_SECONDS = 900.0
MIGRATE_SECONDS, DEMO_SECONDS = 3600.0, 1800.0

# What the collected static files are made from: our own, those of the packages, and how they are stored.
STATIC_SOURCES = (
    *("static/**/*", "portal/static/**/*", "search/static/**/*", "ingestion/static/**/*", "accounts/static/**/*"),
    *("requirements.txt", "portal/settings/*.py"),
)


@dataclass(frozen=True)
class Wish:
    """What the person asked of `up`."""

    port: int
    demo: bool
    detach: bool
    bind_address: str
    replicas: int = 0


def up(home: Home, wish: Wish) -> int:
    """Start the instance of this home. Returns the exit status; raises LauncherError when it cannot be started."""
    given = given_by_environment()
    require_machine(given)
    home.create()
    lock = take_lock(home, "up")
    if lock is None:
        return _already_running(home, wish)
    console = Console(home.log("cloister"))
    installation = Installation()
    for name in ("cloister", "install"):
        home.rotate_log(name)
    try:
        with _stop_raises():
            stop_orphans(home, console.say)
            _require_free(wish)
            require_room(home.path, START_BYTES)
            require_reachable(given)
            installation.ensure(home, console)
            stack = make_stack(home, installation, given, running=False, replicas=wish.replicas)
        if wish.detach:
            return _detach(home, lock, stack, wish, console)
        _supervise(lock, stack, wish, console, on_ready=lambda: console.say("Stop it with Ctrl-C."))
        console.say("Stopped.")
    except StopRequested:
        console.say("Stopped before it had started.")
        return 130
    finally:
        lock.release()
    return 0


def _supervise(lock: HomeLock, stack: Stack, wish: Wish, console: Console, on_ready: Callable[[], None]) -> None:
    """Run the stack until asked to stop; leaves nothing running, however it ends."""
    home = stack.home
    supervisor = Supervisor(home, console)
    home.wipe_metrics()
    with supervisor.signals():
        try:
            _start_everything(supervisor, stack, wish, console)
            on_ready()
            supervisor.run_forever()
        except StopRequested:
            console.say("Stopping…")
        finally:
            supervisor.stop()


def _start_everything(supervisor: Supervisor, stack: Stack, wish: Wish, console: Console) -> None:
    home = stack.home
    started = time.monotonic()
    environment = portal_environment(stack, port=wish.port, demo=wish.demo)
    python = stack.installation.python
    address = web_address(wish.bind_address, wish.port)
    supervisor.publish(
        address=address,
        host=probe_host(wish.bind_address),
        port=wish.port,
        demo=wish.demo,
        given=asdict(stack.given),
        replicas=wish.replicas,
    )
    names = [*(["PostgreSQL"] if stack.postgres else []), *(["Valkey"] if stack.valkey else [])]
    names += ["the embedding server" if len(stack.embeddings) == 1 else "two embedding servers"][
        : len(stack.embeddings)
    ]
    if names:
        console.say(f"Starting {', '.join(names)}…")
    for service in stack.services():
        supervisor.start(service)
    if stack.postgres:
        if stack.postgres.initialise():
            home.demo_marker.unlink(missing_ok=True)
        supervisor.start(stack.postgres.service())
        supervisor.wait_ready("postgres", seconds=DATABASE_SECONDS)
        stack.postgres.ensure_database()
        _start_replicas(supervisor, stack, stack.postgres, console)
    console.say("Bringing the database and the static files up to date…")
    steps = [Step("migrate", manage_command(python, "migrate", "--noinput"), environment)]
    wanted_static = fingerprint(ROOT, *STATIC_SOURCES)
    if not _is_marked(home.static_marker, wanted_static) or not (home.static / "staticfiles.json").exists():
        home.static_marker.unlink(missing_ok=True)
        steps.append(Step("collectstatic", manage_command(python, "collectstatic", "--noinput"), environment))
    supervisor.run_steps(*steps, seconds=MIGRATE_SECONDS)
    home.static_marker.write_text(wanted_static, encoding="ascii")
    supervisor.wait_ready(*(service.name for service in stack.services()), seconds=PARTS_SECONDS)
    console.say("Starting the portal…")
    for service in portal_services(stack, environment):
        supervisor.start(service)
    web = [service.name for service in web_services(stack, environment)]
    if wish.demo:
        _load_demo(supervisor, stack, environment, console)
    supervisor.wait_ready(*web, seconds=PORTAL_SECONDS)
    console.say(f"Cloister is ready after {time.monotonic() - started:.0f} s: {address}")
    if wish.demo:
        *others, last = DEMO_ACCOUNTS
        console.say(
            f"Demo sign-ins: {', '.join(others)} or {last}, each with the password {environment['DEMO_PASSWORD']}"
        )


def _start_replicas(supervisor: Supervisor, stack: Stack, primary: Postgres, console: Console) -> None:
    """Start the replicas that were asked for; the primary forgets those of earlier starts."""
    forget_others(primary, len(stack.replicas))
    if not stack.replicas:
        return
    many = len(stack.replicas) > 1
    console.say(f"Starting {f'{len(stack.replicas)} replicas' if many else 'a replica'} of the database…")
    for replica in stack.replicas:
        replica.initialise()
        supervisor.start(replica.service())
    supervisor.wait_ready(*(replica.name for replica in stack.replicas), seconds=DATABASE_SECONDS)


def _load_demo(supervisor: Supervisor, stack: Stack, environment: dict[str, str], console: Console) -> None:
    """Load the demo corpus unless this very corpus was loaded into this very database."""
    database = hashlib.sha256(stack.given.database_url.encode()).hexdigest()
    wanted = database + fingerprint(ROOT / "deploy" / "demo", "corpus/**/*", "*.json")
    marker = stack.home.demo_marker
    if _is_marked(marker, wanted):
        return
    console.say("Loading the demo corpus…")
    step = Step("load_demo", manage_command(stack.installation.python, "load_demo", "--wait"), environment, show=True)
    try:
        supervisor.run_steps(step, seconds=DEMO_SECONDS)
    except StepFailed as error:
        # The portal works without; the next start tries again.
        console.say(f"The demo corpus is incomplete, and the next start will try again: {error}")
    else:
        marker.write_text(wanted, encoding="ascii")


def fingerprint(folder: Path, *patterns: str) -> str:
    """A digest of the names and contents of the files below `folder` that match a pattern."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _is_marked(marker: Path, wanted: str) -> bool:
    return marker.exists() and marker.read_text(encoding="ascii") == wanted


def _require_free(wish: Wish) -> None:
    try:
        free = ports.is_free(wish.port, wish.bind_address)
    except PermissionError as error:
        raise LauncherError(
            f"port {wish.port} is reserved for the administrator: choose one above 1023, as in "
            "./cloister up --port 8000"
        ) from error
    except OSError as error:
        raise LauncherError(
            f"BIND_ADDRESS={wish.bind_address} is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all."
        ) from error
    if not free:
        raise LauncherError(
            f"port {wish.port} is taken by another program: stop that one, or choose another port, as in "
            f"./cloister up --port {wish.port + 1}"
        )


def _already_running(home: Home, wish: Wish) -> int:
    """Somebody else has the lock: wait until that instance is ready, and say where it is."""
    deadline = time.monotonic() + OTHER_SECONDS
    said = False
    while (holder := lock_holder(home)) is not None and time.monotonic() < deadline:
        state = home.read_state()
        if state and is_portal_ready(state["host"], state["port"]):
            if state["port"] != wish.port:
                raise LauncherError(
                    f"Cloister runs already, at {state['address']}: stop it with ./cloister down before starting it on "
                    "another port."
                )
            print(f"Cloister runs already: {state['address']}")
            return 0
        if not said:
            print(f"Another launcher (process {holder['pid']}) is at work in {home.path}; waiting for it…", flush=True)
            said = True
        time.sleep(0.5)
    raise LauncherError(
        f"another launcher works in {home.path} and nothing is ready there: look at ./cloister logs, and start again "
        "after ./cloister down."
    )


@contextmanager
def _stop_raises() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM raise StopRequested wherever they arrive."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise StopRequested

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _detach(home: Home, lock: HomeLock, stack: Stack, wish: Wish, console: Console) -> int:
    """Leave a supervisor behind as a daemon, and wait until it is ready. Returns the exit status."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    daemon = os.fork()
    if daemon == 0:
        os.close(reader)
        _be_daemon(home, lock, stack, wish, writer)
    os.close(writer)
    lock.hand_over()
    try:
        with _stop_raises():
            return _follow_daemon(home, reader)
    except StopRequested:
        os.kill(daemon, signal.SIGTERM)
        os.waitpid(daemon, 0)
        raise


def _be_daemon(home: Home, lock: HomeLock, stack: Stack, wish: Wish, writer: int) -> None:
    """The forked child: supervise, and tell the waiting launcher how the start went. Never returns."""
    os.setsid()
    lock.name_holder("up")
    with open(os.devnull, "rb") as nothing, home.log("cloister").open("ab") as log:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    stream = os.fdopen(writer, "w", encoding="utf-8")
    console = Console(home.log("cloister"), stream)
    status = 1

    def tell(outcome: dict[str, str]) -> None:
        console.mute()
        try:
            stream.write("\0" + json.dumps(outcome) + "\n")
            stream.close()
        except OSError:
            console.note("The launcher that waited is gone.")

    try:
        _supervise(lock, stack, wish, console, on_ready=lambda: tell({}))
        status = 0
    except Exception as error:  # noqa: BLE001 (nobody above could tell the waiting launcher)
        console.note("".join(traceback.format_exception(error)))
        tell({"message": explain(error), "log": error.log if isinstance(error, LauncherError) else ""})
    finally:
        lock.release()
        console.note("Stopped.")
        sys.stdout.flush()
        os._exit(status)


def _follow_daemon(home: Home, reader: int) -> int:
    """Show what the daemon says until it is ready. Raises LauncherError when it is not."""
    with os.fdopen(reader, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("\0"):
                print(line, end="", flush=True)
                continue
            outcome = json.loads(line[1:])
            if outcome:
                raise LauncherError(outcome["message"], log=outcome["log"])
            print("Stop it with ./cloister down.")
            return 0
    log = home.log("cloister")
    if lock_holder(home) is None and "Stopping…" in tail(log, 3):
        raise LauncherError("it was stopped while it started.")
    raise LauncherError(f"the supervisor ended while it started: read {log}.", log=tail(log))
