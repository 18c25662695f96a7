"""One search, end to end: order, paging, facets, degradation, the number of statements."""

from __future__ import annotations

import time

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY
from pytest_django.fixtures import Settings

from accounts.clearance import OPERATOR, PUBLIC_VIEWER, Viewer, viewer_for
from accounts.models import Campus, Department, User
from ingestion.models import Document
from search import service
from search.page import SearchPage
from search.query import Mode, SearchQuery
from search.service import search, similar
from search.tests.corpus import count_statistics, serve

pytestmark = pytest.mark.django_db


def titles(page: SearchPage) -> list[str]:
    return [hit.document.title for hit in page.hits]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("How many books can I borrow?", "loans"),
        ("Wie rechne ich Reisekosten ab?", "reisen"),
        ("Combien de livres puis-je emprunter ?", "pret"),
        ("我可以借几本书？", "shuguan"),
        ("car park", "parking"),
        ("late book charge", "fines"),
        ("receipts for my trip", "travel"),
    ],
)
def test_the_right_document_comes_first(text: str, first: str, corpus: dict[str, Document]) -> None:
    page = search(SearchQuery(text), viewer=PUBLIC_VIEWER)
    assert titles(page)[0] == corpus[first].title
    assert page.degraded == ()


def test_an_answer_in_another_language_is_among_the_first(corpus: dict[str, Document]) -> None:
    page = search(SearchQuery("How do I claim travel expenses?"), viewer=PUBLIC_VIEWER)
    assert set(titles(page)[:2]) == {corpus["travel"].title, corpus["reisen"].title}


def test_one_hit_a_document_with_passages_best_first(library: Department) -> None:
    serve("Opening", *(f"The library opens at {hour} on day {hour}." for hour in range(8, 14)), department=library)
    serve("Other", "Something else altogether about parking.", department=library)
    page = search(SearchQuery("When does the library open?"), viewer=PUBLIC_VIEWER)
    assert titles(page) == ["Opening", "Other"]
    opening = page.hits[0]
    assert len(opening.passages) == 3
    assert opening.best is opening.passages[0]
    assert opening.best.url == f"/documents/{opening.document.id}/?page={opening.best.page_number}"
    similarities = [passage.similarity for passage in opening.passages]
    assert similarities == sorted(similarities, reverse=True)
    assert all("<mark>" in passage.snippet for passage in opening.passages)


@pytest.mark.parametrize("mode", Mode)
def test_pages_neither_overlap_nor_lose_anything(mode: Mode, library: Department) -> None:
    for number in range(23):
        # Equal texts: their order hangs on the tie-break alone.
        serve(f"Loan {number}", "You may borrow books.", department=library, embedded=True)
    whole = search(SearchQuery("borrow books", mode=mode, page_size=50), viewer=PUBLIC_VIEWER)
    assert whole.count == len(whole.hits) == 23
    paged = [
        search(SearchQuery("borrow books", mode=mode, page=number, page_size=5), viewer=PUBLIC_VIEWER)
        for number in range(1, 7)
    ]
    assert [len(page.hits) for page in paged] == [5, 5, 5, 5, 3, 0]
    assert [title for page in paged for title in titles(page)] == titles(whole)
    assert {page.count for page in paged} == {23}
    assert {page.page_count for page in paged} == {5}
    far = search(SearchQuery("borrow books", mode=mode, page=1000, page_size=5), viewer=PUBLIC_VIEWER)
    assert (far.count, far.hits, far.page) == (23, (), 1000)


def test_facets_count_the_matches_and_not_the_page(corpus: dict[str, Document]) -> None:
    page = search(SearchQuery("books", page_size=1), viewer=PUBLIC_VIEWER)
    counted = {name: {one.value: one.count for one in values} for name, values in page.facets.items()}
    assert page.count == 7
    assert counted == {
        "department": {"Library": 4, "Finance": 3},
        "campus": {},
        "doc_type": {"guide": 7},
        "language": {"en": 4, "de": 1, "fr": 1, "zh": 1},
    }
    narrowed = search(SearchQuery("books", departments=("Finance",)), viewer=PUBLIC_VIEWER)
    assert narrowed.count == 3
    # The other values stay, with what the words would add of them.
    assert {one.value: one.count for one in narrowed.facets["department"]} == {"Finance": 3, "Library": 2}


def test_a_filter_only_narrows(corpus: dict[str, Document]) -> None:
    everything = search(SearchQuery("books", page_size=50), viewer=PUBLIC_VIEWER)
    for name, values in everything.facets.items():
        for one in values:
            narrowed = search(SearchQuery("books", page_size=50).having(name, one.value), viewer=PUBLIC_VIEWER)
            assert narrowed.count == one.count
            assert set(titles(narrowed)) <= set(titles(everything))


def test_unknown_filters_find_nothing(corpus: dict[str, Document]) -> None:
    page = search(SearchQuery("books", departments=("Nowhere",)), viewer=PUBLIC_VIEWER)
    assert (page.count, page.hits, page.page_count) == (0, (), 0)
    assert not page.facets["campus"] + page.facets["doc_type"] + page.facets["language"]
    # What would be found instead.
    assert [one.value for one in page.facets["department"]] == ["Library"]


