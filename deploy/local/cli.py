"""The command line of `./cloister`."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from dataclasses import replace

from deploy.local.console import Console
from deploy.local.down import down
from deploy.local.errors import LauncherError, explain
from deploy.local.home import ROOT, Home, home_from_environment
from deploy.local.install import Installation
from deploy.local.portal import manage_command, portal_environment
from deploy.local.stack import (
    Given,
    given_by_environment,
    make_stack,
    require_reachable,
)
from deploy.local.status import logs, status
from deploy.local.testing import run_tests
from deploy.local.up import Wish, up

DEFAULT_PORT = 8000

DESCRIPTION = "Cloister, a university's search portal: start it here, with everything that it needs."

EPILOG = (
    "The folder CLOISTER_HOME (default: var/) holds all state of an instance. DATABASE_URL, REDIS_URL and OLLAMA_URLS, "
    "where set, take the place of the embedded database, cache and embedding server."
)


def main(arguments: list[str]) -> int:
    """Run one command and return its exit status. A failure is one line on standard error."""
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has seen enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:  # noqa: BLE001 (the one place where a failure becomes a line for a person)
        if os.environ.get("CLOISTER_DEBUG") == "1":
            traceback.print_exc()
        if isinstance(error, LauncherError) and error.log:
            print(error.log, file=sys.stderr)
        print(f"cloister: {explain(error)}", file=sys.stderr)
        return 1


def _dispatch(arguments: list[str]) -> int:
    home = home_from_environment()
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    # What follows these belongs to another program, options and all.
    if command == "manage":
        return _manage(home, rest)
    if command == "test":
        return run_tests(home, rest)
    if command in ("bench", "drill"):
        return _run_named(home, command, rest)
    options = _parser().parse_args(arguments)
    if options.command == "up":
        bind_address = os.environ.get("BIND_ADDRESS") or "127.0.0.1"
        return up(home, Wish(options.port, not options.no_demo, options.detach, bind_address, options.replicas))
    if options.command == "down":
        return down(home)
    if options.command == "status":
        return status(home, as_json=options.json)
    return logs(home, options.name, follow=options.follow)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cloister", description=DESCRIPTION, epilog=EPILOG)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser("up", help="install, start everything, and stay until Ctrl-C")
    one.add_argument("--detach", action="store_true", help="return when the portal is ready, and leave it running")
    one.add_argument("--port", type=_port, default=_default_port(), help="the portal's port (default: 8000)")
    one.add_argument(
        "--replicas", type=_replicas, default=0, metavar="N", help="with N replicas of the database that searches read"
    )
    one.add_argument("--no-demo", action="store_true", help="without demo accounts and demo documents")
    commands.add_parser("down", help="stop everything")
    one = commands.add_parser("status", help="what runs; exit status 0 when the portal is ready")
    one.add_argument("--json", action="store_true", help="as one JSON object")
    one = commands.add_parser("logs", help="the end of the logs")
    one.add_argument("name", nargs="?", metavar="NAME", help="one log only: postgres, gunicorn, worker, …")
    one.add_argument("-f", "--follow", action="store_true", help="go on as they grow")
    commands.add_parser("manage", help="a management command of the running instance: manage ARGS…")
    commands.add_parser("test", help="run the tests with everything they need: test [pytest arguments]")
    commands.add_parser("bench", help="measure something: bench NAME [--json]")
    commands.add_parser("drill", help="break something and watch it mend: drill NAME [--json]")
    return parser


def _port(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: give a number from 1 to 65535")
    return number


def _replicas(text: str) -> int:
    if text not in ("0", "1", "2", "3", "4"):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of replicas: give one from 0 to 4")
    return int(text)


def _default_port() -> int:
    try:
        return _port(os.environ.get("PORT") or str(DEFAULT_PORT))
    except argparse.ArgumentTypeError as error:
        raise LauncherError(f"PORT is set and {error}.") from error


def _manage(home: Home, arguments: list[str]) -> int:
    """Become manage.py in the environment of the running instance, or of the services that the environment gives."""
    environment = _instance_environment(home)
    python, *rest = manage_command(Installation().python, *arguments)
    return os.execve(python, [python, *rest], environment)  # noqa: S606 (no shell is wanted)


def _instance_environment(home: Home) -> dict[str, str]:
    """The environment of the portal's processes. Raises LauncherError when a part they need does not run."""
    given = given_by_environment()
    home.create()
    state = home.read_state()
    running = Given(**state["given"]) if state else None
    if running is not None:
        ours = {name: value for name, value in vars(given).items() if value}
        given = replace(running, **ours)
        missing = sorted(set(given.embedded) - set(running.embedded))
    else:
        missing = given.embedded
    if missing:
        raise LauncherError(
            f"Cloister is not running in {home.path}: start it with ./cloister up --detach, then try again."
        )
    require_reachable(given)
    installation = Installation()
    installation.ensure(home, Console(home.log("cloister"), sys.stderr))
    replicas = int(state.get("replicas", 0)) if "postgres" in given.embedded else 0
    stack = make_stack(home, installation, given, running=True, replicas=replicas)
    return portal_environment(stack, port=state.get("port", _default_port()), demo=bool(state.get("demo")))


def _run_named(home: Home, kind: str, arguments: list[str]) -> int:
    """Become the benchmark or drill that the first argument names."""
    folder = ROOT / "deploy" / kind
    known = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    name = arguments[0] if arguments else ""
    if name not in known:
        choice = f"choose one of {', '.join(known)}" if known else "there is none yet"
        raise LauncherError(f"{f'there is no {kind} {name!r}' if name else f'name a {kind}'}: {choice}.")
    home.create()
    installation = Installation()
    # A drill may be made of tests.
    installation.ensure(home, Console(home.log("cloister"), sys.stderr), development=kind == "drill")
    environment = _instance_environment(home) if home.read_state() else dict(os.environ)
    environment["CLOISTER_HOME"] = str(home.path)
    os.chdir(ROOT)
    python = str(installation.python)
    os.execve(python, [python, "-m", f"deploy.{kind}.{name}", *arguments[1:]], environment)  # noqa: S606
