"""The vector of a query: from the cache, else from an embedding node."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass

from ingestion import vectorspace
from ingestion.embeddings import EmbeddingUnavailable, client_for
from search.caching import Cache, Shared

KEPT_SECONDS = 3600
FLOAT_BYTES = 4

_vectors = Cache("vectors")
_making: Shared[list[float]] = Shared()


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
    key = key_of(text, space)
    packed = _vectors.get(key)
    if packed is not None and len(packed) == space.dimensions * FLOAT_BYTES:
        return QueryVector(list(array("f", packed)), space)

    def embedded() -> list[float]:
        made: list[float] = client_for(space.model, space.dimensions, space.digest).embed_query(text)
        keep(text, QueryVector(made, space))
        return made

    try:
        numbers, _ = _making.get(key, embedded, shareable=bool)
    except EmbeddingUnavailable:
        # The nodes may have dropped a model that is not the live one any more.
        if anew or vectorspace.remembered(anew=True).key == space.key:
            raise
        return query_vector(text)
    return QueryVector(numbers, space)


def keep(text: str, vector: QueryVector) -> None:
    """Remember that this is the embedding of the text."""
    _vectors.put(key_of(text, vector.space), array("f", vector.numbers).tobytes(), seconds=KEPT_SECONDS)


def key_of(text: str, space: vectorspace.Space) -> str:
    """Under which key the embedding of this text in this space is kept."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"vector:{space.model}:{space.dimensions}:{space.digest}:{digest}"
