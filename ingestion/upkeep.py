"""What is done to documents beside their ingestion: tried again, put away, brought back, and kept as they should be."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from ingestion.models import Chunk, Document, EarlierVersion, Status
from ingestion.originals import discard
from ingestion.queueing import requeue
from ingestion.runs import lock_all, recipe_of

UNAVAILABLE = "no_embedding_node"
"""The reason of a document that waits for an embedding node."""

WITH_ITS_MAIL = "with_its_mail"
"""The reason of an attachment that was archived because its mail was, and that comes back with it."""

REFUSED = ("unembeddable", "second_unembeddable")
"""What a chunk's metadata say where the model of the one or the other vector space refused its text."""


def retry(*documents: Document) -> None:
    """Queue documents to be ingested again; nothing that they serve is lost meanwhile.

    Passages that a model refused are tried again too, in either vector space.
    """
    with transaction.atomic():
        # A document's row is locked first and its chunks' after it, as everywhere.
        requeue(Document.objects.filter(pk__in=_ids(documents)).exclude(status=Status.ARCHIVED))
        refused = list(Chunk.objects.filter(document__in=documents, metadata__has_any_keys=REFUSED))
        for chunk in refused:
            chunk.metadata = {name: value for name, value in chunk.metadata.items() if name not in REFUSED}
        Chunk.objects.bulk_update(refused, ["metadata"], batch_size=200)


def _ids(documents: Iterable[Document]) -> list[UUID]:
    return [document.pk for document in documents]


def metadata_changed(document: Document) -> None:
    """To be called after a document was edited: ingests it again if its chunks are made differently now."""
    if document.status in (Status.READY, Status.FAILED) and document.recipe != recipe_of(document):
        retry(document)


@transaction.atomic
def archive(*documents: Document) -> None:
    """Take documents out of every search at once, and their attachments with them.

    Their chunks stay, so that they can be restored.
    """
    given = Document.objects.filter(pk__in=_ids(documents))
    lock_all(Document.objects.filter(pk__in=[*_ids(documents), *_attached(_ids(documents))]))
    away = {"status": Status.ARCHIVED, "is_searchable": False, "run": None, "updated_at": timezone.now()}
    given.update(**away)
    attached = Document.objects.filter(pk__in=_attached(_ids(documents))).exclude(status=Status.ARCHIVED)
    attached.update(error_reason=WITH_ITS_MAIL, error="Archived with the mail that it came with.", **away)


@transaction.atomic
def restore(*documents: Document) -> None:
    """Bring archived documents back: what they served is found again at once, and their state is checked anew.

    Attachments that were archived with their mail come back with it.
    """
    archived = Document.objects.filter(pk__in=_ids(documents), status=Status.ARCHIVED)
    ids = lock_all(archived)
    with_them = Document.objects.filter(
        pk__in=_attached(ids, status=Status.ARCHIVED, error_reason=WITH_ITS_MAIL), status=Status.ARCHIVED
    )
    back = Document.objects.filter(pk__in=[*ids, *lock_all(with_them)])
    back.update(is_searchable=Exists(Chunk.objects.filter(document=OuterRef("pk"), staged=False)))
    requeue(back)


@transaction.atomic
def delete(*documents: Document) -> None:
    """Delete documents for good, with their attachments, their chunks and all stored files of theirs."""
    ids = [*_ids(documents), *_attached(_ids(documents))]
    lock_all(Document.objects.filter(pk__in=ids))
    going = Document.objects.filter(pk__in=ids)
    files = [file for one in going for file in (one.file, one.next_file)]
    files += [version.file for version in EarlierVersion.objects.filter(document__in=ids)]
    going.delete()
    discard(*files)


def _attached(ids: Iterable[UUID], **conditions: object) -> list[UUID]:
    """The attachments of these documents that meet the conditions, and the attachments of those, and so on."""
    found: list[UUID] = []
    level = list(ids)
    while level:
        attachments = Document.objects.filter(parent__in=level, is_attachment=True, **conditions)
        level = list(attachments.values_list("pk", flat=True))
        found += level
    return found
