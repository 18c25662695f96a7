"""Two web servers of their own on one database and one cache, and that database."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from deploy.local.ports import choose

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0
STOP_SECONDS = 20.0


@contextmanager
def database_of_our_own() -> Iterator[None]:
    """Inside, DATABASE_URL names a new, empty database beside the one that it named; it is gone afterwards."""
    given = os.environ["DATABASE_URL"]
    name = sql.Identifier(f"drill_stale_{os.getpid()}")

    def run(statement: str) -> None:
        with psycopg.connect(given, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(name))

    run("CREATE DATABASE {}")
    os.environ["DATABASE_URL"] = urlsplit(given)._replace(path=f"/drill_stale_{os.getpid()}").geturl()
    try:
        yield
    finally:
        os.environ["DATABASE_URL"] = given
        run("DROP DATABASE IF EXISTS {} WITH (FORCE)")


def prepare(folder: Path, **more: str) -> dict[str, str]:
    """Make this process one of the portal's, with `surroundings` and `more` in its environment, and bring its database
    and static files up to date; the environment for others of the portal's."""
    os.environ |= surroundings(folder) | more
    for place in ("media", "static", "metrics"):
        (folder / place).mkdir()
    # In processes of their own: this one must not have asked for a connection before the database is as it stays.
    for command in (["migrate"], ["collectstatic", "--noinput"]):
        manage = [sys.executable, str(ROOT / "manage.py"), *command, "--verbosity", "0"]
        subprocess.run(manage, cwd=ROOT, check=True)
    metrics = os.environ.pop("PROMETHEUS_MULTIPROC_DIR")
    import django

    django.setup()
    return {**os.environ, "PROMETHEUS_MULTIPROC_DIR": metrics}


def surroundings(folder: Path) -> dict[str, str]:
    """What the environment of the portal's processes is to have besides: places of their own, no limits on requests,
    a cache that nobody else uses, and no workers, who would have nothing to do."""
    cache = urlsplit(os.environ["REDIS_URL"])
    # The queue has the number after the cache's; a server has sixteen.
    number = (int(cache.path.strip("/") or 0) + 2) % 16
    return {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "REDIS_URL": cache._replace(path=f"/{number}").geturl(),
        "CELERY_BROKER_URL": "memory://",
        "AUDIT_SPOOL": str(folder / "audit"),
        "MEDIA_ROOT": str(folder / "media"),
        "STATIC_ROOT": str(folder / "static"),
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        "SECRET_KEY": secrets.token_urlsafe(40),
        "JWT_SIGNING_KEY": secrets.token_urlsafe(40),
        "ALLOWED_HOSTS": "127.0.0.1",
        "INSECURE_COOKIES": "1",
        "PUBLIC_SEARCH": "1",
        "THROTTLE_FACTOR": "0",
        "LOG_LEVEL": "ERROR",
    }


@contextmanager
def web_servers(environment: Mapping[str, str], count: int = 2) -> Iterator[list[str]]:
    """The addresses of so many web servers, each one worker process of its own, as long as they are needed.

    Raises RuntimeError, with what it logged, when one does not answer in time.
    """
    processes: list[subprocess.Popen[bytes]] = []
    addresses: list[str] = []
    with tempfile.TemporaryFile() as log:
        try:
            ports: list[int] = []
            for _ in range(count):
                ports.append(choose(None, ports))
                processes.append(_started(environment, ports[-1], log.fileno()))
            for port, process in zip(ports, processes, strict=True):
                addresses.append(f"http://127.0.0.1:{port}")
                if not _answers(addresses[-1], process):
                    log.seek(0)
                    said = log.read()[-2000:].decode(errors="replace")
                    raise RuntimeError(f"A web server does not answer at {addresses[-1]}:\n{said}")
            yield addresses
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _started(environment: Mapping[str, str], port: int, log: int) -> subprocess.Popen[bytes]:
    own = {"BIND_ADDRESS": "127.0.0.1", "PORT": str(port), "WEB_CONCURRENCY": "1", "WEB_THREADS": "4"}
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "portal.wsgi:application"]
    return subprocess.Popen(command, cwd=ROOT, env={**environment, **own}, stdout=log, stderr=log)


def _answers(address: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether the server answers before its time is up."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health/live", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False
