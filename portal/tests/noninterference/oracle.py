"""Who may see what, said a second time and apart from the portal: in plain Python, from the facts as they are written.

Nothing here asks `visible_to`, `manageable_by`, `viewer_for` or the derived column `readers`: a portal whose rule is
loosened must not find an oracle that is loosened with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.models import Phase, User
from ingestion import statistics
from ingestion.models import Document, Tag
from search.vocabulary import refresh as read_vocabulary

CLEARANCE_OF_ROLE = {"student": 2, "staff": 3, "academic": 4, "admin": 4}


@dataclass(frozen=True)
class Rights:
    """What the institution grants a person (DESIGN, section 2)."""

    clearance: int
    departments: frozenset[int] = frozenset()
    curated: frozenset[int] = frozenset()
    everything: bool = False
    curates: bool = False
    person: int | None = None


NOBODY = Rights(0)


def rights_of(person: int | None) -> Rights:
    """The rights of this person now; None is anybody who is not signed in."""
    user = User.objects.filter(pk=person, is_active=True).first() if person else None
    if user is None:
        return Rights(1) if settings.PUBLIC_SEARCH and not Phase.objects.exists() else NOBODY
    groups = set(user.groups.values_list("name", flat=True))
    departments = frozenset(user.departments.values_list("pk", flat=True))
    librarian, curator = "Librarians" in groups, "Curators" in groups
    curated = departments if librarian else frozenset()
    if curator and not librarian:
        curated = departments & frozenset(user.curated_departments.values_list("pk", flat=True))
    prepares = user.role == "admin" or librarian or curator
    if Phase.objects.exists() and not prepares and not Phase.objects.filter(people=user).exists():
        return Rights(0, person=user.pk)
    return Rights(
        clearance=CLEARANCE_OF_ROLE[user.role],
        departments=departments,
        curated=curated,
        everything=user.role == "admin",
        curates=user.role == "admin" or librarian or bool(curated),
        person=user.pk,
    )


def may_see(rights: Rights, document: Document) -> bool:
    """Whether a document is shown to them: the four conditions."""
    now = timezone.now()
    if not document.is_searchable or document.status == "archived":
        return False
    document = _mail_of(document)
    if document.visible_from and document.visible_from > now:
        return False
    if document.visible_until and document.visible_until <= now:
        return False
    return _meets_access(rights, document)


def may_manage(rights: Rights, document: Document) -> bool:
    """Whether they may edit a document, in any state."""
    if rights.everything:
        return True
    if not rights.curates:
        return False
    return document.owner_id == rights.person or (
        _mail_of(document).department_id in rights.curated and _meets_access(rights, _mail_of(document))
    )


def _mail_of(document: Document) -> Document:
    """The document whose access holds for this one: itself, or that of which it is an attachment."""
    while document.is_attachment and document.parent is not None:
        document = document.parent
    return document


def _meets_access(rights: Rights, document: Document) -> bool:
    if document.clearance > rights.clearance:
        return False
    if rights.everything:
        return True
    if document.clearance >= 3 and not rights.departments:
        return False
    if document.audience == "institution":
        return True
    shared = {department.pk for department in document.shared_with.all()}
    return bool(rights.departments & {document.department_id, *shared})


@dataclass(frozen=True)
class Sight:
    """The documents that a person sees, those that they manage, and those that must not exist for them."""

    seen: frozenset[UUID]
    managed: frozenset[UUID]
    hidden: frozenset[UUID]


def sight_of(person: int | None) -> Sight:
    """What this person has before them now."""
    rights = rights_of(person)
    documents = list(Document.objects.prefetch_related("shared_with"))
    seen = frozenset(one.pk for one in documents if may_see(rights, one))
    managed = frozenset(one.pk for one in documents if may_manage(rights, one))
    return Sight(seen, managed, frozenset(one.pk for one in documents) - seen - managed)


def delete(hidden: frozenset[UUID]) -> None:
    """Delete these documents for good, the tags that no other document bears, and count the statistics anew."""
    borne_elsewhere = Tag.objects.filter(documents__in=Document.objects.exclude(pk__in=hidden)).values("pk")
    orphans = Tag.objects.filter(Q(documents__in=hidden) & ~Q(pk__in=borne_elsewhere)).values_list("pk", flat=True)
    gone = list(orphans)
    # What is left of them, where a mail is hidden and its attachment is not (the mail failed), is what it was.
    Document.objects.filter(Q(parent__in=hidden) | Q(pk__in=hidden)).update(is_attachment=False, parent=None)
    Document.objects.filter(pk__in=hidden).delete()
    Tag.objects.filter(pk__in=gone).delete()
    statistics.refresh()
    read_vocabulary()
