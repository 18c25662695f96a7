"""Every address of the portal, taken from its own table of addresses, so that no new one is left out of a test."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

from ingestion.models import Document

_PLACE = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")


def all_addresses(document: Document) -> list[str]:
    """Each address once, with this document, and with the first row of every other kind, where it names one."""
    return sorted(set(_walk(get_resolver().url_patterns, "/", document)))


def _walk(patterns: Iterable[URLPattern | URLResolver], before: str, document: Document) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern.pattern, RegexPattern):
            # Two of Django's admin: the list of an app, and whatever nothing else matches.
            written = "ingestion/" if "app_label" in str(pattern.pattern) else "nothing/"
        else:
            written = _PLACE.sub(lambda place: _sample(before, place["name"], document), str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, before + written, document)
        else:
            yield before + written


def _sample(before: str, name: str, document: Document) -> str:
    """What stands in an address for this part of it."""
    if before.startswith("/admin/") and name in ("object_id", "id"):
        row = _administered(before)
        return str(document.pk if row is None or isinstance(row, Document) else row.pk)
    return str(document.pk) if name in ("pk", "batch_id", "change_id") else "1" if name == "number" else "0"


def _administered(before: str) -> Any:
    """The first row of the kind that this part of the admin is about; None where there is none."""
    for model in admin.site._registry:
        if before.startswith(f"/admin/{model._meta.app_label}/{model._meta.model_name}/"):
            return None if model is Document else model._default_manager.order_by("pk").first()
    return None
