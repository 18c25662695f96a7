"""Lay out a data folder that a server brings to a moment: `python -m deploy.backup.restore --to TIME --into FOLDER`.

TIME is ISO 8601 with its time zone (`2026-11-24T09:30:00+01:00`), or `latest`: all that is in the archive. Nothing is
started, nothing of the backup is changed; what to do next is printed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.backup.place import SEGMENT, BackupError, Base, Place, chain_to, place_from
from deploy.backup.programs import concluded, program, run

_COMMITTED = re.compile(r"desc: COMMIT(?:_PREPARED)? (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC")

NEXT = """{folder} is laid out from {base}{chain}, to be brought to {goal}.

1. The folder must belong to the user that the server runs as: chown -R postgres: {folder}
2. Start a server on it, with nobody else able to reach it: {postgres} -D {folder} -p PORT
   It fetches the log from {wal}, replays it, and then takes writes.
3. Look whether it is what you want: psql -p PORT
4. Before people reach it, empty the cache: valkey-cli flushall. What it holds is of later than the database.
5. Restore the originals: python -m deploy.backup.media --restore FOLDER --to {time}
6. Have `python -m deploy.backup.wal` receive the new server's log, and make a base backup.
"""


@dataclass(frozen=True)
class Laid:
    """What was laid out: the bases that it is made of, and up to when the server replays (None: to the end)."""

    chain: list[Base]
    until: datetime | None


def main() -> None:
    """Lay out a folder and say what comes next. Raises BackupError."""
    parser = argparse.ArgumentParser(prog="python -m deploy.backup.restore")
    parser.add_argument("--to", required=True, metavar="TIME", help="a time with its zone, or 'latest'")
    parser.add_argument("--into", required=True, metavar="FOLDER", type=Path, help="a folder that is not there yet")
    options = parser.parse_args()
    place, to = place_from(), asked_time(options.to)
    laid = lay_out(place, to, options.into.absolute())
    print(
        NEXT.format(
            folder=options.into.absolute(),
            base=laid.chain[-1].name,
            chain=f" and the {len(laid.chain) - 1} before it" if len(laid.chain) > 1 else "",
            goal=laid.until.isoformat() if laid.until else "the end of the archive",
            postgres=program(place, "postgres"),
            wal=place.wal,
            time=options.to,
        )
    )


def asked_time(text: str) -> datetime | None:
    """The moment that is meant; None for `latest`. Raises BackupError."""
    if text == "latest":
        return None
    try:
        to = datetime.fromisoformat(text)
    except ValueError as error:
        raise BackupError(f"{text!r} is no time: write 2026-11-24T09:30:00+01:00, or latest.") from error
    if to.tzinfo is None:
        raise BackupError(f"{text} may be meant in any time zone: add it, as in {text}+00:00.")
    return to.astimezone(UTC)


def lay_out(place: Place, to: datetime | None, folder: Path) -> Laid:
    """Make the data folder. Raises BackupError, and then there is none."""
    if folder.exists():
        raise BackupError(f"{folder} is there already: name a folder that is not.")
    base = base_before(place, to)
    chain = chain_to(base, place.bases())
    last = require_log(place, base, to)
    # A server refuses a moment after the last commit: where none is later, the end of the log is that moment.
    until = to if to and _committed_after(place, base.segment, last, to) else None
    paths = [str(place.bases_folder / one.name) for one in chain]
    draft = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    if len(paths) > 1:
        run(place, "pg_combinebackup", f"--output={draft}", *paths)
    else:
        shutil.copytree(paths[0], draft, symlinks=True)
    draft.chmod(0o700)
    _have_it_recover(place, draft, until)
    draft.rename(folder)
    return Laid(chain, until)


def base_before(place: Place, to: datetime | None) -> Base:
    """The last base that was complete by then. Raises BackupError where there is none."""
    bases = place.bases()
    if not bases:
        raise BackupError(f"there is no base backup in {place.bases_folder}.")
    fit = [base for base in bases if to is None or base.at <= to]
    if not fit:
        raise BackupError(
            f"there is no base backup from before {to}: the earliest was complete at {bases[0].at.isoformat()}."
        )
    return fit[-1]


def require_log(place: Place, base: Base, to: datetime | None) -> str:
    """The last file of the log that follows this base without a gap. Raises BackupError where one is missing before.

    A file was last written when the log left it, so a gap after a file that is younger than `to` does not matter.
    """
    files = log_files(place)
    if base.segment not in files:
        raise BackupError(f"the log of {base.name} is missing: {place.wal / base.segment} is not there.")
    after = sorted((name for name in files if name[8:] >= base.segment[8:]), key=lambda name: (name[8:], name))
    numbers = sorted({name[8:] for name in after})
    per_log = 2**32 // max(1, (place.wal / files[base.segment]).stat().st_size)
    for one, following in itertools.pairwise(numbers):
        log, segment = int(one[:8], 16), int(one[8:], 16)
        expected = f"{log + (segment + 1) // per_log:08X}{(segment + 1) % per_log:08X}"
        if following != expected:
            last = [name for name in after if name[8:] == one][-1]
            until = datetime.fromtimestamp((place.wal / files[last]).stat().st_mtime, UTC)
            if to is None or to >= until:
                raise BackupError(
                    f"the log is missing from …{expected} on: {until.isoformat(timespec='seconds')} is the latest time "
                    "to which it can be restored from this base; or bring the file back from the off-site copy."
                )
            return last
    return after[-1]


def log_files(place: Place) -> dict[str, str]:
    """Segments of the log by their names: the name of their file, which for the one being written is another."""
    names = {path.name for path in place.wal.iterdir()} if place.wal.is_dir() else set()
    unfinished = {name.removesuffix(".partial"): name for name in names if name.endswith(".partial")}
    return unfinished | {name: name for name in names if SEGMENT.match(name)}


def _committed_after(place: Place, first: str, last: str, to: datetime) -> bool:
    """Whether the log tells of a commit later than this: asked of its files from the last backwards."""
    files = log_files(place)
    names = sorted((name for name in files if first[8:] <= name[8:] <= last[8:]), key=lambda name: (name[8:], name))
    with tempfile.TemporaryDirectory() as scratch:
        for name in reversed(names):
            # By its own name, which one that is being written does not have.
            link = Path(scratch) / name
            link.symlink_to((place.wal / files[name]).absolute())
            times = _COMMITTED.findall(_commits(place, link))
            if times:
                return datetime.fromisoformat(f"{times[-1]}+00:00") > to
    return False


def _commits(place: Place, segment: Path) -> str:
    """What a file of the log tells of transactions; the log may end before the file does."""
    command = [program(place, "pg_waldump"), "--rmgr=Transaction", str(segment)]
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment).stdout


def _have_it_recover(place: Place, folder: Path, until: datetime | None) -> None:
    """The settings by which a server on this folder fetches the log, replays it up to that moment, and takes over."""
    wal = shlex.quote(str(place.wal.absolute()))
    fetch = f'cp {wal}/"%f" "%p" 2>/dev/null || cp {wal}/"%f.partial" "%p" 2>/dev/null'
    settings = {"restore_command": fetch, "recovery_target_timeline": "latest"}
    if until:
        settings |= {"recovery_target_time": until.isoformat(sep=" "), "recovery_target_action": "promote"}
    with (folder / "postgresql.auto.conf").open("a", encoding="utf-8") as configuration:
        for name, value in settings.items():
            escaped = value.replace("'", "''")
            configuration.write(f"{name} = '{escaped}'\n")
    (folder / "recovery.signal").touch(mode=0o600)


if __name__ == "__main__":
    sys.exit(concluded(main))
