"""Candidates: by meaning and by words, over what is visible, the same whichever way they are found."""

from __future__ import annotations

from datetime import date

import pytest

from accounts.clearance import OPERATOR, PUBLIC_VIEWER, Viewer
from accounts.models import Campus, Department
from ingestion.models import Document, DocumentType, Tag
from search import nearest
from search.nearest import Survey, is_enough, nearest_documents
from search.query import Mode, SearchQuery
from search.retrieval import candidates
from search.tests.corpus import count_statistics, serve
from search.vectors import query_vector
from search.words import read_words

pytestmark = pytest.mark.django_db


def found(query: SearchQuery, viewer: Viewer = PUBLIC_VIEWER) -> set[str]:
    vector = query_vector(query.text, anew=True) if query.mode is not Mode.KEYWORD else None
    ids = {one.document_id for one in candidates(query, viewer=viewer, vector=vector).candidates}
    return set(Document.objects.filter(pk__in=ids).values_list("title", flat=True))


def titles(corpus: dict[str, Document], *names: str) -> set[str]:
    return {corpus[name].title for name in names}


class TestWords:
    def test_stop_words_of_any_language_are_left_out_unless_there_is_nothing_else(self, corpus) -> None:
        assert len(read_words("How do I claim the travel expenses?").telling) == 3
        assert len(read_words("the").telling) == 1
        assert len(read_words("Wie und wo").telling) == 3

    def test_a_word_that_is_rarer_weighs_more(self, corpus) -> None:
        book, receipt = read_words("book receipt").telling
        assert receipt.idf > book.idf > 0

    @pytest.mark.parametrize(
        "text",
        [
            "'; DROP TABLE ingestion_chunk; --", "a'b\"c\\d", "!& | <-> () :*", "it's o'clock", "😀", "?", "a:b*c",
            r"^[a-z]+\d{2}$", "http://x.org/?a=1&b=2", "大", "' ' ''", "\\' \\\\", "x" * 500, "1 2 3", "ａ　ｂ",
        ],
    )  # fmt: skip
    def test_whatever_is_typed_is_no_syntax(self, text: str, corpus) -> None:
        for mode in Mode:
            found(SearchQuery(text, mode=mode))

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("borrowed", ("loans",)),
            ("HR-12", ("travel", "reisen")),
            ("hr12", ("travel", "reisen")),
            ("bibliotheque", ("pret",)),
            ("DREISSIG", ("reisen",)),
            ("借书", ("shuguan",)),
            ("receipt permit", ("travel", "parking")),
            ("Borrowing", ("loans",)),  # in the title
            ("zebra", ()),
        ],
    )
    def test_words_are_found_in_title_and_text_up_to_inflection(self, text: str, names, corpus) -> None:
        assert found(SearchQuery(text, mode=Mode.KEYWORD)) == titles(corpus, *names)


class TestMeaning:
    def test_every_visible_chunk_of_a_small_corpus_is_a_candidate_whatever_its_language(self, corpus) -> None:
        assert found(SearchQuery("lending", mode=Mode.SEMANTIC)) == titles(corpus, *corpus)

    def test_a_chunk_that_waits_for_its_vector_is_found_by_words(self, corpus, library: Department) -> None:
        serve("Gym", "The gymnasium opens at six.", department=library, embedded=False)
        assert "Gym" in found(SearchQuery("gymnasium"))
        assert "Gym" not in found(SearchQuery("gymnasium", mode=Mode.SEMANTIC))

    def test_the_index_and_the_exact_scan_find_the_same(self, corpus, monkeypatch: pytest.MonkeyPatch) -> None:
        query = SearchQuery("How many books can I borrow?")
        vector = query_vector(query.text, anew=True)
        exact = candidates(query, viewer=PUBLIC_VIEWER, vector=vector).candidates
        monkeypatch.setattr(nearest, "EXACT_UP_TO", 0)
        for small in (0, 2, 1000):
            monkeypatch.setattr(nearest, "SMALL_LANGUAGES_UP_TO", small)
            indexed = candidates(query, viewer=PUBLIC_VIEWER, vector=vector).candidates
            assert sorted(indexed, key=lambda one: one.chunk_id) == sorted(exact, key=lambda one: one.chunk_id)

    def test_the_best_of_a_language_is_a_candidate_beside_many_of_another(
        self, library: Department, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nearest, "CANDIDATES_BY_MEANING", 3)
        monkeypatch.setattr(nearest, "CANDIDATES_A_LANGUAGE", 1)
        for number in range(6):
            serve(f"Loans {number}", f"You may borrow {number} books at a time.", department=library)
        serve("Ausleihe", "Sie dürfen zwanzig Bücher ausleihen.", department=library, language="de")
        count_statistics()
        for limit in (nearest.EXACT_UP_TO, 0):
            monkeypatch.setattr(nearest, "EXACT_UP_TO", limit)
            seen = found(SearchQuery("How many books may I borrow?", mode=Mode.SEMANTIC))
            assert "Ausleihe" in seen
            assert len(seen) == 4

    @pytest.mark.parametrize("exact_up_to", [nearest.EXACT_UP_TO, 0], ids=["exact", "index"])
    def test_a_handbook_that_is_nearest_throughout_leaves_room_for_other_documents(
        self, exact_up_to: int, library: Department, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nearest, "EXACT_UP_TO", exact_up_to)
        monkeypatch.setattr(nearest, "CANDIDATES_BY_MEANING", 6)
        monkeypatch.setattr(nearest, "CANDIDATES_A_LANGUAGE", 1)
        monkeypatch.setattr(nearest, "ENOUGH_DOCUMENTS", 3)
        serve("Handbook", *(f"You may borrow {number} books at a time." for number in range(8)), department=library)
        serve("Parking", "Staff may apply for a permit to park a car.", department=library)
        serve("Travel", "Attach every receipt to your claim.", department=library)
        count_statistics()
        query = SearchQuery("How many books may I borrow?", mode=Mode.SEMANTIC)
        assert found(query) == {"Handbook", "Parking", "Travel"}
        nearest_of_all = candidates(query, viewer=PUBLIC_VIEWER, vector=query_vector(query.text)).candidates
        assert sum(one.similarity > 0.85 for one in nearest_of_all) >= 6, "none of the nearest is given up for them"

    def test_what_the_index_does_not_find_is_looked_for_by_comparing(self) -> None:
        found, full = nearest.CANDIDATES_BY_MEANING, nearest.ENOUGH_DOCUMENTS
        assert not is_enough(found - 1, full, exact=False), "the index gave up"
        assert is_enough(found - 1, 1, exact=True), "that is all there is"
        assert not is_enough(found, full - 1, exact=True), "one handbook"
        assert is_enough(found, full, exact=False)

    def test_small_languages_are_compared_chunk_by_chunk_up_to_a_sum(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nearest, "SMALL_LANGUAGES_UP_TO", 100)
        survey = Survey(10_000, {"en": 8000, "ar": 60, "zh": 30, "es": 50}, "1 ")
        assert survey.small_languages == ["zh", "es"]
        assert survey.few is None


