"""The lexical leg: BM25, what is proposed, and what a query's marks demand of every leg."""

from __future__ import annotations

import math

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.clearance import PUBLIC_VIEWER
from accounts.models import Department
from ingestion.models import Document
from search import matched, nearest
from search import words as words_module
from search.query import MAX_QUERY_LENGTH, Mode, SearchQuery, parse_query
from search.retrieval import candidates
from search.service import search
from search.tests.corpus import count_statistics, serve
from search.vectors import query_vector
from search.words import Proposal, QueryWords, Word, read_words

pytestmark = pytest.mark.django_db


def titles(text: str, mode: Mode = Mode.KEYWORD) -> list[str]:
    query = SearchQuery(text, mode=mode)
    return [hit.document.title for hit in search(query, viewer=PUBLIC_VIEWER, audited=False).hits]


def word(name: str, share: float, **more: bool) -> Word:
    return Word((name,), (len(name),), -math.log(share), **more)


class TestProposal:
    """Which chunks are worth scoring among a hundred thousand."""

    def test_rare_words_propose_and_common_ones_together(self) -> None:
        asked = QueryWords((word("student", 0.5), word("bursary", 0.005), word("visa", 0.01), word("office", 0.02)))
        assert asked.proposal(100_000, alone=True) == Proposal("'bursary' | 'visa' | (('office') & ('student'))")

    def test_beside_the_meaning_fewer_are_enough(self) -> None:
        asked = QueryWords((word("student", 0.4), word("bursary", 0.005), word("visa", 0.01)))
        assert asked.proposal(100_000, alone=False) == Proposal("'bursary' | (('visa') & ('student'))")

    def test_in_a_small_corpus_every_word_proposes(self) -> None:
        asked = QueryWords((word("student", 0.5), word("bursary", 0.01)))
        assert asked.proposal(1000, alone=False) == Proposal("'bursary' | 'student'")

    def test_what_stands_nearly_everywhere_proposes_only_where_nothing_else_does(self) -> None:
        asked = QueryWords((word("student", 0.5),))
        assert asked.proposal(100_000, alone=False) is None
        assert asked.proposal(100_000, alone=True) == Proposal("('student')", newest=True)
        assert asked.proposal(30_000, alone=False) == Proposal("('student')")

    def test_a_word_that_no_public_chunk_holds_is_looked_for(self) -> None:
        asked = QueryWords((word("quux", 0.5, known=False),))
        assert asked.proposal(10**7, alone=False) == Proposal("'quux'")

    def test_stop_words_rank_and_do_not_propose(self) -> None:
        asked = QueryWords((word("the", 0.9, common=True), word("visa", 0.02)))
        assert asked.proposal(1000, alone=False) == Proposal("'visa'")
        assert asked.vector.count(":") == 2
        assert len(asked.idf) == 1


class TestScore:
    def test_it_is_bm25(self, library: Department) -> None:
        serve("", "Zebra zebra crossing.", department=library, language="und", embedded=False)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT -(weights <#> ('{' || ingestion_word_dimension('zebra') || ':1}/1000000000')::sparsevec) "
                "FROM ingestion_wordweights"
            )
            (weight,) = cursor.fetchone()
        # Twice among three words, where a usual chunk has 180; in thousandths.
        assert weight == pytest.approx(1000 * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 180)), abs=1)

    def test_words_as_they_are_typed_come_before_their_inflections(self, library: Department) -> None:
        serve("A", "The committee meets here about bookings.", department=library, embedded=False)
        serve("B", "The committee meets here about booked.", department=library, embedded=False)
        count_statistics()
        assert titles("booked") == ["B", "A"]
        assert titles("bookings") == ["A", "B"]

    def test_a_title_counts_more_than_the_text(self, library: Department) -> None:
        serve("Visas", "What students from abroad need to know.", department=library, embedded=False)
        serve("Abroad", "What students need to know of visas.", department=library, embedded=False)
        count_statistics()
        assert titles("visas") == ["Visas", "Abroad"]


