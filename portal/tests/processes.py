"""A portal process of its own, for what one process cannot show: a database that is away, metrics of several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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
