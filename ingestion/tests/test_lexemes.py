"""Words for the lexical search: the same from a chunk and from a query, in every script."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.lexemes import TEXT_SEARCH_CONFIGS, is_beginning, phrase, searchable, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Café, STRASSE und Straße!", "cafe strasse und strasse"),
        ("ＦＵＬＬ width ﬁle", "full width file"),
        ("Άνθρωπος ΣΊΣΥΦΟΣ", "ανθρωποσ σισυφοσ"),
        ("Ёлка Йод", "елка иод"),
        ("don't worry", "don t worry"),
        ("Smørrebrød Łódź Æsir", "smorrebrod lodz aesir"),
        ("大学图书馆", "大学 学图 图书 书馆 馆"),
        ("书", "书"),
        ("図書館のカード", "図書 書館 館の のカ カー ード ド"),
        ("ｶｰﾄﾞ", "カー ード ド"),
        ("IT 服务 helpdesk", "it 服务 务 helpdesk"),
        ("ห้องสมุด", "ห้อ อง งส สมุ มุด ด"),
        ("한국어 대학교", "한국어 대학교"),
        ("الإِجَازَةُ المدرسيّة", "الاجازه المدرسيه"),
        ("ﻻ إلى الـمـكـتـبـة", "لا الي المكتبه"),
        ("٢٠٢٥ and २०२५", "2025 and 2025"),
        ("हिन्दी विश्वविद्यालय", "हिन्दी विश्वविद्यालय"),
        ("שָׁלוֹם", "שלום"),
        ("foo_bar/baz", "foo bar baz"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("", ""),
        ("?! -- …", ""),
    ],
)
def test_text_is_normalised(text: str, expected: str) -> None:
    assert searchable(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("form HR-12", ["form", "hr12", "hr", "12"]),
        ("COMP10001", ["comp10001"]),
        ("COMP-10001/A", ["comp10001a", "comp", "10001", "a"]),
        ("version 2.1", ["version", "21", "2", "1"]),
        ("e-mail", ["e", "mail"]),
        ("2025-08-15", ["20250815", "2025", "08", "15"]),
    ],
)
def test_identifiers_are_found_whole_and_by_their_parts(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_words_are_distinct_and_in_order() -> None:
    assert words("The leave of leave, THE LEAVE") == ["the", "leave", "of"]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_index_and_query_agree(text: str) -> None:
    indexed = searchable(text).split()
    assert set(words(text)) <= set(indexed)
    assert all(is_beginning(one) for one in set(indexed) - set(words(text)))


@pytest.mark.parametrize("text", ["大学图书馆", "OA系统登录", "馆", "大学。图书馆 card", "ห้องสมุด", "form HR-12 now"])
def test_a_phrase_is_a_stretch_of_the_words_of_a_longer_text(text: str) -> None:
    found, indexed = phrase(text), searchable(f"前{text}后 and {text} more").split()
    *whole, last = found
    stretches = (indexed[at : at + len(found)] for at in range(len(indexed)))
    assert any(one[:-1] == whole and one[-1].startswith(last) for one in stretches if len(one) == len(found))


def test_every_character_of_a_run_begins_a_word() -> None:
    indexed = searchable("大学图书馆").split()
    assert all(any(one.startswith(character) for one in indexed) for character in "大学图书馆")
    assert is_beginning("书")
    assert not is_beginning("书馆")
    assert not is_beginning("a")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_the_result_is_words_and_single_spaces(text: str) -> None:
    result = searchable(text)
    assert result == " ".join(result.split())
    assert not set(result) & set("'\"\\:&|!()<>*-./_\x00")


def test_a_word_of_any_length_is_short_enough_for_the_index() -> None:
    assert max(len(word) for word in words("x" * 5000 + " a-1" + "b" * 5000)) <= 200


def test_configurations_are_postgresql_s() -> None:
    assert TEXT_SEARCH_CONFIGS["de"] == "german"
    assert "zh" not in TEXT_SEARCH_CONFIGS
    assert all(len(code) == 2 for code in TEXT_SEARCH_CONFIGS)
