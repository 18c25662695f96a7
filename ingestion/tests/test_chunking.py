"""Chunking: the laws that hold for every text, and what a reader expects of real ones."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import regex
from hypothesis import given

from ingestion.chunking import ChunkDraft, chunk_pages, estimate_tokens
from ingestion.extraction_types import Page
from ingestion.tests.drawn_texts import LAW, documents, sizes

SENTENCE = "Staff who travel on university business claim their expenses within thirty days of returning. "


def letters(texts: list[str]) -> str:
    """Everything but white space."""
    return "".join("".join(text.split()) for text in texts)


def own_text(chunk: ChunkDraft) -> str:
    return chunk.text[chunk.overlap_characters :]


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
def test_a_chunk_tells_where_its_own_text_begins(pages: list[Page], limits: dict[str, int]) -> None:
    texts = {page.number: page.text for page in pages}
    for chunk in chunk_pages(pages, **limits):
        from_here = texts[chunk.page_number][chunk.offset :]
        assert from_here.startswith(own_text(chunk)) or own_text(chunk).startswith(from_here.rstrip() + "\n\n")
        assert chunk.place == pytest.approx(chunk.offset / len(texts[chunk.page_number]), abs=0.0001)


@LAW
@given(documents, sizes)
def test_what_is_read_as_one_letter_is_never_torn(pages: list[Page], limits: dict[str, int]) -> None:
    starts = {page.number: {match.start() for match in regex.finditer(r"\X", page.text)} for page in pages}
    for chunk in chunk_pages(pages, **limits):
        assert chunk.offset in starts[chunk.page_number]


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


def test_a_megabyte_is_chunked_in_a_second() -> None:
    text = "\n\n".join(f"## Part {number}\n\n{SENTENCE * 30}" for number in range(370))
    started = time.process_time()
    chunk_pages([Page(1, text)])
    assert time.process_time() - started < 1.0, f"{len(text)} characters"
