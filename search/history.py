"""What a person asked lately, kept for them alone: off and erased as they wish.

A table of its own and no view of the audit trail, so that what they erase is gone
(docs/decisions/0030-saved-searches.md).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

from django.db import DatabaseError, InterfaceError
from django.db.models import F, QuerySet, Value
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from search.models import RememberedSearch
from search.query import SearchQuery
from search.saved import address_of, digest_of

logger = logging.getLogger(__name__)

KEPT = timedelta(days=180)
"""How long a search is remembered: about the time after which nobody knows what they looked for."""

SHOWN = 200
"""How many of them the page shows."""

TYPING = timedelta(seconds=30)
"""Within this time a search that only continues the words of the one before replaces it: results come as one types."""


def remember(query: SearchQuery, request: HttpRequest) -> None:
    """Keep what this person just asked, where they let it be kept; a search that was asked before moves to the top.

    Only the first page of an answer is a search of its own. Nobody's history is written while they look as somebody
    else. Where nothing can be written, the search is answered all the same.
    """
    user = request.user
    if not user.is_authenticated or user.seen_as is not None or not user.keeps_history or query.page != 1:
        return
    now, address = timezone.now(), address_of(query)
    try:
        before = (
            RememberedSearch.objects.filter(owner=user, at__gte=now - TYPING).exclude(text="").exclude(text=query.text)
        )
        begun = before.annotate(typed=Value(query.text)).filter(typed__startswith=F("text"))
        RememberedSearch.objects.filter(
            pk__in=[
                pk
                for pk, text, kept in begun.values_list("pk", "text", "address")
                # The same but for its words.
                if kept == address_of(replace(query, text=text))
            ]
        ).delete()
        RememberedSearch.objects.bulk_create(
            [RememberedSearch(owner=user, text=query.text, address=address, digest=digest_of(address), at=now)],
            update_conflicts=True,
            unique_fields=["owner", "digest"],
            update_fields=["at"],
        )
    except (DatabaseError, InterfaceError) as error:
        logger.warning("a search is not remembered: %s", type(error).__name__)


def remembered(owner: User) -> QuerySet[RememberedSearch]:
    """What is kept of this person, asked last first."""
    return RememberedSearch.objects.filter(owner=owner)


def purge() -> int:
    """Forget what is older than KEPT; how many searches."""
    return RememberedSearch.objects.filter(at__lt=timezone.now() - KEPT).delete()[0]
