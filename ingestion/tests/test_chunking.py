"""Chunking: the laws that hold for every text, and what a reader expects of real ones."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.chunking import ChunkDraft, chunk_pages, estimate_tokens
from ingestion.extraction_types import Page

# Time says nothing about a law: a loaded machine may draw its examples slowly.
LAW = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SENTENCE = "Staff who travel on university business claim their expenses within thirty days of returning. "
CHINESE = "因公出差的教职员工应在返回后三十天内报销费用。每笔超过五英镑的费用都需要提供详细收据。"
ARABIC = "يجب على الموظفين الذين يسافرون في مهام جامعية تقديم طلبات استرداد نفقاتهم خلال ثلاثين يوما. "


def letters(texts: list[str]) -> str:
    """Everything but white space."""
    return "".join("".join(text.split()) for text in texts)


def own_text(chunk: ChunkDraft) -> str:
    return chunk.text[chunk.overlap_characters :]


words = st.sampled_from(
    [
        "Claim",
        "within",
        "thirty",
        "days.",
        "Dr.",
        "Straße",
        "大学图书馆",
        "开放时间。",
        "ห้องสมุด",
        "الجامعة",
        "e\u0301",
        "👩‍👧",
        "HR-12",
        "a" * 90,
    ]
)
prose = st.lists(words, min_size=1, max_size=120).map(" ".join)
blocks = st.one_of(
    prose,
    prose.map(lambda text: text.replace(" ", "")),
    st.tuples(st.integers(1, 6), st.lists(words, min_size=1, max_size=6)).map(
        lambda pair: f"{'#' * pair[0]} {' '.join(pair[1])}"
    ),
    st.lists(prose, min_size=1, max_size=8).map(lambda points: "\n".join(f"- {point}" for point in points)),
    st.lists(st.lists(words, min_size=2, max_size=2), min_size=1, max_size=20).map(
        lambda rows: "| a | b |\n| --- | --- |\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)
    ),
    prose.map(lambda text: f"```\n{text}\n```"),
    st.text(max_size=300),
)
documents = st.lists(st.lists(blocks, max_size=6).map("\n\n".join), max_size=5).map(
    lambda texts: [Page(number, text) for number, text in enumerate(texts, start=1)]
)
sizes = st.tuples(st.integers(16, 120), st.integers(0, 60), st.integers(0, 100)).map(
    lambda drawn: {
        "target_tokens": drawn[0],
        "ceiling_tokens": drawn[0] + drawn[2],
        "overlap_tokens": min(drawn[1], drawn[0] // 2),
    }
)


@LAW
@given(documents, sizes)
def test_nothing_is_lost_or_doubled_and_order_is_kept(pages: list[Page], limits: dict[str, int]) -> None:
    chunks = chunk_pages(pages, **limits)
    assert letters([own_text(chunk) for chunk in chunks]) == letters([page.text for page in pages])


@LAW
@given(documents, sizes)
def test_no_chunk_is_above_the_ceiling(pages: list[Page], limits: dict[str, int]) -> None:
    for chunk in chunk_pages(pages, **limits):
        assert estimate_tokens(chunk.text) <= limits["ceiling_tokens"]


@LAW
@given(documents, sizes)
def test_positions_count_up_and_pages_stay_in_range_and_order(pages: list[Page], limits: dict[str, int]) -> None:
    chunks = chunk_pages(pages, **limits)
    assert [chunk.position for chunk in chunks] == list(range(len(chunks)))
    numbers = [chunk.page_number for chunk in chunks]
    assert numbers == sorted(numbers)
    assert set(numbers) <= {page.number for page in pages}
    assert all(own_text(chunk).strip() for chunk in chunks)


@LAW
@given(documents, sizes)
def test_overlap_repeats_text_from_before_and_is_bounded(pages: list[Page], limits: dict[str, int]) -> None:
    chunks = chunk_pages(pages, **limits)
    for before, chunk in pairwise(chunks):
        overlap = chunk.text[: chunk.overlap_characters].strip()
        if overlap and overlap not in before.text:
            assert overlap.startswith("|"), "only the head of a table comes from further before"
        assert estimate_tokens(overlap) <= 2 * limits["overlap_tokens"]
    assert all(chunk.overlap_characters == 0 for chunk in chunks[:1])


@LAW
@given(documents, sizes)
def test_a_letter_is_never_torn_from_its_marks(pages: list[Page], limits: dict[str, int]) -> None:
    for chunk in chunk_pages(pages, **limits):
        assert (
            not chunk.text.startswith(("\u0301", "\u200d", "\u0e49"))
            or chunk.text in {page.text for page in pages}
            or any(block.startswith(chunk.text[0]) for page in pages for block in page.text.split())
        )


def test_a_section_begins_a_chunk_and_names_it_with_its_path() -> None:
    text = f"# Travel\n\n{SENTENCE * 6}\n\n## Claims\n\n{SENTENCE * 6}\n\n# Leave\n\n{SENTENCE * 6}"
    chunks = chunk_pages([Page(1, text)])
    assert [chunk.section_title for chunk in chunks] == ["Travel", "Travel > Claims", "Leave"]
    assert [chunk.text.split("\n")[0] for chunk in chunks] == ["# Travel", "## Claims", "# Leave"]


def test_tiny_sections_share_a_chunk_and_keep_their_headings() -> None:
    text = "# Hours\n\n## Monday\n\nNine to five.\n\n## Tuesday\n\nNine to six.\n\n## Sunday\n\nClosed."
    (chunk,) = chunk_pages([Page(1, text)])
    assert chunk.section_title == "Hours > Monday"
    assert chunk.text == text


def test_a_heading_never_stands_last_in_a_chunk() -> None:
    text = "\n\n".join(f"## Part {number}\n\n{SENTENCE * 14}" for number in range(6))
    for chunk in chunk_pages([Page(1, text)]):
        assert not chunk.text.rstrip().split("\n")[-1].startswith("#")


def test_long_text_is_cut_between_sentences_with_whole_sentences_repeated() -> None:
    chunks = chunk_pages([Page(1, SENTENCE * 100)])
    assert len(chunks) > 5
    for chunk in chunks:
        assert own_text(chunk).startswith("Staff")
        assert chunk.text.endswith("returning.")
    assert all(chunk.overlap_characters >= len(SENTENCE.strip()) for chunk in chunks[1:])


def test_chunks_are_about_the_target_long() -> None:
    counts = [estimate_tokens(chunk.text) for chunk in chunk_pages([Page(1, SENTENCE * 300)])]
    assert all(240 <= count <= 330 for count in counts[:-1])


def test_a_chunk_belongs_to_the_page_where_its_own_text_starts() -> None:
    pages = [Page(number, f"{SENTENCE * 20}Page {number} ends here.") for number in (14, 15, 16)]
    chunks = chunk_pages(pages)
    assert {chunk.page_number for chunk in chunks} == {14, 15, 16}
    for chunk in chunks:
        if "Page 15 ends here." in own_text(chunk):
            assert chunk.page_number == 15


def test_a_section_goes_on_over_the_page() -> None:
    chunks = chunk_pages([Page(1, f"# Claims\n\n{SENTENCE * 20}"), Page(2, SENTENCE * 20)])
    assert chunks[-1].page_number == 2
    assert chunks[-1].section_title == "Claims"


def test_a_table_stays_whole_where_it_fits() -> None:
    table = "| Country | Rate |\n| --- | --- |\n" + "\n".join(f"| Country {n} | {n} EUR |" for n in range(20))
    chunks = chunk_pages([Page(1, f"{SENTENCE * 12}\n\n{table}\n\n{SENTENCE * 12}")])
    assert sum("| Country 0 |" in chunk.text and "| Country 19 |" in chunk.text for chunk in chunks) == 1


def test_a_long_table_is_cut_between_rows_and_repeats_its_head() -> None:
    table = "| Country | Rate |\n| --- | --- |\n" + "\n".join(f"| Country {n} | {n} EUR |" for n in range(200))
    chunks = chunk_pages([Page(1, table)])
    assert len(chunks) > 3
    for chunk in chunks:
        assert chunk.text.startswith("| Country | Rate |\n| --- | --- |\n| Country ")
        assert all(line.startswith("|") and line.endswith("|") for line in chunk.text.split("\n"))


def test_a_long_list_is_cut_between_points() -> None:
    points = "\n".join(f"- Point {n}: {SENTENCE.strip()}\n  and its second line" for n in range(60))
    for chunk in chunk_pages([Page(1, points)]):
        assert own_text(chunk).startswith("- Point")
        assert chunk.text.endswith("second line")


def test_chinese_is_cut_after_its_full_stops() -> None:
    chunks = chunk_pages([Page(1, CHINESE * 60)])
    assert len(chunks) > 3
    assert all(chunk.text.endswith("。") for chunk in chunks)
    assert all(estimate_tokens(chunk.text) <= 450 for chunk in chunks)


def test_text_without_any_break_is_cut_between_characters() -> None:
    chunks = chunk_pages([Page(1, "大学图书馆" * 2000)])
    assert letters([own_text(chunk) for chunk in chunks]) == "大学图书馆" * 2000


def test_arabic_is_cut_between_sentences() -> None:
    chunks = chunk_pages([Page(1, ARABIC * 60)])
    assert len(chunks) > 3
    assert all(chunk.text.endswith("يوما.") for chunk in chunks)


def test_hash_marks_in_code_are_no_headings() -> None:
    text = f"# Set-up\n\n{SENTENCE * 4}\n\n```\n# install it\npip install x\n```\n\n{SENTENCE * 4}"
    assert {chunk.section_title for chunk in chunk_pages([Page(1, text)])} == {"Set-up"}


def test_a_section_title_is_bounded_and_keeps_the_nearest_heading() -> None:
    text = "\n\n".join(f"{'#' * level} {'Long heading ' * 6}{level}" for level in range(1, 6)) + f"\n\n{SENTENCE}"
    (chunk,) = chunk_pages([Page(1, text)])
    assert len(chunk.section_title) <= 200
    assert chunk.section_title.endswith("5")


@pytest.mark.parametrize("pages", [[], [Page(1, "")], [Page(1, " \n\n\t"), Page(2, "\n")]])
def test_nothing_gives_no_chunks(pages: list[Page]) -> None:
    assert chunk_pages(pages) == []


@pytest.mark.parametrize(
    "limits",
    [{"target_tokens": 10}, {"target_tokens": 500}, {"overlap_tokens": -1}, {"overlap_tokens": 200}],
)
def test_impossible_sizes_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="target_tokens"):
        chunk_pages([Page(1, SENTENCE)], **limits)


def test_another_token_counter_holds_its_ceiling() -> None:
    def by_words(text: str) -> int:
        return len(text.split())

    chunks = chunk_pages(
        [Page(1, SENTENCE * 100)], target_tokens=50, ceiling_tokens=60, overlap_tokens=10, count_tokens=by_words
    )
    assert all(by_words(chunk.text) <= 60 for chunk in chunks)
    assert len(chunks) > 20


@pytest.mark.parametrize(
    ("text", "truth"),
    # Counted with multilingual-e5-small's tokenizer, without its prefix and marks.
    [(SENTENCE * 4, 77), (CHINESE * 4, 125), (ARABIC * 4, 105)],
    ids=["English", "Chinese", "Arabic"],
)
def test_the_estimate_is_near_the_model(text: str, truth: int) -> None:
    assert 0.75 * truth <= estimate_tokens(text) <= 1.35 * truth


def test_no_text_has_no_tokens_and_parts_never_have_fewer_than_the_whole() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens(SENTENCE + CHINESE) <= estimate_tokens(SENTENCE) + estimate_tokens(CHINESE)


def test_a_megabyte_is_chunked_in_a_second() -> None:
    text = "\n\n".join(f"## Part {number}\n\n{SENTENCE * 30}" for number in range(370))
    started = time.perf_counter()
    chunk_pages([Page(1, text)])
    assert time.perf_counter() - started < 1.0, f"{len(text)} characters"
