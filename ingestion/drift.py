"""What is not as it should be, found and mended: lost messages, dead runs, and rows that do not fit each other."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from ingestion import queueing, vectorspace
from ingestion.embeddings import EmbeddingUnavailable
from ingestion.models import WORKING, Chunk, Document, Status
from ingestion.runs import RECIPE, lock_all
from ingestion.upkeep import UNAVAILABLE

LOST_AFTER = timedelta(minutes=1)
"""A document that waits while the queue is empty has lost its message. Publishing takes less than this."""

READ_ANEW_AT_ONCE = 50
"""Documents of an older recipe that are queued at a time; each minute at most, and only when nothing else waits."""


def reconcile() -> int:
    """Queue again what is not as it should be; how many documents that were.

    That is: runs that died, documents whose message was lost, and documents that waited for an embedding node when
    one answers again. A long queue is not a loss: waiting documents count as lost only when the queue is empty. When
    there is nothing else to do, some documents that an older release read are read anew.
    """
    stale = timedelta(seconds=settings.INGESTION_STALE_SECONDS)
    unfinished = Document.objects.filter(status__in=WORKING)
    lost = Q(status__in=[Status.EXTRACTING, Status.EMBEDDING], run_seen_at__lt=timezone.now() - stale)
    lost &= ~Q(error_reason=UNAVAILABLE)
    idle = queueing.is_empty()
    if idle:
        lost |= Q(status=Status.QUEUED, updated_at__lt=timezone.now() - min(LOST_AFTER, stale))
    if unfinished.filter(error_reason=UNAVAILABLE).exists() and _nodes_answer():
        lost |= Q(error_reason=UNAVAILABLE)
    queued = queueing.requeue(unfinished.filter(lost), anew=False)
    if idle and not unfinished.exists():
        queued += _read_anew()
    return queued


def _read_anew() -> int:
    """Queue a few documents that were read by an older recipe. What they serve stays until it is made anew."""
    # Without a recipe are those that never came from a file (filling.insert_ready).
    older = Document.objects.filter(status=Status.READY).exclude(recipe="").exclude(recipe__startswith=f"{RECIPE}:")
    some = list(older.order_by("created_at", "pk").values_list("pk", flat=True)[:READ_ANEW_AT_ONCE])
    return queueing.requeue(older.filter(pk__in=some)) if some else 0


def mend() -> int:
    """Mend documents at rest whose rows do not fit each other; how many they were. It looks at every chunk's index.

    That is: a ready document with more or fewer chunks than it is said to have, or with chunks of a version that is not
    served, is read again; chunks of an archived one that would be found are hidden.
    """
    served = Chunk.objects.filter(document=OuterRef("pk"), staged=False).order_by()
    counted = Subquery(served.values("document").annotate(number=Count("pk")).values("number"))
    staged = Document.objects.filter(chunks__staged=True).values("pk")
    ready = Document.objects.filter(status=Status.READY)
    uneven = ready.exclude(recipe="").alias(served=Coalesce(counted, 0)).exclude(chunk_count=F("served"))
    mended = _read_again(uneven) + queueing.requeue(ready.filter(pk__in=staged))
    return mended + _hide(Document.objects.filter(status=Status.ARCHIVED))


@transaction.atomic
def _read_again(documents: QuerySet[Document]) -> int:
    """Queue these documents to be made anew from their files."""
    ids = lock_all(documents)
    Document.objects.filter(pk__in=ids).update(recipe="")
    return queueing.requeue(Document.objects.filter(pk__in=ids))


@transaction.atomic
def _hide(archived: QuerySet[Document]) -> int:
    """Hide those of these documents that are found all the same."""
    found = archived.filter(
        Q(is_searchable=True) | Q(pk__in=Chunk.objects.filter(is_searchable=True).values("document"))
    )
    ids = lock_all(found)
    Document.objects.filter(pk__in=ids).update(is_searchable=False)
    Chunk.objects.filter(document__in=ids, is_searchable=True).update(is_searchable=False)
    return len(ids)


def _nodes_answer() -> bool:
    """Whether documents can be embedded now: a node answers, and with the weights that the corpus is embedded with."""
    try:
        vectorspace.live().client().describe()
    except EmbeddingUnavailable:
        return False
    return True
