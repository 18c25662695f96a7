"""Originals in a bucket of any service that speaks S3. Imported only where one is configured: boto takes memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from django.core.files import File
from storages.backends.s3 import S3Storage

from ingestion.storage import ORIGINALS, StorageAway, StoredFile

if TYPE_CHECKING:
    _File = File[bytes]
else:
    _File = File

PAGE = 1_000
"""Names that the service lists in one answer, at most."""

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class BucketStorage(S3Storage):
    """A private bucket. Files are read as a stream: none is held in memory or copied to a disk first."""

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        """The stored file, to be read once and forwards. Raises FileNotFoundError, and StorageAway."""
        if mode != "rb":
            raise ValueError("stored originals are only read")
        stored = self.bucket.Object(self._normalize_name(name))
        with _told_apart(name):
            answer = stored.get()
        return _Stream(answer["Body"], name, answer["ContentLength"], lambda first: stored.get(Range=f"bytes={first}-"))

    def _save(self, name: str, content: File[bytes]) -> str:
        with _told_apart(name):
            return str(super()._save(name, content))

    def exists(self, name: str) -> bool:
        """Whether there is such a file. Raises StorageAway."""
        with _told_apart(name):
            return bool(super().exists(name))

    def delete(self, name: str) -> None:
        """Delete the file, if it is there. Raises StorageAway."""
        with _told_apart(name):
            super().delete(name)

    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        """None: originals are served by a view that asks the access rule, never from an address of their own."""
        raise NotImplementedError("stored originals have no address")

    def originals(self) -> Iterator[StoredFile]:
        """Every stored original. Raises StorageAway."""
        with _told_apart(ORIGINALS):
            for stored in self.bucket.objects.filter(Prefix=self._normalize_name(ORIGINALS)).page_size(PAGE):
                yield StoredFile(stored.key, stored.size, stored.last_modified)


class _Stream(_File):
    """What the service sends, as it comes; it cannot be rewound, but asked for again from another byte on."""

    def __init__(self, body: IO[bytes], name: str, size: int, again: Callable[[int], Any]) -> None:
        super().__init__(body, name)
        self.size = size
        self._again = again

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go on from this byte, counted from the beginning of the file. Raises FileNotFoundError, and StorageAway."""
        if whence:
            raise ValueError("counted from the beginning only")
        self.close()
        with _told_apart(str(self.name)):
            self.file = self._again(offset)["Body"]
        return offset

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Blocks in order."""
        with _told_apart(str(self.name)):
            while block := self.read(chunk_size or self.DEFAULT_CHUNK_SIZE):
                yield block

    def seekable(self) -> bool:
        """Never."""
        return False


@contextmanager
def _told_apart(name: str) -> Iterator[None]:
    """A file that is not there is FileNotFoundError, as with a folder; all else is the service's own trouble."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _MISSING:
            raise FileNotFoundError(f"there is no stored file {name}") from error
        raise StorageAway(f"the storage of originals refuses: {error}") from error
    except BotoCoreError as error:
        raise StorageAway(f"the storage of originals does not answer: {error}") from error
