"""The vector of a query: from the cache, else from an embedding node."""

from __future__ import annotations

import hashlib
from array import array
from base64 import b64decode, b64encode
from dataclasses import dataclass

from django.core.cache import cache

from ingestion import vectorspace
from ingestion.embeddings import EmbeddingUnavailable, client_for

KEPT_SECONDS = 3600


@dataclass(frozen=True)
class QueryVector:
    """The embedding of a query, and the vector space that it lies in: it is compared with no other one's vectors."""

    numbers: list[float]
    space: vectorspace.Space


def query_vector(text: str, *, anew: bool = False) -> QueryVector:
    """The embedding of a query in the live space, as this process remembers it, or as the database has it `anew`.

    Raises EmbeddingUnavailable when no node answers. Shared between people: it says nothing of who asked or what they
    may see.
    """
    space = vectorspace.remembered(anew=anew)
    digest = hashlib.sha256(text.encode()).hexdigest()
    key = f"vector:{space.model}:{space.dimensions}:{space.digest}:{digest}"
    packed = cache.get(key)
    if packed is not None:
        return QueryVector(list(array("f", b64decode(packed))), space)
    try:
        numbers = client_for(space.model, space.dimensions, space.digest).embed_query(text)
    except EmbeddingUnavailable:
        # The nodes may have dropped a model that is not the live one any more.
        if anew or vectorspace.remembered(anew=True).key == space.key:
            raise
        return query_vector(text)
    cache.set(key, b64encode(array("f", numbers).tobytes()).decode(), KEPT_SECONDS)
    return QueryVector(numbers, space)
