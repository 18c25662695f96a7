"""What people save: searches, of which they may be told what is new (search.alerts), and documents."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.clearance import Viewer
from accounts.models import User
from ingestion.models import Document
from search.models import Alert, FoundDocument, SavedDocument, SavedSearch
from search.query import DEFAULT_PAGE_SIZE, SearchQuery, normalise, parse_query

MAX_SEARCHES = 50
"""Searches that one person may save: each that alerts is asked again every day or week."""

MAX_DOCUMENTS = 500
"""Documents that one person may save: more is no list any more."""

MAX_ADDRESS = 8000
"""Characters of a saved address: 500 letters of any script and a few dozen filters, as a request line takes."""

DESCRIBED_BY = ("department", "doc_type")


class NotSaved(ValueError):
    """What cannot be saved; says why, and what to do."""


def address_of(query: SearchQuery) -> str:
    """The query string under which a search is kept: from its first page, in pages of the usual size."""
    return replace(query, page=1, page_size=DEFAULT_PAGE_SIZE).querystring()


def digest_of(address: str) -> str:
    """What tells two addresses apart in an index."""
    return hashlib.sha256(address.encode()).hexdigest()


def query_of(address: str) -> SearchQuery:
    """The search that a kept address asks. Raises InvalidQuery where it is none any more."""
    return parse_query(QueryDict(address))


def one_line(text: str) -> str:
    """A text as it may stand in a line of a mail: no control characters, no line ends."""
    return normalise(text)


def save_search(owner: User, query: SearchQuery, *, name: str, alert: str, rhythm: str) -> SavedSearch:
    """Keep this search, or change how it is kept where it is already. Raises NotSaved.

    What it finds at first is known already: the next check of search.alerts says so.
    """
    address = address_of(query)
    if len(address) > MAX_ADDRESS:
        raise NotSaved(_("This search is too long to be saved. Use fewer words or filters."))
    with transaction.atomic():
        _alone(owner)
        kept = SavedSearch.objects.filter(owner=owner, digest=digest_of(address)).first()
        if kept is None:
            if SavedSearch.objects.filter(owner=owner).count() >= MAX_SEARCHES:
                raise NotSaved(
                    _("You have %(number)d saved searches, which is all there is room for. Remove one first.")
                    % {"number": MAX_SEARCHES}
                )
            kept = SavedSearch(owner=owner, address=address, digest=digest_of(address))
        change_search(kept, name=name, alert=alert, rhythm=rhythm)
    return kept


def change_search(saved: SavedSearch, *, name: str, alert: str, rhythm: str) -> None:
    """Rename it, or tell of it otherwise. Where alerts are switched on, what it finds now is not new."""
    if alert == Alert.OFF or saved.alert == Alert.OFF:
        saved.checked_on = None
        FoundDocument.objects.filter(saved=saved).delete()
    saved.name, saved.alert, saved.rhythm = one_line(name) or saved.address[:100], alert, rhythm
    saved.save()


def save_document(owner: User, document_id: UUID, *, viewer: Viewer) -> bool:
    """Keep a document at hand; False where the viewer sees none of this id. Raises NotSaved."""
    with transaction.atomic():
        if not Document.objects.visible_to(viewer).filter(pk=document_id).exists():
            return False
        _alone(owner)
        mine = SavedDocument.objects.filter(owner=owner)
        if mine.count() >= MAX_DOCUMENTS:
            # What they may not see any more must not take the room of others, and a full list would tell of it.
            mine.exclude(document__in=Document.objects.visible_to(viewer)).delete()
        if mine.count() >= MAX_DOCUMENTS and not mine.filter(document=document_id).exists():
            raise NotSaved(
                _("You have %(number)d saved documents, which is all there is room for. Remove one first.")
                % {"number": MAX_DOCUMENTS}
            )
        SavedDocument.objects.get_or_create(owner=owner, document_id=document_id)
    return True


def _alone(owner: User) -> None:
    """Whoever saves twice at once must not get past the limits: until the transaction ends no other goes on here."""
    User.objects.select_for_update(no_key=True).only("pk").get(pk=owner.pk)


def drop_document(owner: User, document_id: UUID, *, viewer: Viewer) -> bool:
    """Keep a document no longer; False where the viewer sees none of this id, kept or not."""
    if not Document.objects.visible_to(viewer).filter(pk=document_id).exists():
        return False
    SavedDocument.objects.filter(owner=owner, document_id=document_id).delete()
    return True


def saved_documents(owner: User, *, viewer: Viewer) -> Any:
    """The documents that the owner saved and may see now, last saved first, each with `saved_at`."""
    seen = Document.objects.visible_to(viewer).filter(saved_by__owner=owner)
    return seen.annotate(saved_at=F("saved_by__at")).select_related(*DESCRIBED_BY).order_by("-saved_at", "pk")


def saved_ids(owner: User) -> frozenset[str]:
    """Ids of what the owner saved; for marking documents that are shown anyway, never for showing."""
    return frozenset(map(str, SavedDocument.objects.filter(owner=owner).values_list("document_id", flat=True)))


@dataclass(frozen=True)
class News:
    """A document that is new in some of somebody's saved searches."""

    document: Document
    searches: tuple[str, ...]
    at: datetime


def _unseen(owner: User) -> Any:
    return FoundDocument.objects.filter(saved__owner=owner, told=True, seen_at__isnull=True).exclude(
        saved__alert=Alert.OFF
    )


def news_count(owner: User, *, viewer: Viewer) -> int:
    """How many documents are new for the owner and visible now."""
    unseen = set(_unseen(owner).values_list("document_id", flat=True))
    return Document.objects.visible_to(viewer).filter(pk__in=unseen).count() if unseen else 0


def news(owner: User, *, viewer: Viewer, limit: int = 100) -> list[News]:
    """The documents that are new for the owner and visible now, found last first."""
    names: dict[UUID, list[str]] = {}
    found: dict[UUID, datetime] = {}
    for pk, name, at in _unseen(owner).order_by("-at", "saved__name").values_list("document_id", "saved__name", "at"):
        names.setdefault(pk, []).append(name)
        found.setdefault(pk, at)
    seen = Document.objects.visible_to(viewer).filter(pk__in=found).select_related(*DESCRIBED_BY)
    documents = sorted(seen, key=lambda one: (found[one.pk], str(one.pk)), reverse=True)
    return [News(one, tuple(names[one.pk]), found[one.pk]) for one in documents[:limit]]


def mark_seen(owner: User, *, viewer: Viewer) -> None:
    """What is new and visible now is new no longer."""
    shown = Document.objects.visible_to(viewer).filter(pk__in=_unseen(owner).values("document_id"))
    _unseen(owner).filter(document__in=shown).update(seen_at=timezone.now())
