"""All of a day's backup, one after the other: `python -m deploy.backup.daily`.

A base backup, checked; a dump, checked; the originals; the copy off the site, where BACKUP_S3_BUCKET names one;
and last the removal of what is no longer needed. Only when all went well is the file touched that BACKUP_MARK names.
The first part that fails ends the run with an error, and nothing is removed then.
"""

from __future__ import annotations

import fcntl
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from deploy.backup import base, dump, media, offsite, retention
from deploy.backup.place import BackupError, place_from
from deploy.backup.programs import concluded


def main() -> None:
    """Back up. Raises BackupError."""
    place = place_from()
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (place.folder / "daily.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupError("another backup is under way.") from error
        print(f"base: {base.make(place).name}", flush=True)
        print(f"dump: {dump.make(place).name}", flush=True)
        if os.environ.get("MEDIA_S3_BUCKET"):
            print("originals: in a bucket, which keeps them itself (docs/operators.md, Backup)", flush=True)
        else:
            print(f"originals: {media.copy(place)} new contents", flush=True)
        if site := offsite.site_from():
            print(f"off the site: {offsite.send(place, site)} new files", flush=True)
            print(f"removed there: {offsite.prune(place, site)}", flush=True)
        names = retention.unneeded_here(place, datetime.now(UTC))
        retention.remove(place, names)
        print(f"removed: {len(names)}", flush=True)
    if place.mark:
        Path(place.mark).touch()


if __name__ == "__main__":
    sys.exit(concluded(main))
