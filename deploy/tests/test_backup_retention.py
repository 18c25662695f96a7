"""What is removed from a folder of backups: nothing that a restore to a kept moment needs, and all that is older."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.backup.place import BackupError, Base, base_named, chain_to
from deploy.backup.retention import kept_log, unneeded

NOW = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
DAYS = timedelta(days=30)
CUTOFF = NOW - DAYS
LISTS = {"20260101T000000Z.json": {"aa"}, "20261001T000000Z.json": {"bb"}, "20261120T000000Z.json": {"cc"}}


@st.composite
def archives(draw: st.DrawFn) -> tuple[list[Base], list[str]]:
    """Bases of some months, the first full, and the log that was written meanwhile, across failovers."""
    hours = sorted(draw(st.sets(st.integers(1, 24 * 90), min_size=1, max_size=25)), reverse=True)
    bases, number, timeline, log = [], 1, 1, []
    for place, ago in enumerate(hours):
        for _ in range(draw(st.integers(1, 3))):
            log.append(f"{timeline:08X}00000000{number:08X}")
            number += 1
        timeline += draw(st.booleans())
        kind = "full" if place == 0 or draw(st.booleans()) else "incremental"
        bases.append(Base(NOW - timedelta(hours=ago), kind, log[-1]))
    return bases, [*log, "00000002.history", f"{timeline:08X}00000000{number:08X}.partial"]


def left(bases: list[Base], log: list[str]) -> tuple[list[Base], set[str]]:
    """What of them is left."""
    names = [f"base/{base.name}" for base in bases] + [f"wal/{name}" for name in log]
    kept = set(names) - set(unneeded(names, CUTOFF, lambda name: LISTS[name]))
    found = [base for name in kept if (base := base_named(name.removeprefix("base/")))]
    return sorted(found), {name.removeprefix("wal/") for name in kept if name.startswith("wal/")}


@given(archives(), st.integers(0, 30 * 24))
def test_every_moment_of_the_kept_days_can_be_restored_as_before(
    archive: tuple[list[Base], list[str]], hours: int
) -> None:
    bases, log = archive
    moment = NOW - timedelta(hours=hours)
    before = [base for base in bases if base.at <= moment]
    kept, kept_files = left(bases, log)
    if before:
        assert before[-1] in kept
        assert chain_to(before[-1], kept) == chain_to(before[-1], sorted(bases))
        needed = {name for name in log if len(name) == 24 and name[8:] >= before[-1].segment[8:]}
        assert needed <= kept_files
    assert {name for name in log if len(name) != 24} <= kept_files


@given(archives())
def test_what_no_kept_moment_needs_goes(archive: tuple[list[Base], list[str]]) -> None:
    bases, log = archive
    kept, kept_files = left(bases, log)
    last_before = [base for base in bases if base.at <= CUTOFF][-1:]
    oldest = chain_to(last_before[0], sorted(bases))[0] if last_before else bases[0]
    assert not [base for base in kept if base < oldest]
    assert not [name for name in kept_files if len(name) == 24 and name[8:] < oldest.segment[8:]]


def test_without_a_base_the_whole_log_stays() -> None:
    assert kept_log({"000000010000000000000001"}, []) == {"000000010000000000000001"}


def test_a_broken_chain_removes_nothing() -> None:
    lonely = Base(NOW - timedelta(days=1), "incremental", "000000010000000000000009")
    with pytest.raises(BackupError, match="the full backup before it is not here"):
        unneeded([f"base/{lonely.name}", "wal/000000010000000000000001"], CUTOFF, lambda name: LISTS[name])


def test_dumps_and_originals_of_the_kept_days_and_the_last_before_stay() -> None:
    dumps = [f"dump/{day}T000000Z.dump" for day in ("20260101", "20261001", "20261120")]
    contents = [f"media/objects/{one}/{one}" for one in ("aa", "bb", "cc", "dd")]
    names = [*dumps, *contents, *(f"media/lists/{name}" for name in LISTS)]
    assert unneeded(names, CUTOFF, lambda name: LISTS[name]) == [
        "dump/20260101T000000Z.dump",
        "media/lists/20260101T000000Z.json",
        "media/objects/aa/aa",
        "media/objects/dd/dd",
    ]
