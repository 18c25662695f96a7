"""What the marks in a query ask for; everything that is no mark is ordinary text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.operators import Asked, read_operators


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("library loans", Asked("library loans")),
        ('"library card" lost', Asked("library card lost", ("library card",))),
        ("“library card” lost", Asked("library card lost", ("library card",))),
        ("„Antrag stellen“ wo", Asked("Antrag stellen wo", ("Antrag stellen",))),
        ("« carte de bibliothèque » perdue", Asked("carte de bibliothèque perdue", ("carte de bibliothèque",))),
        ('exam "resit"', Asked("exam resit", ("resit",))),
        ("exam +resit", Asked("exam resit", ("resit",))),
        ("exam -resit", Asked("exam", (), ("resit",))),
        ('exam -"late fee" fines', Asked("exam fines", (), ("late fee",))),
        ("exam -HR-12", Asked("exam", (), ("HR-12",))),
        ('exam +"late fee"', Asked("exam late fee", ("late fee",))),
        ("书 -借书", Asked("书", (), ("借书",))),
        # No marks
        ('say "unbalanced', Asked('say "unbalanced')),
        ('a 5" pipe and a 6" pipe', Asked('a 5" pipe and a 6" pipe')),
        ("HR-12 e-mail well-known", Asked("HR-12 e-mail well-known")),
        ("call +44 131 650", Asked("call +44 131 650")),
        ("C++ and C - or -", Asked("C++ and C - or -")),
        ('"" «»', Asked('"" «»')),
        ('"😀" smile', Asked('"😀" smile')),
        ("-loans", Asked("-loans")),
        ('-"library card" -fines', Asked('-"library card" -fines')),
    ],
)
def test_marks_are_read(text: str, asked: Asked) -> None:
    assert read_operators(text) == asked


@given(st.text(alphabet='ab "“”-+«» 书', max_size=60))
def test_something_to_look_for_is_always_left(text: str) -> None:
    asked = read_operators(text)
    assert asked.text.strip() or not text.strip()
    assert all(one in asked.text for one in asked.required)


def test_phrases_become_neighbours_whatever_is_in_them() -> None:
    assert read_operators('x "Form HR-12"').must_match == "('form' <-> 'hr12' <-> 'hr' <-> '12')"
    assert read_operators('x "图书馆" "书"').must_match == "('图书' <-> '书馆') & ('书':*)"
    assert read_operators("x -a -'b").must_not_match == "('a')"
