"""States of documents as librarians speak of them, as conditions of a query."""

from __future__ import annotations

from django.db.models import Q

from ingestion.models import Status

FLAGGED = Q(status=Status.READY) & ~Q(error_reason="")
"""Documents that are found, and of which something is missing."""
TROUBLED = Q(status=Status.FAILED) | FLAGGED
"""Documents that somebody should do something about."""
