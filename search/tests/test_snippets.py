"""Snippets: escaped first, the query's words marked in every script, cut at words, without debris of markup."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.snippets import SNIPPET_LENGTH, matches, snippet, without_markup


def marked(text: str, query: str) -> list[str]:
    return [text[left:right] for left, right in matches(text, query)]


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        # English: inflections, and no words that say nothing
        ("He claims; claiming and claimed. A claimant.", "claim", ["claims", "claiming", "claimed", "claimant"]),
        ("How to claim what you and the team spent", "How do I claim what the team spent?", ["claim", "team", "spent"]),
        ("the cat and the dog", "the", ["the", "the"]),
        ("Support in the port", "port", ["port"]),
        ("It is about IT and HR.", "IT", ["IT"]),
        # Identifiers, hyphens, apostrophes
        ("Use form HR-12, not HR-13.", "form HR-12", ["form", "HR-12", "HR"]),
        ("A well-known rule", "known", ["known"]),
        ("L'étudiant doit s'inscrire", "étudiant", ["étudiant"]),
        ("Version 2.1 of 2025", "2025", ["2025"]),
        # Accents and case
        ("ÉTUDIANTS et etudiant", "étudiant", ["ÉTUDIANTS", "etudiant"]),
        ("Die Straße, die STRASSE", "Straße", ["Straße", "STRASSE"]),
        # German compounds
        ("Die Prüfungsordnung regelt Reisekosten.", "Prüfungen Reise", ["Prüfung", "Reise"]),
        ("Die Hausordnung und die Ordnung", "Ordnung", ["ordnung", "Ordnung"]),
        # Chinese, Japanese, Thai
        ("大学图书馆的开放时间是上午九点", "图书馆开放时间", ["图书馆", "开放时间"]),
        ("书在这里", "书", ["书"]),
        ("OA系统登录", "OA 登录", ["OA", "登录"]),
        ("図書館は九時に開きます", "図書館", ["図書館"]),
        # Arabic: vowel signs, article, variants of alef and teh marbuta
        ("يجب على الطُلّاب التسجيل في المكتبة", "طلاب مكتبه تسجيل", ["الطُلّاب", "التسجيل", "المكتبة"]),
        # Cyrillic, Greek, Devanagari
        ("Экзамены сдают в июне", "экзамен", ["Экзамены"]),
        ("पुस्तकालय कब खुलता है", "पुस्तकालय", ["पुस्तकालय"]),
        # Phrases whole, required words like others, excluded ones not at all
        ("Terms and conditions of use", '"terms and conditions" use', ["Terms and conditions", "use"]),
        ("the library card, the card of the library", "“library card”", ["library card", "card", "library"]),
        ("Fines and loans", "+fines -loans", ["Fines"]),
        ('He said "loans', '"loans', ["loans"]),
        ("nothing to see", "absent", []),
        ("", "absent", []),
    ],
)
def test_the_querys_words_are_found_in_a_text(text: str, query: str, found: list[str]) -> None:
    assert marked(text, query) == found


@given(st.text(max_size=400), st.text(max_size=60))
def test_matches_are_in_order_and_never_overlap(text: str, query: str) -> None:
    at = 0
    for left, right in matches(text, query):
        assert at <= left < right <= len(text)
        at = right


@given(st.text(max_size=900), st.text(max_size=60))
def test_nothing_of_a_text_becomes_markup(text: str, query: str) -> None:
    shown = snippet(text, query)
    bare = re.sub(r"</?mark>", "", shown)
    assert "<" not in bare
    assert ">" not in bare
    assert shown.count("<mark>") == shown.count("</mark>")
    assert len(html.unescape(bare)) <= SNIPPET_LENGTH + 4


def test_markup_that_is_asked_for_stays_text() -> None:
    shown = snippet('Never type <script>alert("1")</script> & co.', "<script> alert")
    assert shown == (
        "Never type &lt;<mark>script</mark>&gt;<mark>alert</mark>(&quot;1&quot;)&lt;/<mark>script</mark>&gt; &amp; co."
    )


LONG = "First sentence about nothing. " * 20 + "Every permit for parking costs money. " + "And so on and on. " * 30


def test_a_long_text_is_cut_to_where_the_words_stand() -> None:
    shown = snippet(LONG, "parking permit")
    assert "Every <mark>permit</mark> for <mark>parking</mark> costs money." in shown
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    words = set(re.findall(r"\w+", LONG))
    assert set(re.findall(r"\w+", re.sub(r"</?mark>", "", shown))) <= words  # no word is cut in two


def test_a_text_without_the_words_is_shown_from_its_beginning() -> None:
    shown = snippet(LONG, "absent")
    assert shown.startswith("First sentence")
    assert shown.endswith(" …")
    assert "mark" not in shown


def test_the_stretch_with_most_different_words_is_chosen() -> None:
    text = "parking parking parking. " + "filler words here. " * 40 + "A parking permit for visitors. " + "end. " * 100
    assert "<mark>parking</mark> <mark>permit</mark> for <mark>visitors</mark>" in snippet(
        text, "parking permit visitors"
    )


def test_a_text_without_spaces_is_cut_as_well() -> None:
    text = "图书馆的规则很多" * 60 + "开放时间是九点" + "其他的规则也很多" * 60
    shown = snippet(text, "开放时间")
    assert "<mark>开放时间</mark>" in shown
    assert len(re.sub(r"</?mark>", "", shown)) <= SNIPPET_LENGTH + 4


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("# Fees\n\nPay **now**, *please*, __soon__ or ~~never~~.", "Fees Pay now, please, soon or never."),
        ("## 2.1 Scope ##", "2.1 Scope ##"),
        ("| Fee | Due |\n| --- | ---: |\n| 300 | June |", "Fee Due 300 June"),
        ("- one\n* two\n+ [x] three\n  - four\n1. five", "one two three four 1. five"),
        ("> quoted\n> > twice", "quoted twice"),
        ('See [the form](https://x.org/a "title") and ![logo](logo.png).', "See the form and logo."),
        ("Use `code` here\n---\nTitle\n=====", "Use code here Title"),
        ("snake_case_name, 5 * 3 * 2, C#, a_b and **unclosed", "snake_case_name, 5 * 3 * 2, C#, a_b and unclosed"),
        (r"A pipe \| and \*stars\* and line<br>break", "A pipe and *stars* and line break"),
        ("**Bold** _and_ ***both***", "Bold and both"),
    ],
)
def test_no_debris_of_markup_is_left(source: str, plain: str) -> None:
    assert without_markup(source) == plain
