"""Tags: free key words, which come into being with the documents that bear them.

The name of a tag can betray what a document is about. So nobody learns from a tag that they use whether somebody else
uses it, too: a name is taken as it is typed unless a document that the person knows bears it in another spelling.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Lower

from accounts.clearance import Viewer
from ingestion.models import Document, Tag

MAX_NAME = 60
MAX_TAGS = 30
"""More key words than this on one document help nobody to find it."""


class InvalidTag(ValueError):
    """A name that no tag may have, or too many of them; the message is a sentence for whoever typed it."""


def clean_names(names: Iterable[str]) -> list[str]:
    """The names, NFC, on one line, each once and empty ones left out. Raises InvalidTag."""
    cleaned = list(dict.fromkeys(filter(None, (_clean(name) for name in names))))
    if len(cleaned) > MAX_TAGS:
        raise InvalidTag(f"These are {len(cleaned)} tags; a document has at most {MAX_TAGS}.")
    return cleaned


def _clean(name: str) -> str:
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        raise InvalidTag("A tag has a character that cannot be read.")
    if "," in name:
        raise InvalidTag(f"“{name[:MAX_NAME]}” has a comma, which separates tags.")
    if len(name) > MAX_NAME:
        raise InvalidTag(f"“{name[:MAX_NAME]}…” is longer than {MAX_NAME} characters.")
    return name


def known_tags(viewer: Viewer) -> QuerySet[Tag]:
    """The tags that documents bear which this viewer sees or manages; for administrators all that there are."""
    if viewer.every_department and viewer.curates:
        return Tag.objects.all()
    borne = Document.tags.through.objects.filter(tag=OuterRef("pk"))  # access: only in Exists, with what they know
    seen = borne.filter(document__in=Document.objects.visible_to(viewer).order_by().values("pk"))
    managed = borne.filter(document__in=Document.objects.manageable_by(viewer).order_by().values("pk"))
    return Tag.objects.filter(Exists(seen) | Exists(managed))


def spelt(names: Iterable[str], viewer: Viewer) -> list[str]:
    """These clean names as `tags_named` would take them: like a tag that the viewer knows in another case."""
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return []
    known: dict[str, list[str]] = {}
    for folded, name in (
        known_tags(viewer)
        .annotate(folded=Lower("name"))
        .filter(folded__in={name.lower() for name in wanted})
        .order_by("name")
        .values_list("folded", "name")
    ):
        known.setdefault(folded, []).append(name)
    chosen = [name if name in (spellings := known.get(name.lower(), [name])) else spellings[0] for name in wanted]
    return list(dict.fromkeys(chosen))


def tags_named(names: Iterable[str], viewer: Viewer) -> list[Tag]:
    """The tags of these clean names, made where there are none; to be called when a document is given them.

    A tag that the viewer knows in another case is that tag. Any other is made as it is written, whether or not there is
    such a row already: nobody can tell.
    """
    chosen = spelt(names, viewer)
    if not chosen:
        return []
    # Of two people who make the same tag at the same moment both find it.
    Tag.objects.bulk_create([Tag(name=name) for name in chosen], ignore_conflicts=True)
    return list(Tag.objects.filter(name__in=chosen))
