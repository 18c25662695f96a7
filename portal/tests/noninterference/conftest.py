"""What all proofs stand on: originals in a folder of the test, each text embedded once, requests that nobody counts."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from pytest_django.fixtures import Settings

from ingestion import vectorspace
from search import vectors

_query_vectors: dict[str, list[float]] = {}


class OnceEmbedding:
    """The embedding client, which asks the node once for each query: with the node it would be most of the time."""

    def embed_query(self, text: str) -> list[float]:
        """The real vector of a query, to the precision that the cache keeps."""
        if text not in _query_vectors:
            _query_vectors[text] = list(array("f", vectorspace.configured().client().embed_query(text)))
        return _query_vectors[text]


@pytest.fixture(autouse=True)
def stage(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same for every test here."""
    location = {"location": str(tmp_path), "base_url": None}
    settings.STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": location},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.THROTTLE_FACTOR = 0
    monkeypatch.setattr(vectors, "client_for", lambda *_: OnceEmbedding())
    # Thousands of refusals would be written out, with their tracebacks.
    logging.disable(logging.CRITICAL)
    cache.clear()
    yield
    cache.clear()
    logging.disable(logging.NOTSET)
