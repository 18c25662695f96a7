"""A base backup, checked: `python -m deploy.backup.base [--full]`.

Incremental against the one before it where the server keeps summaries of its log (`summarize_wal = on`, PostgreSQL 17
and later) and a full one is younger than BACKUP_FULL_EVERY_DAYS. The log that it needs comes from the archive: a base
is only complete when that has arrived, so a day on which nobody receives the log ends with an error.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.backup.place import BackupError, Base, Place, place_from
from deploy.backup.programs import asked, concluded, require_same_cluster, run, sync

ARRIVAL_SECONDS = 60.0
"""In which the log that a base needs must have reached the archive."""


def main() -> None:
    """Make one and say its name. Raises BackupError."""
    parser = argparse.ArgumentParser(prog="python -m deploy.backup.base")
    parser.add_argument("--full", action="store_true", help="not incremental, whatever is here")
    print(make(place_from(), full=parser.parse_args().full).name)


def make(place: Place, *, full: bool = False) -> Base:
    """Take a base backup, check it, and give it its name. Raises BackupError; then nothing new is there."""
    require_same_cluster(place)
    place.bases_folder.mkdir(mode=0o700, exist_ok=True)
    draft = place.bases_folder / "new"
    shutil.rmtree(draft, ignore_errors=True)
    earlier = None if full else _to_build_on(place)
    if earlier:
        try:
            _take(place, draft, f"--incremental={place.bases_folder / earlier.name / 'backup_manifest'}")
        except BackupError as error:
            # Such as a server that was without summaries meanwhile: a full backup needs nothing of before.
            print(f"not incremental: {error}", file=sys.stderr, flush=True)
            shutil.rmtree(draft, ignore_errors=True)
            earlier = None
    if not earlier:
        _take(place, draft)
    first = _arrived(place, draft)
    run(place, "pg_verifybackup", "--exit-on-error", "--quiet", f"--wal-directory={place.wal}", str(draft))
    return _named(place, draft, "incremental" if earlier else "full", first)


def _to_build_on(place: Place) -> Base | None:
    """The last base, where an incremental one may follow it."""
    bases = place.bases()
    lately = datetime.now(UTC) - place.full_every
    if not any(base.kind == "full" and base.at > lately for base in bases):
        return None
    try:
        return bases[-1] if asked(place, "SHOW summarize_wal") == ["on"] else None
    except BackupError as error:
        if "unrecognized configuration parameter" in str(error):
            return None
        raise


def _take(place: Place, draft: Path, *more: str) -> None:
    command = (f"--pgdata={draft}", "--wal-method=none", "--checkpoint=fast", "--no-password", *more)
    run(place, "pg_basebackup", *command, address=place.database)


def _arrived(place: Place, draft: Path) -> str:
    """Wait for the log that this backup needs; its first file's name. Raises BackupError when it does not come."""
    ranges = json.loads((draft / "backup_manifest").read_text(encoding="utf-8"))["WAL-Ranges"]
    size = int(asked(place, "SHOW wal_segment_size")[0].removesuffix("MB")) * 2**20
    first = _segment(ranges[0]["Timeline"], ranges[0]["Start-LSN"], size)
    # The end is the position after the last byte: on a boundary it belongs to the file before.
    last = _segment(ranges[-1]["Timeline"], ranges[-1]["End-LSN"], size, back=1)
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while not (place.wal / last).exists():
        if time.monotonic() > deadline:
            raise BackupError(
                f"the log did not reach the archive in {ARRIVAL_SECONDS:g} s ({place.wal / last}): does "
                "`python -m deploy.backup.wal` run?"
            )
        time.sleep(0.1)
    return first


def _segment(timeline: int, position: str, size: int, back: int = 0) -> str:
    """The name of the log's file that a position lies in."""
    high, low = (int(part, 16) for part in position.split("/"))
    number, per_log = ((high << 32 | low) - back) // size, 2**32 // size
    return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"


def _named(place: Place, draft: Path, kind: str, first: str) -> Base:
    """Let the draft be a backup. Its time is rounded up: whatever it holds was written before it."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    latest = place.bases()[-1:]
    if latest and latest[0].at >= at:
        at = latest[0].at + timedelta(seconds=1)
    base = Base(at, kind, first)
    draft.rename(place.bases_folder / base.name)
    sync(place.bases_folder)
    return base


if __name__ == "__main__":
    sys.exit(concluded(main))
