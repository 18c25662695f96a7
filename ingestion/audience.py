"""Who sees a document, said to its curators, and the note that is made when that changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.audit import note_several
from accounts.clearance import EVERYONE, Audience, Clearance
from accounts.crowd import Crowd, effects_among
from accounts.effects import Effect
from accounts.models import Department
from accounts.readership import Access, Headcount, effect_between, effects_of, headcount
from ingestion.metadata import moment_in_words, stored, with_attachments
from ingestion.models import WORKING, Document, Status

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from accounts.models import User

READERS = {
    Clearance.PUBLIC: ("everybody, also without signing in", "people"),
    Clearance.MEMBERS: ("all students and staff", "people"),
    Clearance.STAFF: ("staff and academics with a department", "staff and academics"),
    Clearance.RESTRICTED: ("academics with a department", "academics"),
}
"""Who reads a document of this clearance: of the whole institution, and of a department."""


def readers_in_words(document: Document) -> str:
    """Who reads the document, in words, apart from its dates and state."""
    document = _deciding(document)
    everybody, of_department = READERS[Clearance(document.clearance)]
    if document.audience == Audience.INSTITUTION:
        return everybody
    departments = [document.department, *document.shared_with.all()]
    return f"{of_department} of {' or '.join(department.name for department in departments)}"


def _deciding(document: Document) -> Document:
    """The document whose own classification decides: of an attachment, what it came with, where that is shared too."""
    while document.is_attachment and document.parent is not None:
        document = document.parent
    return document


def access_of(document: Document) -> Access:
    """What the access rule reads of this document, as it was when it was loaded."""
    return Access(
        clearance=document.clearance,
        readers=frozenset(document.readers),
        is_searchable=document.is_searchable,
        visible_from=document.visible_from,
        visible_until=document.visible_until,
    )


def readers_of(audience: str, department: Department, shared_with: Iterable[Department]) -> frozenset[int]:
    """What the database will write into `readers` (migration 0002) for these."""
    if audience == Audience.INSTITUTION:
        return frozenset({EVERYONE})
    return frozenset({department.pk, *(one.pk for one in shared_with)})


@dataclass(frozen=True)
class Sight:
    """Who sees a document, and why."""

    readers: str
    reasons: tuple[str, ...]
    shown: bool
    """Whether anybody but its curators sees it at this moment."""
    people: Headcount


def sight_of(document: Document) -> Sight:
    """Who sees this document, with numbers. Where it is hidden now: who would."""
    access, now = access_of(document), timezone.now()
    return Sight(readers_in_words(document), tuple(_reasons(document, now)), access.shown_at(now), headcount(access))


def _reasons(document: Document, now: datetime) -> list[str]:
    """Why those and no others, a clause each."""
    reasons = ["An attachment: read by whoever reads what it came with"] if document.is_attachment else []
    reasons += [f"Clearance {document.clearance}: {READERS[Clearance(document.clearance)][0]}"]
    if document.audience == Audience.INSTITUTION:
        reasons.append("Audience: the whole institution")
    else:
        shared = ", ".join(department.name for department in _deciding(document).shared_with.all())
        reasons.append(f"Audience: {document.department}" + (f", shared with {shared}" if shared else ""))
    if document.visible_from and document.visible_from > now:
        reasons.append(f"Hidden until {moment_in_words(document.visible_from)}")
    if document.visible_until:
        gone, moment = document.visible_until <= now, moment_in_words(document.visible_until)
        reasons.append(f"Hidden since {moment}" if gone else f"Hidden from {moment} on")
    if document.status == Status.ARCHIVED:
        reasons.append("Archived: hidden from all until it is restored")
    elif not document.is_searchable:
        state = "is still being read" if document.status in WORKING else "could not be read"
        reasons.append(f"Hidden from all: it {state}")
    return reasons


@dataclass(frozen=True)
class Difference:
    """One thing that changes, with what it was and what it becomes, in words."""

    what: str
    before: str
    after: str


@dataclass(frozen=True)
class AudienceChange:
    """What somebody is about to do to who sees some documents, for them to confirm."""

    documents: int
    effects: tuple[Effect, ...]
    """Empty where it makes no difference to anybody, and there is nothing to confirm."""
    token: str
    """Stands for exactly this change of exactly these documents as they are now. It comes back as the confirmation."""
    later: bool = False
    """Whether all this holds only once the document has been read."""
    differences: tuple[Difference, ...] = ()
    """What was filled in differently; empty where the documents come or go as a whole."""
    deed: str = "change"
    """What is to be done: change, archive, restore."""


def differences_between(before: Access, after: Access) -> tuple[Difference, ...]:
    """What differs between two accesses of one document, in words."""
    pairs = (
        ("Clearance", *(Clearance(one.clearance).label for one in (before, after))),
        ("Audience", *(" and ".join(_names(one.readers)) for one in (before, after))),
        ("Shown from", *(_or(one.visible_from, "now on") for one in (before, after))),
        ("Shown until", *(_or(one.visible_until, "for good") for one in (before, after))),
    )
    return tuple(Difference(what, old, new) for what, old, new in pairs if old != new)


def _or(moment: datetime | None, otherwise: str) -> str:
    return moment_in_words(moment) if moment else otherwise


def _names(readers: frozenset[int]) -> list[str]:
    """Whom `readers` stands for: the whole institution, or departments by their names of now."""
    if EVERYONE in readers:
        return ["the whole institution"]
    return sorted(Department.objects.filter(pk__in=readers).values_list("name", flat=True))


def reclassification(document: Document, before: Access, after: Access) -> AudienceChange:
    """What it does when this document's access changes from one to the other.

    One that is still being read counts as if it were shown; an archived one is seen by nobody either way.
    """
    effects: list[Effect] = []
    if document.status != Status.ARCHIVED:
        effects = effects_of(replace(before, is_searchable=True), replace(after, is_searchable=True))
    token = _token("reclassify", [(document.pk, before), (document.pk, after)])
    later = not document.is_searchable
    return AudienceChange(1, tuple(effects), token, later, differences_between(before, after) if effects else ())


def archiving(documents: Iterable[Document]) -> AudienceChange:
    """What it does when these documents are archived. Those that are shown only later count as shown."""
    seen = [(document.pk, access_of(document)) for document in documents if document.is_searchable]
    return _all_or_nothing("archive", seen)


def restoring(documents: Iterable[Document]) -> AudienceChange:
    """What it does when these archived documents come back. Those that have to be read first count as shown."""
    return _all_or_nothing("restore", [(document.pk, access_of(document)) for document in documents])


def _all_or_nothing(act: str, accesses: list[tuple[UUID, Access]]) -> AudienceChange:
    """What it does when documents of this access all come or all go; those whose time is over do not count."""
    now = timezone.now()
    concerned = [one for one in accesses if one[1].visible_until is None or one[1].visible_until > now]
    there = [access for _, access in concerned]
    effect = effect_between([], there) if act == "restore" else effect_between(there, [])
    effects = (effect,) if effect.matters else ()
    return AudienceChange(len(concerned), effects, _token(act, concerned), deed=act)


def _token(act: str, accesses: list[tuple[UUID, Access]]) -> str:
    """Changes with the act, with the documents and their order, and with the access of any of them."""
    parts = [
        f"{pk} {one.clearance} {sorted(one.readers)} {one.is_searchable} {one.visible_from} {one.visible_until}"
        for pk, one in accesses
    ]
    return salted_hmac("ingestion.audience", "\n".join([act, *parts]), algorithm="sha256").hexdigest()


def note_changes(
    *changes: tuple[Document, Access],
    actor: User | AnonymousUser,
    request: HttpRequest | None,
    deleted: bool = False,
) -> None:
    """Note in the audit trail whose audience changed among these documents, which had this access before.

    Called in the transaction that changed them, with what was read when they were locked: their own rows say what
    holds now. What is attached to them, and changed along, is noted too. People are counted once for each kind of
    change, not for each document.
    """
    ids = [document.pk for document, _ in changes]
    now: dict[UUID, Access] = {}
    if not deleted:
        now = {document.pk: access_of(document) for document in stored(ids)}
    changed = [(document, before, now.get(document.pk)) for document, before in changes]
    changed = [(document, before, after) for document, before, after in changed if before != after]
    if not deleted:
        changed += _followed(changed, {document.pk: before for document, before in changes})
    names = dict(
        Department.objects.filter(
            pk__in={one for _, before, after in changed for one in before.readers | (after or before).readers}
        ).values_list("pk", "name")
    )
    if not changed:
        return
    counted = cache(partial(_effects_as_json, Crowd()))
    note_several(
        "audience_changed",
        [
            (
                str(document),
                {
                    "document": str(document.pk),
                    "before": _as_json(before, names),
                    "after": _as_json(after, names) if after else "deleted",
                    "effects": counted(before, after),
                },
            )
            for document, before, after in changed
        ],
        actor=actor,
        request=request,
    )


Changed = tuple[Document, Access, Access | None]
"""A document, its access before, and after; None where nothing is left."""


def _followed(changed: list[Changed], before: dict[UUID, Access]) -> list[Changed]:
    """What is attached to these documents and changed along; apart from its state its access was that of its mail."""
    before = {**before}
    followed: list[Changed] = []
    # A mail stands before what is attached to it.
    for one in with_attachments(*(document for document, _, _ in changed)):
        if one.pk not in before and one.parent_id is not None:
            before[one.pk] = replace(before[one.parent_id], is_searchable=one.is_searchable)
            followed.append((one, before[one.pk], access_of(one)))
    return [(one, was, now) for one, was, now in followed if was != now]


def _effects_as_json(crowd: Crowd, before: Access, after: Access | None) -> list[dict[str, Any]]:
    """What a change does to whom, as the trail keeps it; None where nothing is left."""
    hidden = Access(before.clearance, before.readers, is_searchable=False)
    return [
        {
            "from": effect.moment.isoformat() if effect.moment else "at once",
            "people_before": effect.before,
            "people_after": effect.after,
            "gained": effect.gained,
            "lost": effect.lost,
            "everybody_before": effect.anonymous_before,
            "everybody_after": effect.anonymous_after,
        }
        for effect in effects_among(crowd, before, after or hidden)
    ]


def _as_json(access: Access, names: dict[int, str]) -> dict[str, Any]:
    """An access as the trail keeps it; departments by their `names` of then."""
    everyone = EVERYONE in access.readers
    return {
        "clearance": access.clearance,
        "readers": ["whole institution"] if everyone else sorted(names[one] for one in access.readers if one in names),
        "searchable": access.is_searchable,
        "visible_from": access.visible_from.isoformat() if access.visible_from else None,
        "visible_until": access.visible_until.isoformat() if access.visible_until else None,
    }
