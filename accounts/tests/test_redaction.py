"""What is taken for personal data and what is not, over lines that were labelled by hand before the rules were written.

A line of redaction.tsv is its half and a text, in which personal data stand as [[kind:text]]. The rules were made while
looking at the half `tune` alone. The first look at `held` gave a precision of 1.00 and a recall of 0.977 (84 of 86);
the two that were missed (`tel:` before a number, a postcode that ends in TH) are found since.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

import pytest

from accounts.redaction import Kind, count, find, redact

LABELLED = Path(__file__).with_name("redaction.tsv")
MARK = re.compile(r"\[\[(\w+):(.*?)\]\]")


def labelled(half: str) -> list[tuple[str, set[tuple[str, int, int]]]]:
    """Of each line the text, and kind, beginning and end of what must be found in it."""
    lines = []
    for line in LABELLED.read_text(encoding="utf-8").splitlines():
        which, marked = line.split("\t")
        if half in (which, "all"):
            text, expected, last = "", set(), 0
            for mark in MARK.finditer(marked):
                text += marked[last : mark.start()]
                expected.add((mark[1], len(text), len(text) + len(mark[2])))
                text += mark[2]
                last = mark.end()
            lines.append((text + marked[last:], expected))
    return lines


def found_in(text: str) -> set[tuple[str, int, int]]:
    return {(str(one.kind), one.start, one.end) for one in find(text)}


@pytest.mark.parametrize("half", ["tune", "held", "all"])
def test_precision_and_recall_are_at_least_098(half: str) -> None:
    tally: Counter[str] = Counter()
    wrong = []
    for text, expected in labelled(half):
        found = found_in(text)
        tally += Counter(right=len(found & expected), found=len(found), there=len(expected))
        if found != expected:
            wrong.append((text, sorted(found ^ expected)))
    precision, recall = tally["right"] / tally["found"], tally["right"] / tally["there"]
    assert min(precision, recall) >= 0.98, (precision, recall, wrong)


def test_there_are_at_least_400_lines_and_every_kind_is_in_both_halves() -> None:
    assert len(labelled("all")) >= 400
    for half in ("tune", "held"):
        assert {kind for _, expected in labelled(half) for kind, _, _ in expected} == {str(kind) for kind in Kind}


def test_the_kind_stands_in_its_place_and_the_rest_stays() -> None:
    said = "Call 0131 650 1000 or ｊａｎｅ＠ｅｄ．ａｃ．ｕｋ, room 1234."
    assert redact(said) == "Call [phone] or [email], room 1234."
    assert count(said) == {Kind.PHONE: 1, Kind.EMAIL: 1}
    assert redact("form B12 3CD") == "form B12 3CD"
    assert redact("") == ""


def test_what_was_redacted_is_left_alone() -> None:
    for text, _ in labelled("all"):
        once = redact(text)
        assert redact(once) == once


@pytest.mark.parametrize(
    "piece",
    ["a.", "a@", "a@b.", "0 ", "0", "4-", "s1", "user1 ", "ab 12 ", "at dot ", "(0", "E ", "\u200b", "é", "x at "],
)
def test_a_long_text_takes_a_time_that_grows_with_its_length(piece: str) -> None:
    def seconds(times: int) -> float:
        begun = time.process_time()
        find(piece * times)
        return time.process_time() - begun

    seconds(100)
    short, long = max(seconds(2_000), 0.002), seconds(20_000)
    assert long < 40 * short
