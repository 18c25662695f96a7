"""Settings from the environment, and from files that it names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.settings.environment import BASE_DIR, Environment, Surroundings


def reading(**variables: str) -> Environment:
    """How settings are read where the environment is this."""
    read = Environment()
    read.ENVIRON = Surroundings(variables)
    return read


def test_a_secret_is_read_from_the_file_that_is_named_without_its_last_line_feed(tmp_path: Path) -> None:
    secret = tmp_path / "database_url"
    secret.write_text("postgres://cloister:p%40ss@primary:5432/cloister\n", encoding="utf-8")

    read = reading(DATABASE_URL_FILE=str(secret))

    assert read.str("DATABASE_URL") == "postgres://cloister:p%40ss@primary:5432/cloister"


def test_a_name_without_a_file_is_read_as_ever() -> None:
    assert reading(SECRET_KEY=" spaces stay ").str("SECRET_KEY") == " spaces stay "
    assert reading().str("SECRET_KEY", default="") == ""
    assert reading(A="1").ENVIRON.get("B", "") == ""


def test_a_name_and_its_file_together_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("b", encoding="utf-8")

    with pytest.raises(ImproperlyConfigured, match="Both SECRET_KEY and SECRET_KEY_FILE are set"):
        reading(SECRET_KEY="a", SECRET_KEY_FILE=str(secret)).str("SECRET_KEY")


def test_a_file_that_cannot_be_read_stops_the_start_and_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE names /nowhere/key, which cannot be read"):
        reading(SECRET_KEY_FILE="/nowhere/key").str("SECRET_KEY", default="")


def test_the_portal_starts_with_all_its_secrets_in_files(tmp_path: Path) -> None:
    values = {
        "SECRET_KEY": "k" * 60,
        "JWT_SIGNING_KEY": "j" * 60,
        "DATABASE_URL": "postgres://cloister:secret@primary:5432/cloister",
        "DATABASE_REPLICA_URLS": "postgres://cloister:secret@replica:5432/cloister?weight=3",
        "REDIS_URL": "redis://:secret@cache:6379/0",
        "CELERY_BROKER_URL": "redis://:secret@broker:6379/0",
    }
    for name, value in values.items():
        (tmp_path / name.lower()).write_text(value + "\n", encoding="utf-8")
    environment = {f"{name}_FILE": str(tmp_path / name.lower()) for name in values}
    asked = (
        "from django.conf import settings as s; d = s.DATABASES;"
        "print(d['default']['PASSWORD'], d['replica_1']['HOST'], s.REPLICA_WEIGHTS, s.REDIS_URL, s.CELERY_BROKER_URL)"
    )

    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "portal.settings", **environment},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        *("secret", "replica", "{'replica_1':", "3.0}"),
        *("redis://:secret@cache:6379/0", "redis://:secret@broker:6379/0"),
    ]
