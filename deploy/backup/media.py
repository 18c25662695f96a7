"""The originals: `python -m deploy.backup.media`, and back `… --restore FOLDER --to TIME`.

Each content is kept once, under its SHA-256, and each run writes a list of the files there were. What was deleted from
the originals stays in the backup for as long as a list that is kept names it. A file that was read before is read again
only if its size or its time has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.backup.place import STAMP, BackupError, Place, moment, place_from
from deploy.backup.programs import concluded, sync
from deploy.backup.restore import asked_time

BLOCK = 2**20


def main() -> None:
    """Copy the originals, or bring them back. Raises BackupError."""
    parser = argparse.ArgumentParser(prog="python -m deploy.backup.media")
    parser.add_argument("--restore", metavar="FOLDER", type=Path, help="bring the originals back into this folder")
    parser.add_argument("--to", metavar="TIME", default="latest", help="as they were then, or 'latest'")
    options = parser.parse_args()
    place = place_from()
    if options.restore:
        print(f"{restore(place, asked_time(options.to), options.restore)} files restored into {options.restore}")
    else:
        print(f"{copy(place)} new contents copied")


def copy(place: Place) -> int:
    """Copy what is new, and write the list; how many contents were new. Raises BackupError."""
    source = Path(place.media)
    if not place.media or not source.is_dir():
        raise BackupError("Set MEDIA_ROOT to the folder of the originals, which must be there.")
    lists = place.media_folder / "lists"
    lists.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = _latest(place)
    files: dict[str, dict[str, Any]] = {}
    new = 0
    for path in sorted(source.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        try:
            now, known = path.stat(), before.get(str(path.relative_to(source)))
            if known and (known["size"], known["modified"]) == (now.st_size, now.st_mtime_ns):
                digest = str(known["sha256"])
            else:
                digest, fresh = _kept(place, path)
                new += fresh
        except FileNotFoundError:
            continue  # Deleted as we came to it.
        files[str(path.relative_to(source))] = {
            "sha256": digest,
            "size": now.st_size,
            "modified": now.st_mtime_ns,
        }
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    draft = lists / "new"
    draft.write_text(json.dumps(files), encoding="utf-8")
    sync(draft)
    draft.rename(lists / f"{at.strftime(STAMP)}.json")
    sync(lists)
    return new


def restore(place: Place, to: datetime | None, folder: Path) -> int:
    """Bring back the originals as of that moment; how many. Raises BackupError.

    Also those of the first list after it, which were there at the moment or came soon after: the portal clears away
    what no document names.
    """
    names = sorted(path.name for path in (place.media_folder / "lists").glob("*.json"))
    before = [name for name in names if to is None or moment(name.partition(".")[0]) <= to]
    after = names[len(before) :][:1]
    if not before and not after:
        raise BackupError(f"there is no list of originals in {place.media_folder / 'lists'}.")
    files = {path: one for name in (*after, *before[-1:]) for path, one in _listed(place, name).items()}
    for path, one in files.items():
        target = folder / path
        if not target.resolve().is_relative_to(folder.resolve()):
            raise BackupError(f"the list names {path!r}, which lies outside of {folder}.")
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f"{target.name}.new")
        if _copied(_object(place, one["sha256"]), draft) != one["sha256"]:
            raise BackupError(f"the backup of {path} is damaged: {_object(place, one['sha256'])}.")
        draft.rename(target)
    return len(files)


def named_in(place: Place, name: str) -> set[str]:
    """The contents that a list names."""
    return {str(one["sha256"]) for one in _listed(place, name).values()}


def _kept(place: Place, path: Path) -> tuple[str, bool]:
    """Keep the content of a file; its checksum, and whether it is new."""
    folder = place.media_folder / "objects"
    folder.mkdir(mode=0o700, exist_ok=True)
    draft = folder / ".new"
    digest = _copied(path, draft)
    target = _object(place, digest)
    if target.exists():
        draft.unlink()
        return digest, False
    target.parent.mkdir(mode=0o700, exist_ok=True)
    draft.rename(target)
    sync(target.parent)
    return digest, True


def _copied(source: Path, target: Path) -> str:
    """Copy a file to the disk; the checksum of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(BLOCK):
            digest.update(block)
            writer.write(block)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def _object(place: Place, digest: str) -> Path:
    return place.media_folder / "objects" / digest[:2] / digest


def _listed(place: Place, name: str) -> dict[str, dict[str, Any]]:
    listed: dict[str, dict[str, Any]] = json.loads((place.media_folder / "lists" / name).read_text(encoding="utf-8"))
    return listed


def _latest(place: Place) -> dict[str, dict[str, Any]]:
    names = sorted(path.name for path in (place.media_folder / "lists").glob("*.json"))
    return _listed(place, names[-1]) if names else {}


if __name__ == "__main__":
    sys.exit(concluded(main))
