"""Typeahead: what may complete what is being typed."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.clearance import PUBLIC_VIEWER, Viewer
from accounts.models import Department
from ingestion.models import Chunk, Document
from search.models import Heading, SearchEvent
from search.suggest import suggestions
from search.tests.corpus import count_statistics, serve

STAFF = Viewer("staff", 3, frozenset((1,)))


def suggested(typed: str, viewer: Viewer = PUBLIC_VIEWER) -> list[str]:
    return suggestions(typed, viewer=viewer)


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("borr", "Borrowing from the library"),
        ("l", "Library fines"),
        ("library bor", "Borrowing from the library"),
        ("the lib", "Borrowing from the library"),
        ("PRET", "Prêt de livres"),
        ("prêt de l", "Prêt de livres"),
        ("图书", "图书馆借书规则"),
        ("借", "图书馆借书规则"),
    ],
)
def test_a_title_is_completed_from_the_beginnings_of_any_of_its_words(
    corpus: dict[str, Document], typed: str, title: str
) -> None:
    assert title in suggested(typed)


def test_right_to_left_titles_are_completed_whatever_vowel_signs_and_letters_they_are_written_with(
    library: Department,
) -> None:
    serve("إعارة الكُتُب", "نص", department=library, language="ar", embedded=False)
    assert suggested("اعارة الكتب") == ["إعارة الكُتُب"]


def test_titles_that_begin_so_come_before_those_with_a_later_word(corpus: dict[str, Document]) -> None:
    assert suggested("lib")[:2] == ["Library fines", "Borrowing from the library"]


def test_after_titles_come_the_nearest_sections_that_hold_it_all(library: Department) -> None:
    handbook = serve("Handbook", "One.", "Two.", department=library, embedded=False)
    for position, path in enumerate(("Exams > Resits", "Exams > Resits in August")):
        Chunk.objects.filter(document=handbook, position=position).update(
            section_title=path, lexemes=f"'handbook':1A 'exams':2B 'resits':3B{' ' + repr('august') + ':4B' * position}"
        )
    assert suggested("resit") == ["Resits", "Resits in August"]
    assert suggested("exam") == ["Exams"]
    assert suggested("resit aug") == ["Resits in August"]


def test_frequent_words_complete_the_last_word_as_they_are_written(library: Department) -> None:
    for number in range(12):
        text = "Die Prüfungsordnung gilt." if number < 3 else "Anderes."
        serve(f"Schrift {number}", text, department=library, language="de", embedded=False)
    count_statistics()
    assert suggested("pruf") == ["prüfungsordnung"]
    assert suggested("neue prüf") == ["neue prüfungsordnung"]


def test_only_what_the_viewer_may_see_completes_anything(corpus: dict[str, Document], finance: Department) -> None:
    hidden = serve("Travel quagga", "Quaggas roam.", department=finance, clearance=3, embedded=False)
    Chunk.objects.filter(document=hidden).update(section_title="Quagga matters", lexemes="'travel':1A 'quagga':2A,3B")
    count_statistics()
    assert suggested("quag") == []
    assert suggested("quag", STAFF) == ["Travel quagga", "Quagga matters"]
    Document.objects.filter(pk=hidden.pk).update(clearance=4)
    assert suggested("quag", STAFF) == []


def test_who_sees_nothing_is_told_nothing(corpus: dict[str, Document]) -> None:
    assert suggested("lib", Viewer("anonymous", 0)) == []


def test_headings_follow_their_chunks(library: Department) -> None:
    paper = serve("Old name", "Text.", department=library, embedded=False)
    chunk = paper.chunks.get()
    assert suggested("old") == ["Old name"]
    chunk.staged = True
    chunk.save()
    assert suggested("old") == []
    chunk.staged = False
    chunk.save()
    assert suggested("old") == ["Old name"]
    chunk.delete()
    assert not Heading.objects.filter(document=paper).exists()


def test_two_statements_answer_where_titles_are_enough_for_one_letter(corpus: dict[str, Document]) -> None:
    with CaptureQueriesContext(
        connection,
    ) as read:
        suggested("l")
    assert len(read) == 2


class TestPage:
    def test_the_field_is_answered_like_the_api_and_nothing_is_noted(
        self, client: Client, corpus: dict[str, Document]
    ) -> None:
        answer = client.get("/search/suggest/", {"q": "travel"})
        assert answer.json() == client.get("/api/v1/suggest/", {"q": "travel"}).json()
        assert answer.json()["suggestions"][0] == "Travel expenses"
        assert "no-store" in answer["Cache-Control"]
        assert not SearchEvent.objects.exists()

    def test_filters_that_are_on_narrow_what_is_suggested(self, client: Client, corpus: dict[str, Document]) -> None:
        answer = client.get("/search/suggest/", {"q": "b", "department": "Finance"})
        assert answer.json() == {"suggestions": []}
        answer = client.get("/search/suggest/", {"q": "b", "department": "Library"})
        assert answer.json() == {"suggestions": ["Borrowing from the library"]}

    def test_typing_is_counted_apart_from_searching(self, client: Client, corpus: dict[str, Document]) -> None:
        for _ in range(120):
            assert client.get("/search/suggest/", {"q": "?"}).json() == {"suggestions": []}
        assert client.get("/search/suggest/", {"q": "l"}).status_code == 429
        assert client.get("/search/", {"q": "library"}).status_code == 200
