"""A portal process of its own, for what one process cannot show: a database that is away, metrics of several."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.db import connection

ROOT = Path(__file__).parents[2]

_BEGIN = """
import json, sys, time, django
django.setup()
from django.conf import settings
from django.test import Client, override_settings

# As in every test (conftest.py): static files are taken where they lie.
plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
override_settings(STORAGES={**settings.STORAGES, "staticfiles": plain}).enable()

def ask(path, **given):
    started = time.perf_counter()
    answer = Client(raise_request_exception=False).get(path, **given)
    return {"status": answer.status_code, "headers": dict(answer.headers), "body": answer.getvalue().decode(),
            "seconds": time.perf_counter() - started}

"""


def run(program: str, **environment: str) -> Any:
    """What a Python program prints as JSON; it has `ask(path)`, which asks the portal's own process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _BEGIN + program],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings", "LOG_LEVEL": "CRITICAL", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def away() -> dict[str, str]:
    """An environment whose database nobody serves."""
    return {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing", "ALLOWED_HOSTS": "testserver"}


@contextmanager
def gunicorn(workers: int, **environment: str) -> Iterator[tuple[str, int]]:
    """The portal's real web server with so many processes, on the test's own database; its address and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    own = {"DATABASE_URL": given, "PORT": str(port), "BIND_ADDRESS": "127.0.0.1", "WEB_CONCURRENCY": str(workers)}
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "portal.wsgi:application"]
    server = subprocess.Popen(
        command,
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "portal.tests.noninterference.live_settings",
            "INSECURE_COOKIES": "1",
            "LOG_LEVEL": "ERROR",
            **own,
            **environment,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while status_of(f"{address}/health/live") != 200:
            assert server.poll() is None, "the web server ended"
            assert time.monotonic() < deadline, "the web server does not answer"
            time.sleep(0.1)
        yield address, server.pid
    finally:
        server.terminate()
        server.wait(timeout=30)


def children(process: int) -> list[int]:
    """The processes that this one started and that run."""
    told = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(one) for one in told.split()]


def status_of(url: str) -> int:
    """The status of an answer; 0 where there is none."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0
