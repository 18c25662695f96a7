"""`status` and `logs`: what runs, and what it says."""

from __future__ import annotations

import json
import time
from typing import Any

from deploy.local.console import tail
from deploy.local.errors import LauncherError
from deploy.local.home import Home
from deploy.local.install import Installation
from deploy.local.lock import lock_holder
from deploy.local.portal import is_portal_ready, portal_health
from deploy.local.postgres import embedded_postgres
from deploy.local.process import (
    Identity,
    family,
    identify,
    is_alive,
    rss_bytes,
    uptime_seconds,
)
from deploy.local.standby import Standby

# Lines of each log that `logs` shows at first, and seconds between two looks with -f.
SHOWN_LINES, FOLLOW_SECONDS = 40, 0.3


def describe(home: Home) -> dict[str, Any]:
    """The instance as one object: home, address, ready, health (as the portal says), processes (memory in MB of a
    process with its children).

    Databases have a `role` where there are replicas, and these how far they are behind.
    """
    holder = lock_holder(home)
    state = home.read_state() if holder is not None else {}
    processes = []
    if holder is not None:
        supervisor = identify(int(holder["pid"]))
        if supervisor is not None:
            processes.append(_process("supervisor", supervisor, "running", 0, None, alone=True))
    for one in state.get("processes", []):
        identity = Identity(**one["identity"]) if one["identity"] else None
        if identity is not None and not is_alive(identity):
            identity = None
        processes.append(
            _process(one["name"], identity, one["state"] if identity else "waiting", one["restarts"], one["port"])
        )
    _add_roles(home, processes, int(state.get("replicas", 0)))
    return {
        "home": str(home.path),
        "address": state.get("address"),
        "ready": bool(state) and is_portal_ready(state["host"], state["port"]),
        "health": portal_health(state["host"], state["port"]) if state else {},
        "processes": processes,
    }


def status(home: Home, *, as_json: bool) -> int:
    """Print the instance; exit status 0 when it is ready and 1 when it is not."""
    instance = describe(home)
    if as_json:
        print(json.dumps(instance))
    elif not instance["processes"]:
        print(f"Cloister is not running in {home.path}. Start it with ./cloister up")
    else:
        print(f"{'ready' if instance['ready'] else 'not ready'}: {instance['address'] or '(starting)'}")
        for name, part in instance["health"].get("components", {}).items():
            if part["error"]:
                print(f"{name}: {part['error']}")
        print(f"{'':11} {'pid':>8} {'state':10} {'restarts':>8} {'up':>9} {'memory':>8} {'port':>6}")
        for one in instance["processes"]:
            up = "" if one["uptime_seconds"] is None else f"{one['uptime_seconds']:.0f} s"
            memory = "" if one["rss_mb"] is None else f"{one['rss_mb']:.0f} MB"
            print(
                f"{one['name']:11} {one['pid'] or '':>8} {one['state']:10} {one['restarts']:>8} {up:>9} {memory:>8} "
                f"{one['port'] or '':>6}{_role(one)}"
            )
    return 0 if instance["ready"] else 1


def _add_roles(home: Home, processes: list[dict[str, Any]], replicas: int) -> None:
    """Say of the databases who follows whom, where any does."""
    by_name = {one["name"]: one for one in processes}
    if not replicas or "postgres" not in by_name:
        return
    primary = embedded_postgres(home, Installation().packages(), by_name["postgres"]["port"], home.secrets())
    by_name["postgres"]["role"] = "primary"
    for number in range(1, replicas + 1):
        one = by_name.get(f"replica-{number}")
        if one is not None:
            one |= {"role": "replica", "replication": Standby(primary, number, one["port"]).lag()}


def _role(process: dict[str, Any]) -> str:
    """The end of a database's line."""
    if process.get("role") != "replica":
        return f"  {process['role']}" if "role" in process else ""
    found = process["replication"]
    if found["lag_bytes"] is None:
        return f"  replica, {found['state']}"
    return f"  replica, {found['state']}, {found['lag_seconds']:g} s and {found['lag_bytes']:,} bytes behind"


def logs(home: Home, name: str | None, *, follow: bool) -> int:
    """Print the end of one log, or of all; with `follow`, go on printing. Raises LauncherError for an unknown name."""
    known = sorted(path.stem for path in home.logs.glob("*.log"))
    if not known:
        raise LauncherError(f"there are no logs in {home.logs}: start Cloister with ./cloister up")
    if name is not None and name not in known:
        raise LauncherError(f"there is no log '{name}': choose one of {', '.join(known)}.")
    chosen = [name] if name else known
    positions = {one: home.log(one).stat().st_size for one in chosen}
    for one in chosen:
        _print_lines(one if len(chosen) > 1 else None, tail(home.log(one), SHOWN_LINES if name else 10))
    while follow:
        time.sleep(FOLLOW_SECONDS)
        for one in chosen:
            positions[one] = _print_new(home, one, positions[one], labelled=len(chosen) > 1)
    return 0


def _print_new(home: Home, name: str, position: int, *, labelled: bool) -> int:
    path = home.log(name)
    if not path.exists() or path.stat().st_size < position:
        return 0  # Set aside and begun anew.
    with path.open("rb") as log:
        log.seek(position)
        text, newline, _ = log.read().rpartition(b"\n")
    if text:
        _print_lines(name if labelled else None, text.decode("utf-8", "replace"))
    return position + len(text) + len(newline)


def _print_lines(label: str | None, text: str) -> None:
    for line in text.splitlines():
        print(f"{label:>13} | {line}" if label else line, flush=True)


def _process(
    name: str, identity: Identity | None, state: str, restarts: int, port: int | None, *, alone: bool = False
) -> dict[str, Any]:
    members = [] if identity is None else [identity.pid] if alone else family(identity.pid)
    return {
        "name": name,
        "pid": identity.pid if identity else None,
        "state": state,
        "restarts": restarts,
        "uptime_seconds": round(uptime_seconds(identity), 1) if identity else None,
        "rss_mb": round(sum(map(rss_bytes, members)) / 1e6, 1) if identity else None,
        "port": port,
    }
