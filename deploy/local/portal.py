"""The portal's own processes and the steps that prepare it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deploy.local.front import Nginx
from deploy.local.home import ROOT
from deploy.local.probe import get
from deploy.local.service import Service
from deploy.local.stack import WEB_SERVERS, Stack

DEMO_ACCOUNTS = ("student", "staff", "academic", "librarian", "admin")

# Addresses that stand for every interface, and how this machine reaches a server bound to them.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nosec B104  # compared with, not bound to

# Tasks of the queue 'ingestion' embed documents; two at once keep the embedding node busy.
WORKER_CONCURRENCY = "2"


def web_address(bind_address: str, port: int) -> str:
    """What a person types into the browser."""
    if bind_address in EVERYWHERE or bind_address in ("127.0.0.1", "::1", "localhost"):
        return f"http://localhost:{port}/"
    return f"http://{f'[{bind_address}]' if ':' in bind_address else bind_address}:{port}/"


def probe_host(bind_address: str) -> str:
    """The address under which this machine reaches a server bound like that."""
    return EVERYWHERE.get(bind_address, bind_address)


def is_portal_ready(host: str, port: int) -> bool:
    """Whether the portal says that it serves."""
    return get(host, port, "/health/ready", seconds=5.0)[0] == 200


def portal_health(host: str, port: int) -> dict[str, Any]:
    """What the portal says of its parts (`/health`); empty where it says nothing."""
    _, said = get(host, port, "/health", seconds=5.0)
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and "components" in found else {}


def portal_environment(stack: Stack, *, port: int, demo: bool) -> dict[str, str]:
    """The environment of every process of the portal."""
    return stack.environment() | {"PORT": str(port), "CLOISTER_DEMO": "1" if demo else "0"}


def portal_services(stack: Stack, environment: dict[str, str]) -> list[Service]:
    """Web server, worker and clock, in the order in which they start."""
    python = str(stack.installation.python)
    schedule = stack.home.run / "beat-schedule"
    return [
        *web_services(stack, environment),
        Service(
            name="worker",
            command=(
                *(python, "-m", "celery", "-A", "portal", "worker", "--concurrency", WORKER_CONCURRENCY),
                *("--loglevel", "INFO", "-Q", "celery,ingestion,maintenance,reembed"),
                # One worker has no neighbours to look for, which would take a second at each start.
                *("--without-gossip", "--without-mingle"),
            ),
            environment=environment,
            ready=None,
            # A warm shutdown finishes the task in hand; what is broken off is found again by `reconcile`.
            stop_seconds=20.0,
        ),
        Service(
            name="beat",
            command=(python, "-m", "celery", "-A", "portal", "beat", "--schedule", str(schedule), "--pidfile="),
            environment=environment,
            ready=None,
        ),
    ]


def web_services(stack: Stack, environment: dict[str, str]) -> list[Service]:
    """The web server; or two of them with nginx in front, and PgBouncer behind, as far as they are planned."""
    port, address = int(environment["PORT"]), environment["BIND_ADDRESS"]
    host = probe_host(address)
    front, services = stack.front, []
    if front.bouncer:
        services.append(front.bouncer.service())
        names = list(front.bouncer.databases)
        environment = environment | {
            "DATABASE_URL": front.bouncer.url(names[0]),
            "DATABASE_REPLICA_URLS": ",".join(front.bouncer.url(name) for name in names[1:]),
            "DATABASE_POOL_SIZE": "0",
        }
    if not front.nginx:
        return [*services, _gunicorn(stack, "gunicorn", environment, host, port)]
    environment = environment | {"BIND_ADDRESS": "127.0.0.1", "TRUSTED_PROXIES": "1"}
    for name, own in zip(WEB_SERVERS, front.web_ports, strict=True):
        services.append(_gunicorn(stack, name, environment | {"PORT": str(own)}, "127.0.0.1", own))
    nginx = Nginx(stack.home, front.nginx, address, port, front.web_ports)
    return [*services, nginx.service(lambda: is_portal_ready(host, port))]


def _gunicorn(stack: Stack, name: str, environment: dict[str, str], host: str, port: int) -> Service:
    return Service(
        name=name,
        command=(
            *(str(stack.installation.python), "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py"),
            "portal.wsgi:application",
        ),
        environment=environment,
        ready=lambda: is_portal_ready(host, port),
        port=port,
        stop_seconds=15.0,
    )


def manage_command(python: Path, *arguments: str) -> tuple[str, ...]:
    """The command line of a management command."""
    return (str(python), str(ROOT / "manage.py"), *arguments)
