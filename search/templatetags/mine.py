"""What is a person's own on the pages of others: the menu with what is new, and saving what is shown."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.context import Context
from django.urls import reverse

from accounts.arrival import viewer_of
from ingestion.models import Document
from search.query import SearchQuery
from search.saved import address_of, news_count, saved_ids

register = template.Library()

MOST_SHOWN = 99
"""The highest number in the menu; above it stands a plus."""


def _own_request(context: Context) -> Any:
    """The request, where its person is themselves; None for everybody else."""
    request = context.get("request")
    known = request is not None and request.user.is_authenticated and not request.seeing
    return request if known else None


@register.inclusion_tag("search/mine/menu.html", takes_context=True)
def mine_menu(context: Context) -> dict[str, Any]:
    """The way to what is mine, with how much of it is new; nothing for whom it is not."""
    request = _own_request(context)
    if request is None or not viewer_of(request).clearance:
        return {"shown": False}
    new = news_count(request.user, viewer=viewer_of(request))
    return {"shown": True, "new": new, "number": f"{MOST_SHOWN}+" if new > MOST_SHOWN else str(new)}


@register.inclusion_tag("search/mine/keep.html", takes_context=True)
def save_document(context: Context, document_id: object, title: object, managed: bool = False) -> dict[str, Any]:
    """The form that saves a document which is shown here, or keeps it no longer. One query a page.

    Where it may be shown only because its reader manages it, there is none: nobody keeps what they do not see.
    """
    request = _own_request(context)
    if request is None:
        return {"document_id": None}
    if managed and not Document.objects.visible_to(viewer_of(request)).filter(pk=document_id).exists():
        return {"document_id": None}
    kept: frozenset[str] | None = request.__dict__.get("saved_ids")
    if kept is None:
        kept = request.__dict__["saved_ids"] = saved_ids(request.user)
    return {
        "document_id": document_id,
        "title": title,
        "kept": str(document_id) in kept,
        "next": request.get_full_path(),
        "csrf_token": context.get("csrf_token"),
    }


@register.inclusion_tag("search/mine/save_search.html", takes_context=True)
def save_search(context: Context, query: SearchQuery) -> dict[str, Any]:
    """The link that saves this search; nothing for whom it is not."""
    if _own_request(context) is None:
        return {"url": ""}
    return {"url": f"{reverse('mine-new-search')}?{address_of(query)}"}
