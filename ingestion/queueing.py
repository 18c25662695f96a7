"""The queue between those who want a document ingested and the workers."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.utils import timezone
from kombu.exceptions import ChannelError
from kombu.exceptions import OperationalError as BrokerError

from ingestion.models import Document, Status
from ingestion.runs import READ_AGAIN, lock_all

logger = logging.getLogger(__name__)


def enqueue(document_id: UUID) -> None:
    """Hand a document to the workers. When the broker is away it stays queued, and `reconcile` finds it."""
    try:
        current_app.send_task("ingestion.ingest", [str(document_id)])
    except BrokerError:
        logger.warning("broker away; document %s waits for reconcile", document_id)


def requeue(documents: QuerySet[Document], *, anew: bool = True) -> int:
    """Set these documents queued and hand them to the workers on commit; how many they were.

    `anew` forgets how often a worker has died over them, as somebody who asks for another try means it.
    """
    with transaction.atomic():
        ids = lock_all(documents)
        Document.objects.filter(pk__in=ids).update(
            status=Status.QUEUED,
            progress=0,
            # What was wrong with the stored file, or with files in it, is found out by reading it again.
            recipe=Case(When(error_reason__in=READ_AGAIN, then=Value("")), default="recipe"),
            error="",
            error_reason="",
            run=None,
            attempts=0 if anew else F("attempts"),
            updated_at=timezone.now(),
        )
        for document_id in ids:
            transaction.on_commit(partial(enqueue, document_id), robust=True)
    return len(ids)


def is_empty() -> bool:
    """Whether no document waits in the broker; not known to be so when the broker is away."""
    try:
        with current_app.connection_for_read() as connection:
            # Without this it would try for ever to connect.
            connection.ensure_connection(max_retries=1, interval_start=0)
            channel: Any = connection.default_channel
            return bool(channel.queue_declare(queue="ingestion", passive=True).message_count == 0)
    except ChannelError:
        return True  # Redis keeps no empty list, so that a queue without messages is one that does not exist
    except BrokerError:
        return False
