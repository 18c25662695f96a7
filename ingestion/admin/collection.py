"""The whole collection that a person manages, at a glance: by department and by type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Case, Count, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import URLPattern, path, reverse

from accounts.models import Department
from ingestion.admin.pages import DocumentPages
from ingestion.admin.states import FLAGGED
from ingestion.attention import review_due
from ingestion.forms import LANGUAGES
from ingestion.models import WORKING, Document, DocumentType

NAMED = 4
"""Types and languages that a row names, the most frequent ones; the rest is a number."""

COLUMNS = (
    ("ready", "Ready", {"state": "ready"}),
    ("flagged", "Flagged", {"state": "flagged"}),
    ("working", "In progress", {"state": "working"}),
    ("failed", "Failed", {"state": "failed"}),
    ("archived", "Archived", {"state": "archived"}),
    ("due", "Review due", {"review": "due"}),
)
"""What is counted, its head, and the filter of the list that shows just these."""


class CollectionPages(DocumentPages):
    """The page of the collection."""

    def get_urls(self) -> list[URLPattern]:
        """Before the addresses that take anything for a document's id."""
        view = self.admin_site.admin_view(self.collection_view)
        return [path("collection/", view, name="ingestion_document_collection"), *super().get_urls()]

    def collection_view(self, request: HttpRequest) -> HttpResponse:
        """How many documents there are of each department and of each type, in which state and language."""
        counted = _counted(self.get_queryset(request).order_by())
        departments, types = Department.objects.in_bulk(), DocumentType.objects.in_bulk()
        context = {
            "title": "Collection",
            "columns": [head for _name, head, _filter in COLUMNS],
            "departments": _rows(counted, "department", departments, "type", types),
            "types": _rows(counted, "type", types, "department", departments),
            "sum": _cells(counted, {}),
            "total": sum(cell.number for cell in counted),
            "list": reverse("admin:ingestion_document_changelist"),
        }
        return self._page(request, "admin/ingestion/document/collection.html", context)


@dataclass(frozen=True)
class Counted:
    """Documents that are alike in all that is counted here."""

    department: int
    type: int
    language: str
    state: str
    flagged: bool
    due: bool
    number: int

    def belongs(self, column: str) -> bool:
        """Whether these are among what the column counts."""
        match column:
            case "flagged":
                return self.flagged
            case "due":
                return self.due
            case "working":
                return self.state in WORKING
        return self.state == column


@dataclass(frozen=True)
class Cell:
    """A number, and the address of the list of just these documents."""

    number: int
    address: str
    name: str = ""


@dataclass
class Row:
    """One department, or one type."""

    name: str
    whole: Cell
    cells: list[Cell]
    others: list[Cell] = field(default_factory=list)
    """A department's types, or a type's departments: the most frequent ones."""
    more_others: int = 0
    languages: list[Cell] = field(default_factory=list)
    more_languages: int = 0


def _counted(documents: QuerySet[Document]) -> list[Counted]:
    """All of it, by one statement."""

    def holds(condition: Q) -> Case:
        return Case(When(condition, then=Value(True)), default=Value(False))

    rows = documents.annotate(flagged=holds(FLAGGED), due=holds(review_due())).values_list(
        "department", "doc_type", "language", "status", "flagged", "due"
    )
    return [Counted(*row) for row in rows.annotate(Count("pk"))]


def _rows(counted: list[Counted], of: str, names: dict[int, Any], other: str, other_names: dict[int, Any]) -> list[Row]:
    """A row for each department or type of which there are documents, by name."""
    found: dict[int, list[Counted]] = {}
    for one in counted:
        found.setdefault(getattr(one, of), []).append(one)
    rows = []
    for key, own in found.items():
        here = {of: str(key)}
        others = Counter[int]()
        languages = Counter[str]()
        for one in own:
            others[getattr(one, other)] += one.number
            languages[one.language] += one.number
        rows.append(
            Row(
                str(names[key]),
                Cell(sum(one.number for one in own), _address(here)),
                _cells(own, here),
                [Cell(n, _address({**here, other: str(k)}), str(other_names[k])) for k, n in others.most_common(NAMED)],
                max(len(others) - NAMED, 0),
                [
                    Cell(n, _address({**here, "language": code or "none"}), LANGUAGES.get(code, code) or "not known")
                    for code, n in languages.most_common(NAMED)
                ],
                max(len(languages) - NAMED, 0),
            )
        )
    return sorted(rows, key=lambda row: row.name.casefold())


def _cells(counted: Iterable[Counted], here: dict[str, str]) -> list[Cell]:
    """A number for each column."""
    own = list(counted)
    return [
        Cell(sum(one.number for one in own if one.belongs(column)), _address({**here, **wanted}), head)
        for column, head, wanted in COLUMNS
    ]


def _address(wanted: dict[str, str]) -> str:
    said = QueryDict(mutable=True)
    said.update(wanted)
    return f"{reverse('admin:ingestion_document_changelist')}?{said.urlencode()}"
