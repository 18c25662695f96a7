"""Conditional requests: the validator of a document as somebody is shown it (RFC 9110, 8.8.3 and 13.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

from ingestion.api.refusals import PreconditionFailed

_ENCODER = JSONEncoder(sort_keys=True)


def etag_of(shown: Mapping[str, Any]) -> str:
    """A strong validator: another one for whatever differs in what is shown."""
    return f'"{hashlib.sha256(_ENCODER.encode(shown).encode()).hexdigest()[:32]}"'


def is_known(request: Request, etag: str) -> bool:
    """Whether the answer with this validator is what the client has already (`If-None-Match`)."""
    given = parse_etags(request.headers.get("If-None-Match", ""))
    # Compared weakly (13.1.2): whatever compresses an answer on its way may weaken its validator.
    return "*" in given or etag in (one.removeprefix("W/") for one in given)


def insist(request: Request, shown: Mapping[str, Any]) -> None:
    """Raise PreconditionFailed where the request is about another state of the document (`If-Match`)."""
    if "If-Match" not in request.headers:
        return
    given = parse_etags(request.headers["If-Match"])
    if "*" not in given and etag_of(shown) not in given:
        raise PreconditionFailed
