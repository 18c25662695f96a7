"""For every test: fresh counters of requests, passwords that cost little, and static files taken where they lie, so
that no collectstatic has to run first."""

import os
from typing import Any

import pytest
from django.core.cache import cache


def pytest_configure(config: pytest.Config) -> None:
    """Processes that test at once must not meet in the cache and the queue."""
    if "PYTEST_XDIST_WORKER" in os.environ and not config.pluginmanager.hasplugin("deploy.local.lanes"):
        raise pytest.UsageError("Tests in several processes need lanes: add -p deploy.local.lanes, or ./cloister test.")


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Any) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    """The portal's own algorithm with less work: its usual strength takes a third of a second for each person made."""
    settings.PASSWORD_HASHERS = ["accounts.tests.hashing.QuickArgon2"]


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    """Every test starts with all the requests of a minute: the throttles' counters lie in the cache's database."""
    cache.clear()
