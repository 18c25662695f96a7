"""How many documents match, and how many of these have which value: all that the viewer may see, not the candidates.

What the words match is counted in the database, exactly, as far as search.matched goes. What only the meaning proposes
has no end: of it the candidates of this search are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from accounts.clearance import Viewer
from ingestion.models import Document
from search import reach
from search.matched import matched
from search.page import FacetValue, HitDocument
from search.query import FILTERS, SearchQuery
from search.reach import Statement, narrowed
from search.retrieval import Found

COLUMNS = {
    "department": ("department_id", "SELECT id FROM accounts_department WHERE name = ANY (%s)"),
    "campus": ("campus_id", "SELECT id FROM accounts_campus WHERE name = ANY (%s)"),
    "doc_type": ("doc_type_id", "SELECT id FROM ingestion_documenttype WHERE slug = ANY (%s)"),
    "language": ("language", "SELECT unnest(%s::text[])"),
}
"""Facet -> the document's column, and which of its values are those with the names of a filter."""

Facets = dict[str, tuple[FacetValue, ...]]


@dataclass(frozen=True)
class Counts:
    """How many documents match, and their facets; `bounded` where there may be more of either."""

    count: int
    facets: Facets
    bounded: bool = False


def counted(query: SearchQuery, *, viewer: Viewer, found: Found) -> Counts:
    """What matches the query: documents that the words match, and those that candidates are of.

    A facet that is filtered by counts its values as they would be without that one filter: what another value would
    add. Candidates of the meaning, which were looked for under the filters, add nothing there.
    """
    filtered = [name for name in COLUMNS if getattr(query, FILTERS[name])]
    if query.text and (found.proposal is None or (found.words_exhausted and not filtered)):
        # The candidates are all there is.
        return Counts(len(found.shown), tallied(found.shown.values()))
    columns = [column for column, _ in COLUMNS.values()]
    documents, documents_params = _documents(query, viewer)
    most = 0
    if query.text:
        (passages, passages_params), most = matched(query, viewer=viewer, found=found)
        params: list[Any] = [*passages_params, f"{{{','.join(pk.hex for pk in found.shown)}}}"]
        source = f"matching JOIN ({documents}) AS documents ON documents.id = matching.document_id"
    else:
        passages, params, source = (
            "SELECT NULL::bigint AS id, NULL::uuid AS document_id",
            [[]],
            f"({documents}) AS documents",
        )
    params += [list(getattr(query, FILTERS[name])) for name in filtered]
    flags = [f"{COLUMNS[name][0]} IN ({COLUMNS[name][1]}) AS {name}_on" for name in filtered]
    counts = [f"count(*) FILTER (WHERE {_on(filtered, but=name)}) AS {name}_others" for name in filtered]
    others = [f"WHEN {_grouping(name)} THEN {name}_others" for name in filtered]
    counted_as = f"CASE facet {' '.join(others)} ELSE documents END" if others else "documents"
    names = ", ".join(columns)
    sql = f"""
        WITH found AS MATERIALIZED ({passages}),
        matching AS (SELECT document_id FROM found UNION SELECT unnest(%s::uuid[])),
        seen AS MATERIALIZED (SELECT {", ".join([*columns, *flags])} FROM {source}),
        sums AS (
            SELECT {", ".join([f"GROUPING({names}) AS facet", *columns, *counts])},
                   count(*) FILTER (WHERE {_on(filtered)}) AS documents
            FROM seen
            GROUP BY GROUPING SETS ((), {", ".join(f"({column})" for column in columns)}))
        SELECT facet, COALESCE(department.name, campus.name, doc_type.slug, sums.language),
               COALESCE(department.name, campus.name, doc_type.name, sums.language),
               {counted_as},
               (SELECT count(*) FROM found)
        FROM sums
        LEFT JOIN accounts_department AS department ON department.id = sums.department_id
        LEFT JOIN accounts_campus AS campus ON campus.id = sums.campus_id
        LEFT JOIN ingestion_documenttype AS doc_type ON doc_type.id = sums.doc_type_id
    """  # noqa: S608  # nosec B608  # every value is bound
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, *documents_params])
        rows = cursor.fetchall()
    by_facet: dict[int, dict[tuple[str, str], int]] = {}
    for facet, value, label, documents_count, _ in rows:
        by_facet.setdefault(facet, {})[value, label] = documents_count
    facets = {name: _ordered(by_facet.get(_grouping(name), {})) for name in COLUMNS}
    [count] = by_facet[_TOTAL].values()
    return Counts(count, facets, bounded=bool(query.text) and rows[0][-1] >= most)


def _documents(query: SearchQuery, viewer: Viewer) -> Statement:
    """What facets tell of the documents that the viewer sees under the filters that are no facets."""
    unfiltered = query
    for name in COLUMNS:
        unfiltered = unfiltered.without(name)

    def visible() -> QuerySet[Document]:
        return narrowed(Document.objects.visible_to(viewer).order_by(), unfiltered)

    columns = [column for column, _ in COLUMNS.values()]
    return reach.kept("facets", viewer, unfiltered, lambda: visible().values("id", *columns))


def tallied(documents: Iterable[HitDocument]) -> Facets:
    """How many of these documents have which value, most frequent first. Values nobody has are left out."""
    documents = list(documents)
    return {
        "department": _ordered(Counter((document.department, document.department) for document in documents)),
        "campus": _ordered(Counter((document.campus, document.campus) for document in documents)),
        "doc_type": _ordered(Counter((document.doc_type, document.doc_type_name) for document in documents)),
        "language": _ordered(Counter((document.language, document.language) for document in documents)),
    }


def _ordered(counts: Mapping[tuple[str, str], int]) -> tuple[FacetValue, ...]:
    known = [(value, label, count) for (value, label), count in counts.items() if value and count]
    return tuple(FacetValue(*one) for one in sorted(known, key=lambda one: (-one[2], one[:2])))


_TOTAL = (1 << len(COLUMNS)) - 1
"""What GROUPING says of the sum over all."""


def _grouping(name: str) -> int:
    """What GROUPING says of the sums by this facet's column: a bit for each column that is not grouped by."""
    return _TOTAL - (1 << len(COLUMNS) - 1 - list(COLUMNS).index(name))


def _on(filtered: Iterable[str], *, but: str = "") -> str:
    """The condition that a document passes these facets' filters, but for one."""
    return " AND ".join(f"{name}_on" for name in filtered if name != but) or "true"