@pytest.fixture
def forms(library: Department) -> None:
    serve("Travel", "Claim your expenses with form HR-12 and every receipt.", department=library)
    serve("Leave", "Ask for leave with form HR-13 before 12 May.", department=library)
    serve("Course", "COMP10001 is taught in the first term. No form is needed.", department=library)
    serve("Loans", "Renew with the library card. A late fee is charged.", department=library)
    serve("Cards", "A card of the library is free. Pay the fee, late or not.", department=library)
    serve("借书", "每位读者最多可以借二十本书。请携带图书证。", department=library, language="zh")
    serve("コピー", "図書館でコピーができます。", department=library, language="ja")
    serve("ห้องสมุด", "ห้องสมุดเปิดทุกวัน", department=library, language="th")
    count_statistics()


@pytest.mark.usefixtures("forms")
class TestExactness:
    @pytest.mark.parametrize("mode", [Mode.KEYWORD, Mode.HYBRID])
    @pytest.mark.parametrize(
        ("text", "first"),
        [
            ("form HR-12", "Travel"), ("HR-12", "Travel"), ("HR 12", "Travel"), ("hr12", "Travel"), ("HR-13", "Leave"),
            ("COMP10001", "Course"), ("comp 10001", "Course"), ("COMP-10001", "Course"),
        ],
    )  # fmt: skip
    def test_identifiers_come_first(self, text: str, first: str, mode: Mode) -> None:
        assert titles(text, mode)[0] == first

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("本", "借书"),
            ("证", "借书"),
            ("携带", "借书"),
            ("図", "コピー"),
            ("館", "コピー"),
            ("เปิด", "ห้องสมุด"),
            ("น", "ห้องสมุด"),
        ],
    )
    def test_scripts_without_spaces_are_found_down_to_a_character(self, text: str, found: str) -> None:
        assert found in titles(text)

    @pytest.mark.parametrize("mode", Mode)
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ('"library card"', {"Loans"}),
            ("“LATE fee”", {"Loans"}),
            ('fee "card of the library"', {"Cards"}),
            ("+receipt form", {"Travel"}),
            ('"form HR-12"', {"Travel"}),
            ('form "HR-12" +receipt', {"Travel"}),
            ('"图书证"', {"借书"}),
            ('"二"', {"借书"}),
            ('library "no such phrase"', set()),
            ('"fees"', set()),
        ],
    )
    def test_what_is_required_stands_in_every_hit(self, text: str, found: set[str], mode: Mode) -> None:
        assert set(titles(text, mode)) == found

    @pytest.mark.parametrize("mode", Mode)
    def test_documents_with_an_excluded_word_are_gone(self, mode: Mode, library: Department) -> None:
        serve("Long", "About the library fee.", "On receipts: ask for a receipt.", department=library)
        assert {"Travel", "Long"} <= set(titles("library fee form", mode)) | set(titles("receipt", mode))
        left = set(titles("library fee form -receipt", mode))
        assert left
        assert not left & {"Travel", "Long"}
        assert not set(titles('library fee form -"library card" -hr-13', mode)) & {"Loans", "Leave"}

    def test_an_excluded_word_in_a_hidden_version_excludes_nothing(self, library: Department) -> None:
        loans = Document.objects.get(title="Loans")
        staged = loans.chunks.get()
        staged.pk, staged.staged = None, True
        staged.lexemes = "'zebra':1"
        staged.save()
        assert "Loans" in titles("library card -zebra")


