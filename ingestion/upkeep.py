"""What is done to documents beside their ingestion: tried again, put away, brought back, and kept as they should be."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import ChannelError
from kombu.exceptions import OperationalError as BrokerError

from ingestion import vectorspace
from ingestion.embeddings import EmbeddingUnavailable, client_from_settings
from ingestion.models import WORKING, Chunk, Document, Status
from ingestion.registration import enqueue
from ingestion.runs import recipe_of

STALE_AFTER = timedelta(minutes=5)
"""A run without a sign of life for this long is dead. One embedding batch may take up to a minute."""

UNAVAILABLE = "no_embedding_node"
"""The reason of a document that waits for an embedding node."""


def retry(*documents: Document) -> None:
    """Queue documents to be ingested again; nothing that they serve is lost meanwhile.

    Passages that the model refused are tried again too.
    """
    with transaction.atomic():
        # A document's row is locked first and its chunks' after it, as everywhere.
        requeue(Document.objects.filter(pk__in=_ids(documents)).exclude(status=Status.ARCHIVED))
        refused = list(Chunk.objects.filter(document__in=documents, metadata__has_key="unembeddable"))
        for chunk in refused:
            del chunk.metadata["unembeddable"]
        Chunk.objects.bulk_update(refused, ["metadata"], batch_size=200)


def _ids(documents: Iterable[Document]) -> list[UUID]:
    return [document.pk for document in documents]


def metadata_changed(document: Document) -> None:
    """To be called after a document was edited: ingests it again if its chunks are made differently now."""
    if document.status in (Status.READY, Status.FAILED) and document.recipe != recipe_of(document):
        retry(document)


def archive(*documents: Document) -> None:
    """Take documents out of every search at once. Their chunks stay, so that they can be restored."""
    Document.objects.filter(pk__in=_ids(documents)).update(
        status=Status.ARCHIVED, is_searchable=False, run=None, updated_at=timezone.now()
    )


@transaction.atomic
def restore(*documents: Document) -> None:
    """Bring archived documents back: what they served is found again at once, and their state is checked anew."""
    archived = Document.objects.filter(pk__in=_ids(documents), status=Status.ARCHIVED)
    served = Exists(Chunk.objects.filter(document=OuterRef("pk"), staged=False))
    archived.update(is_searchable=served)
    requeue(archived)


@transaction.atomic
def reembed() -> int:
    """Drop all vectors and embed the corpus anew with the configured model; how many documents are queued for it.

    The corpus stays searchable by words meanwhile.
    """
    vectorspace.reset(settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS)
    return requeue(Document.objects.exclude(status__in=[Status.ARCHIVED, Status.FAILED]))


def reconcile() -> int:
    """Queue again what is not as it should be; how many documents that were.

    That is: runs that died, documents whose message was lost, and documents that waited for an embedding node when
    one answers again. A long queue is not a loss: waiting documents count as lost only when the queue is empty.
    """
    long_ago = timezone.now() - STALE_AFTER
    unfinished = Document.objects.filter(status__in=WORKING)
    lost = Q(run_seen_at__lt=long_ago, status__in=[Status.EXTRACTING, Status.EMBEDDING]) & ~Q(error_reason=UNAVAILABLE)
    if _queue_is_empty():
        lost |= Q(status=Status.QUEUED, updated_at__lt=timezone.now() - timedelta(minutes=1))
    if unfinished.filter(error_reason=UNAVAILABLE).exists() and _nodes_answer():
        lost |= Q(error_reason=UNAVAILABLE)
    return requeue(unfinished.filter(lost))


def _queue_is_empty() -> bool:
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


def _nodes_answer() -> bool:
    """Whether documents can be embedded now: a node answers, and with the model that the corpus is embedded with."""
    try:
        client_from_settings().describe()
    except EmbeddingUnavailable:
        return False
    return not vectorspace.mismatch(settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS)


def requeue(documents: QuerySet[Document]) -> int:
    """Set these documents queued and hand them to the workers on commit; how many they were."""
    with transaction.atomic():
        ids = list(documents.select_for_update().values_list("pk", flat=True))
        Document.objects.filter(pk__in=ids).update(
            status=Status.QUEUED, progress=0, error="", error_reason="", run=None, updated_at=timezone.now()
        )
        for document_id in ids:
            transaction.on_commit(partial(enqueue, document_id), robust=True)
    return len(ids)