def test_the_viewers_campus_ranks_higher_and_hides_nothing(library: Department) -> None:
    near, far = Campus.objects.create(name="Near"), Campus.objects.create(name="Far")
    for campus in (near, far):
        serve(f"Rules at {campus}", "Borrow books here.", department=library, campus=campus)
    count_statistics()
    for campus in (near, far):
        viewer = Viewer("student", 2, campus_id=campus.pk)
        page = search(SearchQuery("borrow books"), viewer=viewer)
        assert titles(page)[0] == f"Rules at {campus}"
        assert page.count == 2


def test_the_viewers_department_and_the_priority_rank_higher(library: Department, finance: Department) -> None:
    serve("Low", "Borrow books here.", department=library, priority=1)
    serve("Normal", "Borrow books here.", department=finance)
    serve("High", "Borrow books here.", department=library, priority=5)
    query = SearchQuery("borrow books", mode=Mode.KEYWORD)
    assert titles(search(query, viewer=PUBLIC_VIEWER)) == ["High", "Normal", "Low"]
    member = Viewer("student", 2, departments=frozenset({finance.pk}))
    assert titles(search(query, viewer=member)) == ["Normal", "High", "Low"]


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE ingestion_document; --", "<script>alert(1)</script>", "update my address", "😀", "a",
        "https://www.example.org/?q=1", r"^(a+)+$", "Straße 大学 جامعة", "x" * 500, "借", "?a",
        "the and of",
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", Mode)
def test_odd_queries_are_answered(text: str, mode: Mode, corpus: dict[str, Document]) -> None:
    page = search(SearchQuery(text, mode=mode), viewer=PUBLIC_VIEWER)
    assert page.query == text
    assert Document.objects.count() == len(corpus)


def test_similar_documents_are_those_that_the_viewer_may_see(corpus: dict[str, Document], finance: Department) -> None:
    serve("Expenses, internal", "Claim your travel expenses with form HR-12.", department=finance, clearance=3)
    assert similar(corpus["travel"], viewer=PUBLIC_VIEWER)[0].title == corpus["reisen"].title
    assert similar(corpus["travel"], viewer=OPERATOR)[0].title == "Expenses, internal"


class TestDegraded:
    @pytest.fixture
    def nodes_away(self, settings: Settings):
        settings.OLLAMA_URLS = ["http://127.0.0.1:1", "http://127.0.0.1:2"]
        cache.clear()

    @pytest.mark.parametrize("mode", ["hybrid", "semantic"])
    def test_without_an_embedding_node_words_answer_and_quickly(
        self, corpus: dict[str, Document], nodes_away, mode: str
    ) -> None:
        before = REGISTRY.get_sample_value("vector_search_degraded_total", {"reason": "embedding_unavailable"}) or 0
        for attempt in range(3):
            started = time.perf_counter()
            page = search(SearchQuery("travel expenses", mode=Mode(mode)), viewer=PUBLIC_VIEWER)
            assert time.perf_counter() - started < 1, f"attempt {attempt}"
            assert page.degraded == ("embedding_unavailable",)
            assert page.mode == mode
            assert titles(page) == [corpus["travel"].title]
        after = REGISTRY.get_sample_value("vector_search_degraded_total", {"reason": "embedding_unavailable"})
        assert after == before + 3

    def test_a_search_for_words_alone_is_not_degraded(self, corpus: dict[str, Document], nodes_away) -> None:
        page = search(SearchQuery("travel", mode=Mode.KEYWORD), viewer=PUBLIC_VIEWER)
        assert page.degraded == ()
        assert page.count == 1

    def test_a_known_querys_vector_comes_from_the_cache(self, corpus: dict[str, Document], settings: Settings) -> None:
        first = search(SearchQuery("holiday trip costs"), viewer=PUBLIC_VIEWER)
        settings.OLLAMA_URLS = ["http://127.0.0.1:1"]
        second = search(SearchQuery("holiday trip costs"), viewer=PUBLIC_VIEWER)
        assert second.degraded == ()
        assert second.hits == first.hits

    def test_without_valkey_searches_are_answered(self, corpus: dict[str, Document], settings: Settings) -> None:
        location = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
        settings.CACHES = {"default": location}
        page = search(SearchQuery("How many books can I borrow?"), viewer=PUBLIC_VIEWER)
        assert page.degraded == ()
        assert titles(page)[0] == corpus["loans"].title


def test_a_search_takes_few_statements(corpus: dict[str, Document]) -> None:
    user = User.objects.create_user("ada", role="student")
    viewer = viewer_for(user)
    search(SearchQuery("borrow books"), viewer=viewer)
    with CaptureQueriesContext(connection) as statements:
        search(SearchQuery("borrow books"), viewer=viewer)
    assert len(statements) <= 8, [statement["sql"][:80] for statement in statements]


def test_searches_are_counted(corpus: dict[str, Document], monkeypatch: pytest.MonkeyPatch) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0

    def counts() -> list[float]:
        return [
            value("vector_search_queries_total", endpoint="test", status="ok"),
            value("vector_search_queries_total", endpoint="test", status="error"),
            value("vector_search_duration_seconds_count", query_type="keyword"),
            value("vector_search_empty_total"),
        ]

    before = counts()
    search(SearchQuery("zebra", mode=Mode.KEYWORD), viewer=PUBLIC_VIEWER, endpoint="test")
    assert [after - one for after, one in zip(counts(), before, strict=True)] == [1, 0, 1, 1]
    monkeypatch.setattr(service, "candidates", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        search(SearchQuery("quagga", mode=Mode.KEYWORD), viewer=PUBLIC_VIEWER, endpoint="test")
    assert [after - one for after, one in zip(counts(), before, strict=True)] == [1, 1, 1, 1]
