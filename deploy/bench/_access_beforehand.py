"""The access rule answered beforehand: a column for each viewer that says, row by row, whether they see it.

What a search costs with the rule, less what it costs with such a column in its place, is what working the rule out
costs: corpus, plan, candidates and answer stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg

TABLES = ("ingestion_document", "ingestion_chunk")

MEASURED_AT = 1_790_000_000
"""A moment (seconds since 1970) inside every publication window of the corpus: a stored column cannot ask for now."""


def add_columns(connection: psycopg.Connection, viewers: Mapping[str, Any]) -> None:
    """Give documents and chunks, while both are empty, a stored column of each name that holds what the viewer sees."""
    for name, viewer in viewers.items():
        seen = [
            "is_searchable",
            f"clearance <= {viewer.effective_clearance}",
            f"(visible_from IS NULL OR visible_from <= to_timestamp({MEASURED_AT}))",
            f"(visible_until IS NULL OR visible_until > to_timestamp({MEASURED_AT}))",
        ]
        if not viewer.every_department:
            seen.append(f"readers && ARRAY[{', '.join(map(str, [0, *sorted(viewer.departments)]))}]")
        for table in TABLES:
            connection.execute(
                f"ALTER TABLE {table} ADD COLUMN {name} boolean GENERATED ALWAYS AS ({' AND '.join(seen)}) STORED"
            )


def name_columns(viewers: Mapping[str, Any]) -> None:
    """Tell the models of these columns. Raises LookupError when one holds anything but what the rule lets through."""
    from django.db.models import BooleanField, Q

    from ingestion.models import Chunk, Document

    for model in (Document, Chunk):
        for name, viewer in viewers.items():
            BooleanField(default=False).contribute_to_class(model, name)
            ruled = Q(pk__in=model.objects.visible_to(viewer).values("pk"))
            if model.objects.filter(ruled ^ Q(**{name: True})).exists():
                raise LookupError(f"{name} is not what {viewer} sees of {model.__name__}: drop the scratch database.")


@contextmanager
def answered_by(column: str) -> Iterator[None]:
    """Inside, `visible_to` reads this column instead of working the rule out; with '' it lets everything through."""
    from accounts.clearance import RestrictedQuerySet

    rule = RestrictedQuerySet.visible_to
    RestrictedQuerySet.visible_to = _beforehand(column)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        RestrictedQuerySet.visible_to = rule  # type: ignore[method-assign]


@cache
def _beforehand(column: str) -> Callable[[Any, Any], Any]:
    """The same function each time: the SQL that is made by it is kept, as that of the rule is (search.reach)."""

    def beforehand(self: Any, _viewer: Any) -> Any:
        return self.filter(**{column: True}) if column else self.all()

    return beforehand
