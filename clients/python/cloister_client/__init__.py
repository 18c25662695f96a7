"""Search and feed a Cloister portal from Python.

    from cloister_client import Cloister

    with Cloister("https://search.example.ac.uk", api_key="clst_…") as cloister:
        for hit in cloister.search("How do I claim travel expenses?").hits:
            print(hit.document.title, hit.url)

What an answer holds is what the account behind the key or the token may see.
"""

from cloister_client.client import Cloister
from cloister_client.errors import (
    ChangedSince,
    CloisterError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotSignedIn,
    TooManyRequests,
    Unavailable,
)
from cloister_client.shapes import Chunk, Document, FacetValue, Hit, HitDocument, Passage, Person, SearchPage

__all__ = [
    "ChangedSince",
    "Chunk",
    "Cloister",
    "CloisterError",
    "Conflict",
    "Document",
    "FacetValue",
    "Forbidden",
    "Hit",
    "HitDocument",
    "Invalid",
    "NotFound",
    "NotSignedIn",
    "Passage",
    "Person",
    "SearchPage",
    "TooManyRequests",
    "Unavailable",
]
