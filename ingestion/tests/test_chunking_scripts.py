"""Chunking of scripts without spaces, of those that run from right to left, and of signs made of several characters."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from ingestion.chunking import ChunkDraft, chunk_pages, estimate_tokens
from ingestion.chunking_graphemes import may_cut
from ingestion.extraction_types import Page
from ingestion.tests.drawn_texts import LAW

CHINESE = "因公出差的教职员工应在返回后三十天内报销费用。每笔超过五英镑的费用都需要提供详细收据。"
QUOTED = "「図書館は何時に開きますか。」と学生が尋ねました。「九時です！」"
THAI = "เจ้าหน้าที่ที่เดินทางไปราชการของมหาวิทยาลัย ต้องเบิกค่าใช้จ่ายภายในสามสิบวันหลังจากเดินทางกลับ "
KHMER = "បុគ្គលិកដែលធ្វើដំណើរបំពេញការងាររបស់សាកលវិទ្យាល័យ ត្រូវស្នើសុំសំណងក្នុងរយៈពេលសាមសិបថ្ងៃ។ "
LAO = "ພະນັກງານທີ່ເດີນທາງໄປວຽກຂອງມະຫາວິທະຍາໄລ ຕ້ອງຂໍເບີກຄ່າໃຊ້ຈ່າຍພາຍໃນສາມສິບວັນ "
ARABIC = "يجب على الموظفين الذين يسافرون في مهام جامعية تقديم طلبات استرداد نفقاتهم خلال ثلاثين يوما. "
HEBREW = "עובדים הנוסעים בתפקיד מטעם האוניברסיטה יגישו בקשה להחזר הוצאות בתוך שלושים יום.\u200f "


def own_text(chunk: ChunkDraft) -> str:
    return chunk.text[chunk.overlap_characters :]


def chunked(text: str) -> list[ChunkDraft]:
    chunks = chunk_pages([Page(1, text)])
    assert len(chunks) > 3
    assert "".join("".join(own_text(chunk).split()) for chunk in chunks) == "".join(text.split())
    return chunks


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        (CHINESE, "。"),
        (QUOTED, ("」", "。")),
        (KHMER, "។"),
        (ARABIC, "يوما."),
        (HEBREW, "\u200f"),
    ],
    ids=["Chinese", "Japanese with quotations", "Khmer", "Arabic", "Hebrew with marks of direction"],
)
def test_text_is_cut_between_sentences(text: str, ends: str | tuple[str, ...]) -> None:
    sentence_starts = tuple(part.split()[0] for part in (CHINESE, "每笔", "「", "と", KHMER, ARABIC, HEBREW))
    for chunk in chunked(text * 60):
        assert chunk.text.endswith(ends)
        assert chunk.text.startswith(sentence_starts)


@pytest.mark.parametrize("text", [THAI, LAO], ids=["Thai", "Lao"])
def test_scripts_without_end_marks_are_cut_at_the_spaces_between_phrases(text: str) -> None:
    phrases = text.split()
    for chunk in chunked(text * 60):
        assert chunk.text.split()[0] in phrases
        assert chunk.text.split()[-1] in phrases


@pytest.mark.parametrize(
    "text",
    [
        "大学图书馆" * 2000,
        THAI.replace(" ", "") * 80,
        "\u1112\u1161\u11ab" * 3000,
        "👩\u200d👧\u200d👦" * 900,
        "🇫🇷" * 1500,
        "e\u0301" * 4000,
    ],
    ids=["Chinese", "Thai", "jamo", "families", "flags", "accents"],
)
def test_text_without_any_break_is_cut_between_letters(text: str) -> None:
    letters = {match.start() for match in regex.finditer(r"\X", text)}
    for chunk in chunked(text):
        assert chunk.offset in letters
        assert estimate_tokens(chunk.text) <= 420


@pytest.mark.parametrize("vowel", "เแโใไ")
def test_a_vowel_written_before_its_consonant_stays_with_it(vowel: str) -> None:
    for chunk in chunked(f"{vowel}ก" * 3000):
        assert chunk.text.startswith(vowel)


def test_consonants_joined_by_a_virama_stay_together() -> None:
    assert not may_cut("क्ष", 2)
    assert may_cut("कष", 1)


signs = st.sampled_from(
    [
        *"aक्षนำเแ가각힣が1👩🏽🇫🇷 \r\n",
        *"\u1100\u1161\u11a8\ua960\ud7b0\ud7cb",
        *"\u0301\u200c\u200d\ufe0f\u0600\uff76\uff9e",
    ]
)


@LAW
@given(st.lists(signs, max_size=12).map("".join))
def test_no_place_is_offered_inside_a_grapheme_cluster(text: str) -> None:
    clusters = {match.start() for match in regex.finditer(r"\X", text)} | {len(text)}
    assert {place for place in range(len(text)) if may_cut(text, place)} <= clusters
