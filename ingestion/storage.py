"""Where originals lie: a folder here, a bucket in `storage_s3`. Both list what they hold, a page at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from django.apps import apps
from django.core.files import File
from django.core.files.storage import FileSystemStorage

if TYPE_CHECKING:
    _File = File[bytes]
else:
    _File = File

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

    def _save(self, name: str, content: _File) -> str:
        """Raises StorageAway where the file cannot be written, as on a full disk; a part of it may be left."""
        try:
            return str(super()._save(name, content))  # type: ignore[misc]  # private: not in the stubs
        except OSError as error:
            raise StorageAway(f"the folder of originals takes nothing: {error}") from error

    def open(self, name: str, mode: str = "rb") -> _File:
        """The stored file. Raises FileNotFoundError, and StorageAway."""
        try:
            with _told_apart():
                return super().open(name, mode)
        except FileNotFoundError:
            self._insist()
            raise

    def exists(self, name: str) -> bool:
        """Whether there is such a file; asked before each is written. Raises StorageAway."""
        there = bool(super().exists(name))
        if not there:
            self._insist()
        return there

    def _insist(self) -> None:
        """Raise StorageAway where there are documents, and the folder of their originals is not there.

        What is written where a disk is not mounted is hidden once it is mounted again.
        """
        folder = Path(self.location, ORIGINALS)
        documents = apps.get_model("ingestion", "Document")._base_manager
        if not os.path.isdir(folder) and documents.exists():
            raise StorageAway(f"there is no folder {folder}")

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


@contextmanager
def _told_apart() -> Iterator[None]:
    """That a file is not there stays what it is; all else is the disk's own trouble."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError):
        raise
    except OSError as error:
        raise StorageAway(f"the folder of originals: {error.strerror or error}") from error
