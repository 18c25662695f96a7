"""That somebody was given a document's file, for the audit trail."""

from __future__ import annotations

from http import HTTPStatus

from django.core.cache import cache
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.audit import DOWNLOADED, note_reading
from accounts.throttling import address_of
from ingestion.models import Document

ONE_READING_SECONDS = 3600
"""For how long somebody who fetches more of a file is still at the same reading of it."""


def note_download(document: Document, response: HttpResponseBase, *, request: HttpRequest) -> None:
    """Note that this answer gives somebody a document's file, or a stretch of it.

    A viewer fetches a file in many stretches. What begins it, and the whole, is noted each time; what goes on where
    nothing of it was noted lately is, too, so that nobody reads past the trail by leaving out the first byte.
    """
    if request.method != "GET" or response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    reader = f"person-{request.user.pk}" if request.user.is_authenticated else f"address-{address_of(request)}"
    reading = f"reading:{reader}:{document.pk}:{document.sha256}"
    if response.get("Content-Range", "bytes 0-").startswith("bytes 0-"):
        cache.set(reading, True, ONE_READING_SECONDS)
    elif cache.add(reading, True, ONE_READING_SECONDS) is False:
        return  # None, where the cache is away: then each stretch is noted.
    note_reading(DOWNLOADED, document.pk, str(document), request=request)
