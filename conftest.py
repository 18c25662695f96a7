"""For every test: fresh counters of requests, and static files taken where they lie, so that no collectstatic has to
run first."""

from typing import Any

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Any) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    """Every test starts with all the requests of a minute: the throttles' counters lie in the cache's database."""
    cache.clear()
