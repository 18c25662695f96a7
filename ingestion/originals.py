"""The stored originals: handing one out, and clearing away what no document refers to any more."""

from __future__ import annotations

import logging
import unicodedata
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar, cast

from django.db import transaction
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from ingestion.models import Document, EarlierVersion
from ingestion.ranges import Unsatisfiable, asked_stretch, blocks, unchanged
from ingestion.retention import remove_unless_referred

if TYPE_CHECKING:
    from django.core.files import File

logger = logging.getLogger(__name__)

Response = TypeVar("Response", bound=HttpResponseBase)

DOWNLOAD = "application/octet-stream"
"""The type of every original, whatever is in it: no browser shows that by itself."""


def original_response(kept: Document | EarlierVersion) -> FileResponse:
    """The stored file as a download that no browser runs in the portal's own context. Raises Http404 without one.

    It is streamed, wherever it is stored. Whether the person may have it is the caller's question: earlier versions
    are for those who manage the document.
    """
    return _whole(kept, _opened(kept))


def stretch_response(kept: Document | EarlierVersion, request: HttpRequest) -> StreamingHttpResponse | HttpResponse:
    """The same, or the one stretch of it that the request's `Range` asks for, with 206, or 416 where there is none.

    So a viewer fetches of a large file what it shows. A stretch is bound to the content by its checksum: a request
    whose `If-Range` names another one gets the whole. Raises Http404.
    """
    stored, etag = _opened(kept), f'"{kept.sha256}"'
    size = stored.size
    asked = request.headers.get("Range", "") if request.method == "GET" else ""
    response: StreamingHttpResponse | HttpResponse
    try:
        stretch = asked_stretch(asked, size) if unchanged(request.headers.get("If-Range", ""), etag) else None
    except Unsatisfiable:
        stored.close()
        response = HttpResponse(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, content_type=DOWNLOAD)
        response["Content-Range"] = f"bytes */{size}"
        return _harmless(response, kept)
    if stretch is None:
        response = _whole(kept, stored)
    else:
        sent = blocks(stored, stretch)
        response = StreamingHttpResponse(sent, status=HTTPStatus.PARTIAL_CONTENT, content_type=DOWNLOAD)
        response["Content-Length"] = str(len(stretch))
        response["Content-Range"] = f"bytes {stretch.first}-{stretch.last}/{size}"
        _harmless(response, kept)
    response["Accept-Ranges"], response["ETag"] = "bytes", etag
    return response


def _whole(kept: Document | EarlierVersion, stored: File[bytes]) -> FileResponse:
    response = FileResponse(stored, content_type=DOWNLOAD)
    response["Content-Length"] = str(stored.size)
    return _harmless(response, kept)


def _opened(kept: Document | EarlierVersion) -> File[bytes]:
    """The stored file, open. Raises Http404 without one."""
    try:
        return cast("File[bytes]", kept.file.storage.open(str(kept.file.name)))
    except (FileNotFoundError, IsADirectoryError, ValueError):
        logger.error("the original %s of %s is missing in the storage", kept.file.name, kept.pk)
        raise Http404 from None


def _harmless(response: Response, kept: Document | EarlierVersion) -> Response:
    """The answer with the headers that make it a download in every browser."""
    response["Content-Disposition"] = content_disposition_header(True, download_name(kept.file_name))
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cache-Control"] = "private, no-store"
    return response


def download_name(file_name: str) -> str:
    """A file name that is safe in a header and on the reader's disk; Django writes it as RFC 5987 asks."""
    kept = "".join(
        "_" if character in '/\\:*?"<>|' else character
        for character in unicodedata.normalize("NFC", file_name)
        if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
    )
    return kept.strip(" .")[-150:] or "document"


def discard(*files: FieldFile) -> None:
    """Delete these stored files, once the transaction is written that lets go of them, unless others refer to them."""
    for file in files:
        if file.name:
            transaction.on_commit(partial(remove_unless_referred, file.storage, file.name), robust=True)
