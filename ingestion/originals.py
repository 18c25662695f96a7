"""The stored originals: handing one out, and clearing away what no document refers to any more."""

from __future__ import annotations

import logging
import unicodedata
from functools import partial

from django.db import transaction
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, Http404
from django.utils.http import content_disposition_header

from ingestion.models import Document, EarlierVersion
from ingestion.retention import remove_unless_referred

logger = logging.getLogger(__name__)


def original_response(kept: Document | EarlierVersion) -> FileResponse:
    """The stored file as a download that no browser runs in the portal's own context. Raises Http404 without one.

    It is streamed, wherever it is stored. Whether the person may have it is the caller's question: earlier versions
    are for those who manage the document.
    """
    try:
        stored = kept.file.storage.open(str(kept.file.name))
    except (FileNotFoundError, IsADirectoryError, ValueError):
        logger.error("the original %s of %s is missing in the storage", kept.file.name, kept.pk)
        raise Http404 from None
    response = FileResponse(stored, content_type="application/octet-stream")
    response["Content-Length"] = str(stored.size)
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