@pytest.mark.usefixtures("forms")
class TestOddQueries:
    @pytest.mark.parametrize("mode", Mode)
    @pytest.mark.parametrize(
        "text",
        ["a", "é", "書", "😀", "what is the", "the", "x" * MAX_QUERY_LENGTH, "大" * MAX_QUERY_LENGTH,
         "lorem ipsum dolor sit amet " * 18, "https://www.example.org/a?b=c&d=-e#f", r"^(?:[a-z]+\d{2,})*$",
         "Straße 大学 جامعة университет पुस्तकालय", "'; DROP TABLE x; --", '"a', '"" b', "+ - c", "a:* & !b <-> (c | d)",
         "-a -b", '+"d', "\\ ' \\' e", "1 2 3 4 5 HR 1 HR 2"],
    )  # fmt: skip
    def test_it_is_answered(self, text: str, mode: Mode) -> None:
        found = search(parse_query({"q": text, "mode": mode.value}), viewer=PUBLIC_VIEWER, audited=False)
        assert found.query == text.strip()

    def test_only_stop_words_are_looked_for_all_the_same(self) -> None:
        assert "Loans" in titles("is the")

    def test_filters_alone_list_the_newest_first(self, library: Department) -> None:
        serve("Old", "Old rules.", "More of them.", department=library, last_reviewed="2001-01-01", embedded=False)
        serve("New", "New rules.", department=library, last_reviewed="2999-01-01", embedded=False)
        page = search(parse_query({"q": "dept:library"}), viewer=PUBLIC_VIEWER, audited=False)
        listed = [hit.document.title for hit in page.hits]
        assert (listed[0], listed[-1], len(listed)) == ("New", "Old", 10)
        assert page.words_found
        narrowed = search(parse_query({"q": "before:2002"}), viewer=PUBLIC_VIEWER, audited=False)
        assert [hit.document.title for hit in narrowed.hits] == ["Old"]

    def test_words_are_read_in_one_statement(self, django_assert_num_queries) -> None:
        with django_assert_num_queries(1):
            assert read_words("form HR-12 for the library").telling


def test_only_what_is_proposed_is_found_by_words(corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that many chunks hold, beside one that few hold, and then by themselves."""
    monkeypatch.setattr(words_module, "SCORED_CHUNKS", 0)
    assert titles("books library receipt") == ["Travel expenses"]
    assert set(titles("books library")) == {"Borrowing from the library", "Library fines"}


def test_of_what_stands_nearly_everywhere_the_newest_is_scored(corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words_module, "MOST_SCORED_CHUNKS", 0)
    for module in (words_module, matched):
        monkeypatch.setattr(module, "SCORED_CHUNKS", 1)
    assert titles("library") == ["Library fines"]
    # Where a part of it is required, more of them are looked through.
    assert set(titles("+library")) == {"Borrowing from the library", "Library fines"}
    monkeypatch.setattr(words_module, "LOOKED_THROUGH", 1)
    assert set(titles("+library")) <= {"Library fines"}


@pytest.mark.usefixtures("forms")
class TestMarksThatAreNearlyEverywhere:
    """They are looked at in what the legs propose: in one passage after the other, not in all that there are."""

    @pytest.fixture(autouse=True)
    def _everything_is_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(words_module, "MOST_SCORED_CHUNKS", 0)
        monkeypatch.setattr(nearest, "EXACT_UP_TO", 0)

    @pytest.mark.parametrize("mode", Mode)
    def test_what_is_required_stands_in_every_hit(self, mode: Mode) -> None:
        assert set(titles('"library card"', mode)) == {"Loans"}
        assert set(titles('fee +library -"library card"', mode)) == {"Cards"}

    @pytest.mark.parametrize("mode", Mode)
    def test_documents_with_an_excluded_word_are_gone(self, mode: Mode, library: Department) -> None:
        serve("Long", "About the library fee.", "On cards: ask for a card.", department=library)
        left = set(titles("library fee form -card", mode))
        assert left
        assert not left & {"Loans", "Cards", "Long"}

    def test_not_all_of_it_is_looked_through(self) -> None:
        query = SearchQuery('"library card" -receipt')
        with CaptureQueriesContext(connection) as captured:
            found = candidates(query, viewer=PUBLIC_VIEWER, vector=query_vector(query.meaning, anew=True))
        assert found.candidates
        assert found.proposal is None, "nobody knows how many there are"
        statements = [one["sql"] for one in captured.captured_queries if "proposed" in one["sql"]]
        assert len(statements) == 1, "nor is it tried again by comparing all"
        assert "refused AS" not in statements[0]
