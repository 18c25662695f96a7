"""Chunks as text to read: what is shown once, what becomes which HTML, and that nothing runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.reading import read_pages, render, without_overlap


@dataclass(frozen=True)
class Stored:
    """A chunk as far as reading needs it."""

    pk: int
    text: str
    page_number: int = 1
    section_title: str = ""


def test_what_a_chunk_repeats_of_the_one_before_is_shown_once() -> None:
    before = "The desk opens at nine. It closes at five on weekdays."
    assert without_overlap(before, "It closes at five on weekdays. On Sundays it is shut.") == "On Sundays it is shut."
    assert without_overlap(before, "On Sundays it is shut.") == "On Sundays it is shut."
    assert without_overlap("", "On Sundays it is shut.") == "On Sundays it is shut."


def test_a_short_chance_likeness_is_no_overlap() -> None:
    assert without_overlap("We lend books", "books are lent") == "books are lent"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("one\ntwo", '<p dir="auto">one two</p>'),
        ("- one\n- two\n  more", '<ul dir="auto"><li>one</li><li>two more</li></ul>'),
        ("3. three\n4. four", '<ol dir="auto" start="3"><li>three</li><li>four</li></ol>'),
        ("```\na < b\n```", '<pre tabindex="0"><code>a &lt; b</code></pre>'),
    ],
)
def test_blocks_become_html(text: str, html: str) -> None:
    assert render(text) == html


def test_a_table_has_a_heading_row_only_where_a_rule_says_so() -> None:
    assert '<thead><tr><th scope="col">a</th>' in render("| a | b |\n| --- | --- |\n| c | d |")
    assert "<th" not in render("| a | b |\n| c | d |")


def test_an_empty_cell_heads_nothing() -> None:
    assert "<td></td>" in render("| a |  |\n| --- | --- |\n| c | d |")


def test_heading_levels_never_skip_and_begin_anew_on_each_page() -> None:
    pages = read_pages([Stored(1, "#### Deep\n\n###### Deeper"), Stored(2, "## Next", page_number=2)])
    levels = [re.findall(r"<h(\d)", passage.html) for page in pages for passage in page.passages]
    assert levels == [["3", "4"], ["3"]]


def test_a_section_is_named_where_the_text_does_not_name_it() -> None:
    named, unnamed = Stored(1, "# Loans\n\nText.", section_title="Loans"), Stored(2, "Text.", section_title="A > Fees")
    pages = read_pages([named, unnamed])
    assert [passage.section for page in pages for passage in page.passages] == ["", "Fees"]


def test_the_page_is_opened_only_where_the_passage_is_not_there() -> None:
    chunks = [Stored(1, "a"), Stored(2, "b", page_number=2)]
    opened = read_pages(chunks, passage=1, page=2)
    assert [page.opened for page in opened] == [False, False]
    assert opened[0].passages[0].opened
    assert [page.opened for page in read_pages(chunks, passage=77, page=2)] == [False, True]


def test_words_are_marked_inside_escaped_text() -> None:
    assert render("a <loan> & loan", "loan") == (
        '<p dir="auto">a &lt;<mark>loan</mark>&gt; &amp; <mark>loan</mark></p>'
    )


@given(st.text(alphabet=st.sampled_from("<>&\"'|#-*`~\n 1.ab\\")), st.text(max_size=12))
def test_no_text_ever_becomes_a_tag_of_its_own(text: str, words: str) -> None:
    allowed = r"</?(?:h[3-6]|p|ul|ol|li|pre|code|div|table|thead|tr|th|td|mark)(?: [a-z]+=\"[a-z0-9-]*\")*>"
    assert "<" not in re.sub(allowed, "", render(text, words))
