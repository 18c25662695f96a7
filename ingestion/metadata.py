"""What people say about documents, as plain values: compared, kept with changes, put into words."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.formats import date_format

from accounts.clearance import Audience, Clearance, Viewer
from accounts.models import Campus, Department
from ingestion.models import Document, DocumentType
from ingestion.tags import tags_named

Values = dict[str, Any]
"""Field -> JSON: rows by their numbers, tags by their names, dates as ISO 8601 writes them."""

LABELS = {
    "title": "Title",
    "doc_type": "Type",
    "language": "Language",
    "campus": "Campus",
    "priority": "Priority",
    "tags": "Tags",
    "last_reviewed": "Last reviewed",
    "review_by": "Next review",
    "department": "Department",
    "clearance": "Clearance",
    "audience": "Audience",
    "shared_with": "Shared with",
    "visible_from": "Visible from",
    "visible_until": "Visible until",
}
"""The fields that people fill in, as the forms call them."""

WHO_READS = frozenset(("clearance", "audience", "shared_with", "department", "visible_from", "visible_until"))
"""What decides who reads a document, and when."""

SEVERAL = frozenset(("shared_with", "tags"))
"""Fields of several values, which have tables of their own."""


def as_json(value: date | datetime | None) -> str | None:
    """A date or a moment as `Values` has it: moments in UTC, so that equal ones are written alike."""
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
    return value.isoformat() if value else None


def values_of(documents: Iterable[Document]) -> dict[UUID, Values]:
    """What is said about these documents, as they were loaded; tags and departments as they are now. Two queries."""
    documents = list(documents)
    ids = [document.pk for document in documents]
    shared, tags = defaultdict[UUID, list[int]](list), defaultdict[UUID, list[str]](list)
    rows = Document.shared_with.through.objects
    for pk, department in rows.filter(document__in=ids).values_list("document_id", "department_id"):
        shared[pk].append(department)
    for pk, name in Document.tags.through.objects.filter(document__in=ids).values_list("document_id", "tag__name"):
        tags[pk].append(name)
    return {one.pk: _values(one, sorted(shared[one.pk]), sorted(tags[one.pk])) for one in documents}


def _values(document: Document, shared_with: list[int], tags: list[str]) -> Values:
    return {
        "title": document.title,
        "doc_type": document.doc_type_id,
        "language": document.language,
        "campus": document.campus_id,
        "priority": document.priority,
        "tags": tags,
        "last_reviewed": as_json(document.last_reviewed),
        "review_by": as_json(document.review_by),
        "department": document.department_id,
        "clearance": document.clearance,
        "audience": document.audience,
        "shared_with": shared_with,
        "visible_from": as_json(document.visible_from),
        "visible_until": as_json(document.visible_until),
    }


def stored(ids: Iterable[UUID]) -> list[Document]:
    """These documents as they are stored now, in the order of their ids. The caller has them already."""
    return list(Document.objects.filter(pk__in=list(ids)).order_by("pk"))


def with_attachments(*documents: Document) -> list[Document]:
    """These documents, then what is attached to them, and to that: what is archived and deleted together."""
    found, level = list(documents), [document.pk for document in documents]
    while level:
        attached = list(Document.objects.filter(parent__in=level, is_attachment=True).order_by("pk"))
        attached = [one for one in attached if one not in found]
        found, level = [*found, *attached], [one.pk for one in attached]
    return found


Written = tuple[UUID, Values, Values]
"""A document, and some of its values before and after."""


def write_values(changes: list[Written], viewer: Viewer) -> None:
    """Write these changes, which the viewer may make, of documents that are locked.

    A statement for each kind of change, not for each document. Tags that are not there yet are made.
    """
    alike: dict[str, list[UUID]] = defaultdict(list)
    for pk, _, after in changes:
        columns = {name: value for name, value in after.items() if name not in SEVERAL}
        alike[json.dumps(columns, sort_keys=True)].append(pk)
    for written, ids in alike.items():
        Document.objects.filter(pk__in=ids).update(**json.loads(written), updated_at=timezone.now())
    gone, new = _rows(changes, "shared_with")
    sharing = Document.shared_with.through._default_manager
    for department, ids in gone.items():
        sharing.filter(document__in=ids, department=department).delete()
    sharing.bulk_create(
        [sharing.model(document_id=pk, department_id=one) for one, ids in new.items() for pk in ids],
        ignore_conflicts=True,
    )
    gone, new = _rows(changes, "tags")
    tagging = Document.tags.through._default_manager
    for name, ids in gone.items():
        tagging.filter(document__in=ids, tag__name=name).delete()
    tags = {tag.name: tag for tag in tags_named(new, viewer)}
    # A tag that the viewer knows in another case is that one.
    known = {name.lower(): tag for name, tag in tags.items()}
    tagging.bulk_create(
        [
            tagging.model(document_id=pk, tag=tags.get(name) or known[name.lower()])
            for name, ids in new.items()
            for pk in ids
        ],
        ignore_conflicts=True,
    )


def _rows(changes: list[Written], field: str) -> tuple[dict[Any, list[UUID]], dict[Any, list[UUID]]]:
    """From which documents each value of this field is taken, and to which it is given."""
    gone, new = defaultdict[Any, list[UUID]](list), defaultdict[Any, list[UUID]](list)
    for pk, *both in changes:
        before, after = (set(values.get(field, ())) for values in both)
        for lists, values in ((gone, before - after), (new, after - before)):
            for value in values:
                lists[value].append(pk)
    return gone, new


@dataclass(frozen=True)
class Names:
    """The rows that values refer to, by their numbers, for putting them into words."""

    departments: dict[int, str] = field(default_factory=lambda: dict(Department.objects.values_list("pk", "name")))
    campuses: dict[int, str] = field(default_factory=lambda: dict(Campus.objects.values_list("pk", "name")))
    types: dict[int, str] = field(default_factory=lambda: dict(DocumentType.objects.values_list("pk", "name")))

    def missing(self, values: Values) -> str | None:
        """The field whose row is not there any more, if there is one."""
        known = {"department": self.departments, "campus": self.campuses, "doc_type": self.types}
        for name, rows in known.items():
            if values[name] is not None and values[name] not in rows:
                return name
        return "shared_with" if set(values["shared_with"]) - set(self.departments) else None

    def named(self, name: str, value: Any) -> Any:
        """A value with names in the place of numbers, as the trail keeps it."""
        match name:
            case "department":
                return self.departments.get(value, "")
            case "shared_with":
                return sorted(self.departments[one] for one in value if one in self.departments)
            case "campus":
                return self.campuses.get(value)
            case "doc_type":
                return self.types.get(value, "")
            case _:
                return value

    def in_words(self, name: str, value: Any) -> str:
        """A value as people read it."""
        if name == "campus" and value is None:
            return "all campuses"
        return in_words(name, self.named(name, value))


def in_words(name: str, value: Any) -> str:
    """A value with names in it, as `Names.named` and the trail have it, as people read it."""
    match name, value:
        case (_, None | "" | []):
            return "–"
        case ("clearance", int()) if value in Clearance.values:
            return str(Clearance(value).label)
        case ("audience", str()) if value in Audience.values:
            return str(Audience(value).label)
        case ("visible_from" | "visible_until", str()):
            return moment_in_words(datetime.fromisoformat(value))
        case ("last_reviewed" | "review_by" | "written_on", str()):
            return date_format(date.fromisoformat(value), "j F Y")
        case (_, list()):
            return ", ".join(map(str, value))
        case (_, bool()):
            return "yes" if value else "no"
        case _:
            return str(value)


def moment_in_words(moment: datetime) -> str:
    """By the university's clock."""
    return date_format(timezone.localtime(moment), "j F Y, H:i")
