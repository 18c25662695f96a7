"""Did you mean: mistyped words, corrected from what the viewer may read."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.clearance import PUBLIC_VIEWER, Viewer
from accounts.models import Department
from ingestion.models import Document
from search import vocabulary
from search.models import VocabularyWord
from search.query import Mode, SearchQuery
from search.service import search
from search.spelling import did_you_mean, slips
from search.tests.corpus import serve
from search.words import read_words

STAFF = Viewer("staff", 3, frozenset((1,)))


@pytest.fixture
def read(corpus: dict[str, Document]) -> dict[str, Document]:
    vocabulary.refresh()
    return corpus


def meant(text: str, viewer: Viewer = PUBLIC_VIEWER) -> str | None:
    return did_you_mean(text, read_words(text), viewer=viewer)


@pytest.mark.parametrize(
    ("typed", "corrected"),
    [
        ("libary", "library"),
        ("Libray", "Library"),
        ("PARKNIG", "PARKING"),
        ("travel expneses", "travel expenses"),
        ("reciept", "receipt"),
        ("bibliotheqe", "bibliothèque"),
        ("Reisekostn", "Reisekosten"),
        ("dreizig", "dreißig"),
        ("which recept, please", "which receipt, please"),
    ],
)
def test_a_mistyped_word_is_corrected_as_it_is_written_where_it_stands(
    read: dict[str, Document], typed: str, corrected: str
) -> None:
    assert meant(typed) == corrected


@pytest.mark.parametrize(
    "typed",
    ["library", "borrowed", "zzzzqqqq", '"libary"', "-libary books", "+libary", "COMP10001", "HR-13",
     "libary@uni.example", "图书官", "lib", "", "https://libary.example/"],
)  # fmt: skip
def test_what_is_right_unlike_anything_marked_or_an_identifier_is_left_alone(
    read: dict[str, Document], typed: str
) -> None:
    assert meant(typed) is None


def test_only_words_that_the_viewer_may_read_correct_anything(corpus: dict[str, Document], finance: Department) -> None:
    serve("Zebras", "The quagga is a zebra.", department=finance, clearance=3, embedded=False)
    vocabulary.refresh()
    assert meant("quaga") is None
    assert meant("quaga", STAFF) == "quagga"
    # A word that only others may read is not known to be right either.
    serve("Notes", "quagge.", department=finance, clearance=4, audience="department", embedded=False)
    vocabulary.refresh()
    assert meant("quagge", STAFF) == "quagga"


def test_words_that_nothing_holds_any_more_go(corpus: dict[str, Document], library: Department) -> None:
    paper = serve("Okapi", "Okapis.", department=library, embedded=False)
    assert vocabulary.refresh()
    assert VocabularyWord.objects.filter(word="okapi").exists()
    assert not vocabulary.refresh()
    paper.delete()
    vocabulary.VocabularyReading.objects.update(whole_at=None)
    assert vocabulary.refresh()
    assert not VocabularyWord.objects.filter(word="okapi").exists()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("form", "form", 0), ("fomr", "form", 1), ("frm", "form", 1), ("kitten", "sitting", 3)],
)
def test_an_exchange_of_neighbours_is_one_slip(one: str, other: str, expected: int) -> None:
    assert slips(one, other) == slips(other, one) == expected


def test_a_search_says_what_was_probably_meant_and_keeps_the_filters(client: Client, read: dict[str, Document]) -> None:
    answer = client.get("/api/v1/search/", {"q": "libary card", "mode": "keyword"})
    assert answer.json()["did_you_mean"] == "library card"
    page = client.get("/search/", {"q": "libary card", "mode": "keyword", "department": "Library", "page": "2"})
    assert 'href="/search/?q=library+card&amp;department=Library&amp;mode=keyword"' in page.content.decode()


def test_where_the_words_are_found_no_correction_is_looked_for(read: dict[str, Document]) -> None:
    with CaptureQueriesContext(connection) as statements:
        page = search(SearchQuery("library card", mode=Mode.KEYWORD), viewer=PUBLIC_VIEWER, audited=False)
    assert page.did_you_mean is None
    assert not any("search_vocabularyword" in one["sql"] for one in statements.captured_queries)


@pytest.mark.parametrize("mode", Mode)
def test_a_query_of_known_words_costs_no_statement_more(mode: Mode, read: dict[str, Document]) -> None:
    for _ in range(2):
        with CaptureQueriesContext(connection) as statements:
            page = search(SearchQuery("library book", mode=mode), viewer=PUBLIC_VIEWER, audited=False)
    read_words_anew = [one for one in statements.captured_queries if "search_query_words" in one["sql"]]
    assert len(read_words_anew) == 1
    assert not any("string_agg" in one["sql"] for one in statements.captured_queries)
    assert page.did_you_mean is None


@pytest.mark.parametrize("mode", Mode)
def test_a_mistyped_word_is_corrected_in_every_mode(mode: Mode, read: dict[str, Document]) -> None:
    assert search(SearchQuery("libary", mode=mode), viewer=PUBLIC_VIEWER).did_you_mean == "library"
