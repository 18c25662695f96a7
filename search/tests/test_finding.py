"""Finding within a document."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from search.finding import LONGEST, PLACES_SHOWN, find, read_sought, spans


@dataclass(frozen=True)
class Stored:
    """A chunk as far as finding needs it."""

    pk: int
    text: str
    page_number: int = 1
    overlap: int = 0


@pytest.mark.parametrize(
    ("text", "sought", "found"),
    [
        ("The Lecture recording", "lecture", ["Lecture"]),
        (
            "the lecture\nrecording; lecture – recording",
            "lecture recording",
            ["lecture\nrecording", "lecture – recording"],
        ),
        ("Die GEBÜHREN und Gebuhren", "gebühren", ["GEBÜHREN", "Gebuhren"]),
        ("Straße, STRASSE", "strasse", ["Straße", "STRASSE"]),
        ("留学生签证需要什么", "签证", ["签证"]),
        ("تأشيرة الطَّالِب", "الطالب", ["الطَّالِب"]),
        ("ﬁnal ofﬁce", "office", ["ofﬁce"]),
        ("a.b*c", "b*c", ["b*c"]),
        ("snake_case, Snake case", "snake_case", ["snake_case", "Snake case"]),
        ("nothing", "nothing else", []),
    ],
)
def test_is_literal_in_any_case_accent_and_spacing(text: str, sought: str, found: list[str]) -> None:
    assert [text[left:right] for left, right in spans(text, sought)] == found


def test_the_blank_lines_of_a_form_take_no_longer_than_others() -> None:
    began = time.process_time()
    assert spans("Name: " + "_" * 50 + " Date", read_sought("_ " * 10 + "x")) == []
    assert time.process_time() - began < 0.5


def test_counts_each_time_and_shows_the_first_of_a_passage() -> None:
    chunks = [
        Stored(1, "No such thing."),
        Stored(2, "# Loans\n\nA **loan** lasts; a loan ends.", 3),
        Stored(3, "loan", 4),
    ]
    finding = find("loan", chunks)
    assert (finding.count, finding.passages) == (4, 2)
    assert [(place.passage, place.page, place.count) for place in finding.places] == [(2, 3, 3), (3, 4, 1)]
    assert finding.places[0].snippet == "<mark>Loan</mark>s A loan lasts; a loan ends."


def test_what_a_chunk_repeats_is_found_once() -> None:
    chunks = [Stored(1, "It ends with a loan."), Stored(2, "with a loan. Then a loan.", 1, overlap=12)]
    assert find("loan", chunks).count == 2


def test_markup_is_shown_and_never_runs() -> None:
    (place,) = find("alert", [Stored(1, "<script>alert(1)</script>")]).places
    assert place.snippet == "&lt;script&gt;<mark>alert</mark>(1)&lt;/script&gt;"


def test_many_places_are_counted_and_the_first_are_named() -> None:
    finding = find("x", [Stored(n, "x") for n in range(PLACES_SHOWN + 5)])
    assert (len(finding.places), finding.count) == (PLACES_SHOWN, PLACES_SHOWN + 5)


@pytest.mark.parametrize(("given", "sought"), [("  a \n b ", "a b"), ("?!", ""), ("", ""), ("x" * 300, "x" * LONGEST)])
def test_what_an_address_asks_for_is_cleaned(given: str, sought: str) -> None:
    assert read_sought(given) == sought
