"""The vector of a query: from the cache, else from an embedding node."""

from __future__ import annotations

import hashlib
from array import array
from base64 import b64decode, b64encode

from django.conf import settings
from django.core.cache import cache

from ingestion.embeddings import client_from_settings

KEPT_SECONDS = 3600


def query_vector(text: str) -> list[float]:
    """The embedding of a query. Raises EmbeddingUnavailable when no node answers.

    Shared between people: it says nothing of who asked or what they may see.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()
    key = f"vector:{settings.EMBEDDING_MODEL}:{settings.EMBEDDING_DIMENSIONS}:{digest}"
    packed = cache.get(key)
    if packed is not None:
        return list(array("f", b64decode(packed)))
    vector = client_from_settings().embed_query(text)
    cache.set(key, b64encode(array("f", vector).tobytes()).decode(), KEPT_SECONDS)
    return vector
