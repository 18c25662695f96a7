"""For every test: fresh counters of requests, passwords that cost little, static files taken where they lie, so that no
collectstatic has to run first, and a folder of originals."""

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as project
from django.core.cache import cache
from django.db import connection

from ingestion.storage import ORIGINALS


def pytest_configure(config: pytest.Config) -> None:
    """Processes that test at once must not meet in the cache and the queue."""
    if "PYTEST_XDIST_WORKER" in os.environ and not config.pluginmanager.hasplugin("deploy.local.lanes"):
        raise pytest.UsageError("Tests in several processes need lanes: add -p deploy.local.lanes, or ./cloister test.")


@pytest.fixture(scope="session", autouse=True)
def _folder_of_originals() -> None:
    """Documents that tests make without a file look as if the disk of the originals were not mounted."""
    Path(project.MEDIA_ROOT, ORIGINALS).mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The test database, whose audit trail may be emptied: Django truncates each table after a test that commits."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in ("accounts_auditevent", "accounts_auditseal", "accounts_auditpurge", "search_searchevent"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER audit_whole")


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Any) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture(autouse=True)
def _spool_of_its_own(settings: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What one test could not write of the audit trail is no event of the next one's."""
    settings.AUDIT_SPOOL = str(tmp_path_factory.getbasetemp() / "audit" / uuid4().hex)


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    """The portal's own algorithm with less work: its usual strength takes a third of a second for each person made."""
    settings.PASSWORD_HASHERS = ["accounts.tests.hashing.QuickArgon2"]


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    """Every test starts with all the requests of a minute: the throttles' counters lie in the cache's database."""
    cache.clear()
