"""A logical dump, checked: `python -m deploy.backup.dump`. It outlives PostgreSQL's versions, and one table can be
brought back from it; it knows no moments in between."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from deploy.backup.place import STAMP, BackupError, Place, place_from
from deploy.backup.programs import concluded, run, sync


def main() -> None:
    """Make one and say its name. Raises BackupError."""
    print(make(place_from()).name)


def make(place: Place) -> Path:
    """Dump the portal's database; the file. Raises BackupError, and then there is none."""
    place.dumps_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = place.dumps_folder / "new"
    draft.unlink(missing_ok=True)
    at = datetime.now(UTC)
    run(place, "pg_dump", "--format=custom", "--no-password", f"--file={draft}", address=place.dump_database)
    if "TABLE DATA" not in run(place, "pg_restore", "--list", str(draft)):
        raise BackupError("the dump holds no table: is this the portal's database?")
    sync(draft)
    path = place.dumps_folder / f"{at.strftime(STAMP)}.dump"
    draft.rename(path)
    sync(place.dumps_folder)
    return path


if __name__ == "__main__":
    sys.exit(concluded(main))
