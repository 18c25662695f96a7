"""Where originals lie: a folder here, a bucket in `storage_s3`. Both list what they hold, a page at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from django.core.files.storage import FileSystemStorage

ORIGINALS = "originals/"
"""What the names of originals begin with (models.documents.original_path)."""


class StorageAway(OSError):
    """The storage does not answer, or refuses us: that says nothing about any file in it."""


@dataclass(frozen=True)
class StoredFile:
    """A file as the storage lists it."""

    name: str
    size: int
    modified: datetime


class ListsOriginals(Protocol):
    """A storage that tells what it holds."""

    def originals(self) -> Iterator[StoredFile]:
        """Every stored original, in no order, without holding them all in memory. Raises StorageAway."""
        ...


class FolderStorage(FileSystemStorage):
    """Originals in a folder (MEDIA_ROOT), which several machines may share."""

    def originals(self) -> Iterator[StoredFile]:
        """Every stored original. Raises StorageAway when the folder is not there, as when its disk is not mounted."""
        root = Path(self.location)
        if not (root / ORIGINALS).is_dir():
            raise StorageAway(f"there is no folder {root / ORIGINALS}")
        for folder, _, names in os.walk(root / ORIGINALS):
            for name in names:
                path = Path(folder, name)
                try:
                    found = path.stat()
                except FileNotFoundError:  # deleted since it was listed
                    continue
                modified = datetime.fromtimestamp(found.st_mtime, UTC)
                yield StoredFile(path.relative_to(root).as_posix(), found.st_size, modified)
