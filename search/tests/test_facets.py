"""Counts: of all that matches and may be seen, told to the document, and true for whoever narrows by them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.clearance import OPERATOR, PUBLIC_VIEWER, Viewer
from accounts.models import Campus, Department
from ingestion.models import Chunk, Document, DocumentType
from search import matched, words
from search.page import SearchPage
from search.query import FILTERS, Mode, SearchQuery, Sort
from search.service import search
from search.tests.corpus import serve

pytestmark = pytest.mark.django_db

WORDS = ("kelp", "lamp", "mint", "quartz", "tundra")
FACETS = {"department": "department__name", "campus": "campus__name", "doc_type": "doc_type__slug",
          "language": "language"}  # fmt: skip


@pytest.fixture
def stock(db: None) -> list[Viewer]:
    """Sixty documents of every kind, with one to three passages of a few words; those who look at them."""
    chosen = random.Random(5)  # noqa: S311  (the same corpus each time)
    departments = [Department.objects.create(name=name) for name in ("Archive", "Bursary", "Chapel")]
    campuses = [*(Campus.objects.create(name=name) for name in ("East", "West")), None]
    types = list(DocumentType.objects.all()[:3])
    for number in range(60):
        texts = [" ".join(chosen.choices(WORDS, k=2)) for _ in range(chosen.randint(1, 3))]
        serve(
            f"Number {number}", *texts, embedded=False,
            department=chosen.choice(departments), campus=chosen.choice(campuses), doc_type=chosen.choice(types),
            language=chosen.choice(["en", "de", ""]), clearance=chosen.randint(1, 4),
            audience=chosen.choice(["institution", "department"]), priority=chosen.randint(1, 5),
        )  # fmt: skip
    member = frozenset({departments[0].pk})
    return [PUBLIC_VIEWER, Viewer("student", 2, departments=member), Viewer("staff", 3, departments=member), OPERATOR]


def asked(text: str, **more: object) -> SearchQuery:
    return SearchQuery(text, mode=Mode.KEYWORD, **more)  # type: ignore[arg-type]


def queries(rounds: int) -> Iterator[SearchQuery]:
    """Words and filters at random, each value of a facet at most once."""
    chosen = random.Random(7)  # noqa: S311
    for _ in range(rounds):
        query = asked(" ".join(chosen.sample(WORDS, chosen.randint(1, 3))) if chosen.random() < 0.8 else "")
        values = {"department": ["Archive", "Bursary", "Chapel"], "campus": ["East", "West"], "language": ["en", "de"]}
        for name, known in values.items():
            if chosen.random() < 0.4:
                query = replace(query, **{FILTERS[name]: tuple(chosen.sample(known, chosen.randint(1, len(known))))})
        if chosen.random() < 0.3 or not (query.text or query.filters):
            query = replace(query, min_priority=chosen.randint(2, 4))
        yield query


def found_one_by_one(query: SearchQuery, viewer: Viewer) -> dict[str, Counter[str]]:
    """What should be counted: every document is looked at, and every word of it, in Python."""
    documents = {
        pk: values
        for pk, *values in Document.objects.visible_to(viewer).values_list("pk", "priority", *FACETS.values())
    }
    texts: dict[object, set[str]] = {pk: set() for pk in documents}
    for pk, text in Chunk.objects.values_list("document_id", "text"):
        texts.get(pk, set()).update(text.split())
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("", *FACETS)}
    for pk, (priority, *values) in documents.items():
        wanted = set(query.text.split())
        if (wanted and not wanted & texts[pk]) or priority < (query.min_priority or 0):
            continue
        own = dict(zip(FACETS, values, strict=True))
        missed = [name for name in FACETS if (among := getattr(query, FILTERS[name])) and own[name] not in among]
        counts[""]["all"] += not missed
        for name, value in own.items():
            if value and not set(missed) - {name}:
                counts[name][value] += 1
    return counts


def told(page: SearchPage) -> dict[str, dict[str, int]]:
    return {name: {one.value: one.count for one in values} for name, values in page.facets.items()}


def test_counts_are_those_of_looking_at_every_document(stock: list[Viewer]) -> None:
    for query in queries(25):
        for viewer in stock:
            page = search(query, viewer=viewer, audited=False)
            right = found_one_by_one(query, viewer)
            assert page.count == right[""]["all"], (query, viewer)
            assert told(page) == {name: dict(right[name]) for name in FACETS}, (query, viewer)
            assert not page.bounded


def test_narrowing_gives_as_many_as_were_promised(stock: list[Viewer]) -> None:
    for query in queries(6):
        for viewer in stock[1:3]:
            before = search(query, viewer=viewer, audited=False)
            for name, values in before.facets.items():
                chosen = getattr(query, FILTERS[name])
                for one in values:
                    narrowed = search(replace(query, **{FILTERS[name]: (one.value,)}), viewer=viewer, audited=False)
                    assert narrowed.count == one.count, (query, viewer, name, one)
                    if chosen and one.value not in chosen:
                        both = search(query.having(name, one.value), viewer=viewer, audited=False)
                        assert both.count == before.count + one.count


@pytest.mark.parametrize("text", ["kelp -lamp", "+kelp mint", "+kelp +mint", "tundra -kelp -mint"])
def test_marks_hold_for_counts_and_for_every_page(
    stock: list[Viewer], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    for module in ("search.retrieval", "search.words"):
        monkeypatch.setattr(f"{module}.CANDIDATES_BY_WORDS", 3)
    viewer = stock[2]
    wanted, refused = set(), set()
    for document, passage in Chunk.objects.visible_to(viewer).values_list("document_id", "text"):
        held, marked = set(passage.split()), [word[1:] for word in text.split() if word[0] == "+"]
        if held.issuperset(marked or text.split()[:1]):
            wanted.add(str(document))
        refused |= {str(document) for word in text.split() if word[0] == "-" and word[1:] in held}
    query = asked(text, page_size=5)
    pages = [search(query.with_page(number), viewer=viewer, audited=False) for number in range(1, 9)]
    assert {hit.document.id for page in pages for hit in page.hits} == wanted - refused
    assert {page.count for page in pages} == {len(wanted - refused)}


@pytest.mark.parametrize("sort", Sort)
def test_pages_go_as_far_as_the_count_says(stock: list[Viewer], monkeypatch: pytest.MonkeyPatch, sort: Sort) -> None:
    monkeypatch.setattr("search.retrieval.CANDIDATES_BY_WORDS", 10)
    monkeypatch.setattr("search.words.CANDIDATES_BY_WORDS", 10)
    query = asked("kelp mint tundra", sort=sort, page_size=7)
    first = search(query, viewer=OPERATOR, audited=False)
    assert first.count > 40
    pages = [
        search(query.with_page(number), viewer=OPERATOR, audited=False) for number in range(1, first.page_count + 2)
    ]
    listed = [hit for page in pages for hit in page.hits]
    assert [len(page.hits) for page in pages[:-2]] == [7] * (first.page_count - 1)
    assert len({hit.document.id for hit in listed}) == len(listed) == first.count
    assert {page.count for page in pages} == {first.count}
    assert not pages[-1].hits
    assert all(hit.best.snippet.count("<mark>") for hit in listed)
    if sort is Sort.RELEVANCE:
        assert all(earlier.combined_score >= later.combined_score for earlier, later in pairwise(listed))


def test_filters_alone_list_everything_that_they_leave_by_date(library: Department) -> None:
    for number in range(130):
        serve(f"Minutes {number}", "Apologies.", department=library, embedded=False,
              last_reviewed=f"2025-01-{1 + number % 28:02}")  # fmt: skip
    query = SearchQuery("", departments=("Library",), page_size=50)
    pages = [search(query.with_page(number), viewer=PUBLIC_VIEWER) for number in (1, 2, 3)]
    dates = [hit.document.last_reviewed for page in pages for hit in page.hits]
    assert [len(page.hits) for page in pages] == [50, 50, 30]
    assert dates == sorted(dates, reverse=True)
    assert {page.count for page in pages} == {130}
    assert told(pages[0])["department"] == {"Library": 130}


def test_what_only_the_meaning_proposes_is_counted_with_what_the_words_match(library: Department) -> None:
    for number in range(3):
        serve(f"Loan {number}", "You may borrow books.", department=library)
    serve("Waiting", "Books that wait for their vector.", department=library, embedded=False)
    page = search(SearchQuery("borrow books from other readers"), viewer=PUBLIC_VIEWER)
    assert page.count == len(page.hits) == 4
    assert told(page)["department"] == {"Library": 4}


def test_words_that_stand_everywhere_are_counted_up_to_a_bound(
    stock: list[Viewer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matched, "COUNTED_CHUNKS", 20)
    monkeypatch.setattr("search.retrieval.CANDIDATES_BY_WORDS", 5)
    monkeypatch.setattr(words, "CANDIDATES_BY_WORDS", 5)
    page = search(asked("kelp lamp mint"), viewer=OPERATOR, audited=False)
    assert page.bounded
    assert 5 <= page.count <= 20
    assert not search(asked("zebra"), viewer=OPERATOR, audited=False).bounded


def test_facets_cost_a_statement_only_where_candidates_are_not_all(
    stock: list[Viewer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def statements(query: SearchQuery) -> int:
        with CaptureQueriesContext(connection) as asked_for:
            search(query, viewer=PUBLIC_VIEWER, audited=False)
        return sum("GROUPING SETS" in one["sql"] for one in asked_for.captured_queries)

    assert statements(asked("kelp")) == 0
    assert statements(asked("kelp", languages=("en",))) == 1
    monkeypatch.setattr("search.retrieval.CANDIDATES_BY_WORDS", 2)
    monkeypatch.setattr(words, "CANDIDATES_BY_WORDS", 2)
    assert statements(asked("kelp")) == 1
