"""Answers that are kept for a quarter of an hour, for whoever would be given the very same (docs/decisions/0025)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from accounts.clearance import Viewer
from ingestion.corpusversion import CorpusVersion, version_for
from search._plain import read, written
from search.caching import Cache, Shared
from search.page import SearchPage
from search.query import SearchQuery

ROOMS = ("accounts", "ingestion", "search")
"""Whose code decides what is answered."""


@dataclass(frozen=True)
class _Kept:
    """An answer, and when, by the database's clock, it is one no more."""

    until: datetime
    page: SearchPage


_answers = Cache("answers")
_making: Shared[_Kept] = Shared()


def kept_or_made(query: SearchQuery, viewer: Viewer, make: Callable[[], SearchPage]) -> SearchPage:
    """The answer that is kept for this viewer and state of the corpus, else the one that is made.

    What is of the one request (search_id, timestamp, response_time) is the caller's to put anew into a kept one, which
    says `from_cache`. A degraded answer is not kept. Database errors pass through.
    """
    if not settings.SEARCH_CACHE_SECONDS:
        return make()
    version, began = version_for(viewer), time.monotonic()
    key = key_of(query, viewer, version)
    if (kept := _read(key)) and version.at < kept.until:
        return replace(kept.page, from_cache=True)

    def made() -> _Kept:
        found = _Kept(_until(version), make())
        left = (found.until - version.at).total_seconds() - (time.monotonic() - began)
        if not found.page.degraded and left > 0:
            _answers.put(key, written(found), seconds=left)
        return found

    found, of_another = _making.get(key, made, shareable=lambda one: not one.page.degraded)
    if not of_another:
        return found.page
    return replace(found.page, from_cache=True) if version.at < found.until else make()


def key_of(query: SearchQuery, viewer: Viewer, version: CorpusVersion) -> str:
    """Under which key this answer is kept: it holds all that the answer depends on."""
    parts = (
        viewer.sight,
        astuple(query),
        version.mark,
        # Recency counts in days.
        timezone.localdate(),
        settings.SEARCH_BOOSTS,
        settings.SEARCH_LANGUAGES,
        _release(),
    )
    return f"answer:{hashlib.sha256(repr(parts).encode()).hexdigest()}"


def _until(version: CorpusVersion) -> datetime:
    """When an answer of this version must not be given any more: windows open and close though nothing is written."""
    latest = version.at + timedelta(seconds=settings.SEARCH_CACHE_SECONDS)
    return latest if version.good_until is None else min(latest, version.good_until)


def _read(key: str) -> _Kept | None:
    found = _answers.get(key)
    if found is None:
        return None
    try:
        return read(_Kept, found)
    except ValueError:
        return None


@cache
def _release() -> str:
    """A digest of the code: while a release is rolled out, it and the one before answer side by side, each its own."""
    root = Path(__file__).resolve().parents[1]
    sources = sorted(
        path for room in ROOMS for path in (root / room).rglob("*.py") if "tests" not in path.as_posix().split("/")
    )
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()
