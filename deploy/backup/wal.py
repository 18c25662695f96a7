"""The continuous archive of the write-ahead log: `python -m deploy.backup.wal`, which runs for as long as the database.

`pg_receivewal` streams the log as it is written, flushes it to the disk at once, names a file only when it is complete
and begins none that is there already. Its slot has the primary keep what has not been fetched. After a failover it goes
on with the new primary, whose timeline it follows.
"""

from __future__ import annotations

import os
import sys

from deploy.backup.place import BackupError, place_from
from deploy.backup.programs import concluded, program, require_same_cluster, run, surroundings

SLOT = "cloister_backup"
STATUS_SECONDS = 1
"""How often the primary is told how far the archive is: what its view of replication says of the backup's lag."""


def main() -> None:
    """Become the program that receives. Raises BackupError."""
    place = place_from()
    require_same_cluster(place)
    place.wal.mkdir(mode=0o700, exist_ok=True)
    run(place, "pg_receivewal", "--create-slot", "--if-not-exists", f"--slot={SLOT}", address=place.database)
    command = [
        *(program(place, "pg_receivewal"), f"--directory={place.wal}", f"--slot={SLOT}", "--synchronous"),
        *(f"--status-interval={STATUS_SECONDS}", "--no-password"),
    ]
    try:
        os.execvpe(command[0], command, dict(surroundings(place.database)))  # noqa: S606 (no shell is wanted)
    except FileNotFoundError as error:
        raise BackupError("pg_receivewal is not here: set BACKUP_PROGRAMS.") from error


if __name__ == "__main__":
    sys.exit(concluded(main))
