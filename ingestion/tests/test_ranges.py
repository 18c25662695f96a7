"""Stretches of a file as HTTP asks for them."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.ranges import Stretch, Unsatisfiable, asked_stretch, blocks, unchanged


@pytest.mark.parametrize(
    ("header", "stretch"),
    [
        ("bytes=0-9", Stretch(0, 9)),
        ("bytes=90-", Stretch(90, 99)),
        ("bytes=90-4000", Stretch(90, 99)),
        ("bytes=-5", Stretch(95, 99)),
        ("bytes=-4000", Stretch(0, 99)),
        ("Bytes=0-0", Stretch(0, 0)),
    ],
)
def test_one_stretch_is_understood(header: str, stretch: Stretch) -> None:
    assert asked_stretch(header, 100) == stretch


@pytest.mark.parametrize(
    "header", ["", "bytes=-", "bytes=5-2", "bytes=0-1,4-5", "lines=0-1", "bytes 0-1", "bytes=a-b", "bytes=٠-٩"]
)
def test_what_is_no_single_stretch_asks_for_the_whole(header: str) -> None:
    assert asked_stretch(header, 100) is None


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0)])
def test_beyond_the_end_there_is_nothing(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        asked_stretch(header, size)


@given(size=st.integers(1, 300_000), first=st.integers(0, 300_000), length=st.integers(1, 300_000))
def test_the_bytes_are_those_of_the_stretch(size: int, first: int, length: int) -> None:
    whole = bytes(size)[: first % size] + b"x" * (size - first % size)
    stretch = asked_stretch(f"bytes={first % size}-{first % size + length - 1}", size)
    assert stretch is not None
    stored = io.BytesIO(whole)
    assert b"".join(blocks(stored, stretch)) == whole[stretch.first : stretch.last + 1]
    assert stored.closed


def test_a_stretch_follows_on_the_same_content_only() -> None:
    assert unchanged("", '"abc"')
    assert unchanged('"abc"', '"abc"')
    assert not unchanged('"abd"', '"abc"')
    assert not unchanged("Tue, 24 Nov 2026 03:00:00 GMT", '"abc"')
    assert not unchanged('W/"abc"', '"abc"')
