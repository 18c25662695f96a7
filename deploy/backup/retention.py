"""What backups are no longer needed: `python -m deploy.backup.retention [--dry-run]`.

Kept is all that a restore to any moment of the last BACKUP_RETENTION_DAYS needs: each base backup since then and the
last one before, the full and incremental ones that these are built on, the whole log from the oldest of them on, the
originals in each list since then and in the last before, and the dumps of these days, the latest one in any case.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from deploy.backup import media
from deploy.backup.place import SEGMENT, Base, Place, base_named, chain_to, moment, place_from
from deploy.backup.programs import concluded


def main() -> None:
    """Remove what is no longer needed, and say what. Raises BackupError."""
    parser = argparse.ArgumentParser(prog="python -m deploy.backup.retention")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    dry = parser.parse_args().dry_run
    place = place_from()
    names = unneeded_here(place, datetime.now(UTC))
    if not dry:
        remove(place, names)
    print("\n".join(names))


def kept_bases(bases: Collection[Base], cutoff: datetime) -> list[Base]:
    """The bases from which every moment since `cutoff` can be reached, with those they are built on."""
    known = sorted(bases)
    wanted = [base for base in known if base.at > cutoff] + [base for base in known if base.at <= cutoff][-1:]
    return sorted({one for base in wanted for one in chain_to(base, known)})


def kept_log(files: Collection[str], kept: Collection[Base]) -> set[str]:
    """The files of the log that these bases need: all from the beginning of the oldest one's on.

    Segments of different timelines go on counting, so their numbers are compared without the timeline. Whatever is no
    segment (what a timeline came from, what is being written) stays.
    """
    first = min((base.segment[8:] for base in kept), default="")
    return {name for name in files if not SEGMENT.match(name) or name[8:] >= first}


def kept_by_time(names: Collection[str], cutoff: datetime) -> set[str]:
    """Of names that begin with their time: those since `cutoff`, and the last one before it."""
    dated = sorted((moment(name.partition(".")[0]), name) for name in names)
    before = [name for at, name in dated if at <= cutoff][-1:]
    return {name for at, name in dated if at > cutoff} | set(before)


def unneeded(names: Collection[str], cutoff: datetime, named_in: Callable[[str], set[str]]) -> list[str]:
    """Of these files, by their paths below a folder of backups, those that no restore since `cutoff` needs.

    `named_in` says which contents a list of originals names. Raises BackupError where a chain of bases is broken.
    """
    below = {kind: {name for name in names if name.startswith(f"{kind}/")} for kind in ("base", "wal", "dump", "media")}
    bases = {base: name for name in below["base"] if (base := base_named(name.partition("/")[2]))}
    kept = kept_bases(bases, cutoff)
    log = {name.partition("/")[2]: name for name in below["wal"]}
    dumps = {name.partition("/")[2]: name for name in below["dump"] if name.endswith(".dump")}
    lists = {name.rpartition("/")[2]: name for name in below["media"] if name.endswith(".json")}
    contents = {name.rpartition("/")[2]: name for name in below["media"] if name.startswith("media/objects/")}
    kept_lists = kept_by_time(lists, cutoff)
    needed = {one for name in kept_lists for one in named_in(name)}
    return sorted(
        [name for base, name in bases.items() if base not in kept]
        + [log[name] for name in log.keys() - kept_log(log, kept)]
        + [dumps[name] for name in dumps.keys() - kept_by_time(dumps, cutoff)]
        + [lists[name] for name in lists.keys() - kept_lists]
        + [contents[name] for name in contents.keys() - needed]
    )


def unneeded_here(place: Place, now: datetime) -> list[str]:
    """What is not needed any more in the folder of backups. Raises BackupError."""
    found = [path for kind in ("base", "wal", "dump", "media/lists", "media/objects/??") for path in _in(place, kind)]
    return unneeded(found, now - place.retention, lambda name: media.named_in(place, name))


def remove(place: Place, names: Collection[str]) -> None:
    """Remove these from the folder of backups: what is built on others before those."""
    for name in sorted(names, reverse=True):
        path = place.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _in(place: Place, kind: str) -> list[str]:
    return [str(path.relative_to(place.folder)) for path in place.folder.glob(f"{kind}/*")]


if __name__ == "__main__":
    sys.exit(concluded(main))
