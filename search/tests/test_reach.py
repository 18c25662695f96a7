"""SQL that is kept: for the same rule, viewer and filters, and for nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from typing import Any

import pytest
from django.db import connection

from accounts import clearance
from accounts.clearance import OPERATOR, PUBLIC_VIEWER, RestrictedQuerySet, Role, Viewer, rule_for
from accounts.models import Department
from ingestion.models import Chunk
from search import reach
from search.query import SearchQuery
from search.tests.corpus import serve

pytestmark = pytest.mark.django_db

STAFF = Viewer(Role.STAFF, 3, frozenset({1, 2}))


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_kept", {})


def test_it_is_made_once(django_assert_num_queries) -> None:
    assert reach.chunks(STAFF) is reach.chunks(replace(STAFF, user_id=7, campus_id=3))
    query = SearchQuery("one", languages=("de",))
    assert reach.chunks(STAFF, query) is reach.chunks(STAFF, SearchQuery("two", languages=("de",), page=2))


def test_it_is_the_rule(library: Department) -> None:
    serve("Open", "For all.", department=library)
    serve("Shut", "For some.", department=library, clearance=4)
    for viewer, seen in ((PUBLIC_VIEWER, 1), (OPERATOR, 2)):
        sql, params = reach.chunks(viewer)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM ({sql}) AS seen ORDER BY id", params)  # noqa: S608
            found = [pk for (pk,) in cursor.fetchall()]
        assert found == list(Chunk.objects.visible_to(viewer).order_by("pk").values_list("pk", flat=True))
        assert len(found) == seen


@pytest.mark.parametrize(
    "other",
    [
        replace(STAFF, clearance=2),
        replace(STAFF, departments=frozenset({1})),
        replace(STAFF, departments=frozenset()),
        replace(STAFF, every_department=True),
        replace(STAFF, within=frozenset({1})),
        replace(STAFF, within=frozenset()),
    ],
)
def test_whoever_may_see_something_else_gets_their_own(other: Viewer) -> None:
    assert reach.chunks(STAFF)[1] != reach.chunks(other)[1] or reach.chunks(STAFF)[0] != reach.chunks(other)[0]
    assert (
        reach.chunks(other)
        == Chunk.objects.visible_to(other).order_by().values(*reach.CHUNK_COLUMNS).query.sql_with_params()
    )


def test_the_key_holds_all_that_the_rule_reads_of_a_viewer() -> None:
    class Watched:
        """A viewer who notes what is read of them."""

        def __init__(self, viewer: Viewer) -> None:
            self.viewer, self.read = viewer, set[str]()

        def __getattr__(self, name: str) -> Any:
            self.read.add(name)
            return getattr(self.viewer, name)

    for viewer in (STAFF, PUBLIC_VIEWER, OPERATOR, replace(STAFF, within=frozenset({1}))):
        asked, keyed = Watched(viewer), Watched(viewer)
        Chunk.objects.visible_to(asked)
        rule_for(keyed)
        # Follows from what is in the key.
        assert asked.read - {"effective_clearance"} <= keyed.read


VALUES = {
    "departments": ("Library",), "campuses": ("North",), "doc_types": ("guide",), "languages": ("de",),
    "tags": ("one",), "min_priority": 3, "reviewed_after": date(2025, 1, 1), "reviewed_before": date(2026, 1, 1),
}  # fmt: skip


def test_every_field_of_a_query_is_in_the_key_unless_it_is_known_to_narrow_nothing() -> None:
    for one in fields(SearchQuery):
        if one.name not in reach.NOT_FILTERS:
            assert reach.filters_of(SearchQuery("x", **{one.name: VALUES[one.name]})), one.name


@pytest.mark.parametrize("name", VALUES)
def test_another_filter_gets_its_own(name: str) -> None:
    query = SearchQuery("x", **{name: VALUES[name]})
    assert reach.documents(STAFF, query) != reach.documents(STAFF)
    assert reach.documents(STAFF, query) != reach.documents(PUBLIC_VIEWER, query)


def test_when_the_rule_is_exchanged_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reach.chunks(PUBLIC_VIEWER)
    monkeypatch.setattr(clearance, "_access_met", lambda viewer: clearance.Q(clearance__lte=4))
    between = reach.chunks(PUBLIC_VIEWER)
    assert between != before
    monkeypatch.setattr(RestrictedQuerySet, "visible_to", lambda self, viewer: self.all())
    assert reach.chunks(PUBLIC_VIEWER) not in (before, between)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "KEPT", 5)
    for number in range(20):
        reach.chunks(replace(STAFF, departments=frozenset({number})))
        assert len(reach._kept) <= 5