class TestFilters:
    @pytest.fixture
    def described(self, library: Department, finance: Department) -> None:
        campus = Campus.objects.create(name="King's Buildings")
        policy = DocumentType.objects.get(slug="policy")
        one = serve("One", "borrow books", department=library, campus=campus, priority=5)
        one.tags.add(Tag.objects.create(name="reading"))
        serve("Two", "borrow books", department=library, language="de", doc_type=policy)
        serve("Three", "borrow books", department=finance, priority=1, last_reviewed=date(2025, 1, 31))
        count_statistics()

    @pytest.mark.parametrize("mode", Mode)
    @pytest.mark.parametrize(
        ("filters", "left"),
        [
            ({}, {"One", "Two", "Three"}),
            ({"departments": ("Library",)}, {"One", "Two"}),
            ({"departments": ("Library", "Finance")}, {"One", "Two", "Three"}),
            ({"departments": ("Nowhere",)}, set()),
            ({"campuses": ("King's Buildings",)}, {"One"}),
            ({"doc_types": ("policy",)}, {"Two"}),
            ({"languages": ("de",)}, {"Two"}),
            ({"tags": ("reading",)}, {"One"}),
            ({"tags": ("absent",)}, set()),
            ({"min_priority": 3}, {"One", "Two"}),
            ({"reviewed_after": date(2025, 1, 31)}, {"Three"}),
            ({"reviewed_after": date(2025, 2, 1)}, set()),
            ({"departments": ("Library",), "languages": ("de",)}, {"Two"}),
        ],
    )
    def test_filters_narrow_every_leg(self, filters, left: set[str], mode: Mode, described) -> None:
        assert found(SearchQuery("borrow books", mode=mode, **filters)) == left

    def test_a_filter_never_widens_what_a_viewer_sees(self, described, library: Department) -> None:
        serve("Secret", "borrow books", department=library, clearance=4)
        query = SearchQuery("borrow books", departments=("Library",))
        assert "Secret" not in found(query)
        assert "Secret" in found(query, OPERATOR)


class TestSimilar:
    def test_other_documents_come_nearest_first_and_each_once(self, corpus) -> None:
        near = nearest_documents(corpus["travel"], viewer=PUBLIC_VIEWER, limit=10)
        assert near[0] == corpus["reisen"].pk
        assert len(near) == len(set(near)) == len(corpus) - 1
        assert nearest_documents(corpus["travel"], viewer=PUBLIC_VIEWER, limit=2) == near[:2]

    def test_what_is_hidden_is_not_near(self, corpus, finance: Department) -> None:
        hidden = serve("Expenses", "Claim travel expenses with form HR-12.", department=finance, clearance=3)
        assert hidden.pk not in nearest_documents(corpus["travel"], viewer=PUBLIC_VIEWER, limit=10)
        assert nearest_documents(corpus["travel"], viewer=OPERATOR, limit=10)[0] == hidden.pk

    def test_a_document_without_vectors_is_like_none(self, corpus, library: Department) -> None:
        bare = serve("Bare", "No vector yet.", department=library, embedded=False)
        assert nearest_documents(bare, viewer=PUBLIC_VIEWER, limit=10) == []
