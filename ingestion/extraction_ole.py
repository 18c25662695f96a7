"""The directory of an OLE compound file, the container of Office 97-2003 files and of encrypted newer ones.

Only what tells the kind of file and whether it is encrypted is read. Format: Microsoft [MS-CFB], [MS-DOC], [MS-PPT],
[MS-XLS], [MS-OFFCRYPTO].
"""

from __future__ import annotations

import re
import struct

_FREE = 0xFFFFFFFA  # sector numbers from here on are markers, not sectors
_HEADER_BYTES = 512
_HEADER_FAT_SECTORS = 109
_DIRECTORY_BYTES = 128
_FIB_FLAGS_AT = 0x0A
_FIB_ENCRYPTED = 0x0100
_BIFF_FILEPASS = 0x002F
_BIFF_EOF = 0x000A
_STREAM_HEAD_BYTES = 8192
_ENCRYPTED_STREAMS = frozenset(("ENCRYPTEDPACKAGE", "ENCRYPTEDSUMMARY", "\tDRMCONTENT"))
# What an encrypted Outlook message holds as text: its class (a signed one's goes on), or its type in the mail's header.
_ENCRYPTED_MESSAGE = re.compile(
    re.escape("IPM.Note.SMIME".encode("utf-16-le"))
    + b"(?!\\.\x00)|"
    + re.escape("multipart/encrypted".encode("utf-16-le"))
)


class OleFile:
    """Names (in capitals) and first bytes of an OLE file's streams. Of a damaged file, those that can still be read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._sector_bytes = 1 << min(struct.unpack_from("<H", data, 30)[0], 16) if len(data) >= _HEADER_BYTES else 512
        self._fat = self._read_fat() if len(data) >= _HEADER_BYTES else []
        self._starts = self._read_directory() if self._fat else {}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._starts)

    def is_encrypted(self) -> bool:
        """Whether a password or a right is needed to read it."""
        if self.names & _ENCRYPTED_STREAMS:
            return True
        word = self._stream_head("WORDDOCUMENT")
        if len(word) > _FIB_FLAGS_AT + 2 and struct.unpack_from("<H", word, _FIB_FLAGS_AT)[0] & _FIB_ENCRYPTED:
            return True
        if "__PROPERTIES_VERSION1.0" in self.names and _ENCRYPTED_MESSAGE.search(self._data):
            return True
        return any(_has_file_pass(self._stream_head(name)) for name in ("WORKBOOK", "BOOK"))

    def _sector(self, number: int) -> bytes:
        start = (number + 1) * self._sector_bytes
        return self._data[start : start + self._sector_bytes]

    def _read_fat(self) -> list[int]:
        fat_sectors = list(struct.unpack_from(f"<{_HEADER_FAT_SECTORS}I", self._data, 76))
        following, count = struct.unpack_from("<II", self._data, 68)
        for _ in range(min(count, len(self._data) // self._sector_bytes)):
            block = self._sector(following)
            if following >= _FREE or len(block) < self._sector_bytes:
                break
            *more, following = struct.unpack(f"<{self._sector_bytes // 4}I", block)
            fat_sectors += more
        fat: list[int] = []
        for number in fat_sectors:
            block = self._sector(number) if number < _FREE else b""
            fat += struct.unpack(f"<{len(block) // 4}I", block[: len(block) // 4 * 4])
        return fat

    def _chain(self, start: int, most_bytes: int) -> bytes:
        """The bytes of a chain of sectors from `start`; stops at the end, at damage, and at `most_bytes`."""
        blocks: list[bytes] = []
        number = start
        while number < len(self._fat) and len(blocks) * self._sector_bytes < most_bytes:
            blocks.append(self._sector(number))
            number = self._fat[number]
        return b"".join(blocks)

    def _read_directory(self) -> dict[str, int]:
        (start,) = struct.unpack_from("<I", self._data, 48)
        directory = self._chain(start, len(self._data))
        starts: dict[str, int] = {}
        for at in range(0, len(directory) - _DIRECTORY_BYTES + 1, _DIRECTORY_BYTES):
            (name_bytes,) = struct.unpack_from("<H", directory, at + 64)
            if 2 < name_bytes <= 64:
                name = directory[at : at + name_bytes - 2].decode("utf-16-le", "replace").upper()
                # The first of a name is the root's own; embedded objects follow it.
                starts.setdefault(name, struct.unpack_from("<I", directory, at + 116)[0])
        return starts

    def _stream_head(self, name: str) -> bytes:
        start = self._starts.get(name)
        return b"" if start is None else self._chain(start, _STREAM_HEAD_BYTES)


def _has_file_pass(workbook: bytes) -> bool:
    """Whether an Excel stream begins with the FILEPASS record, which says that the rest is encrypted."""
    at = 0
    while at + 4 <= len(workbook):
        kind, size = struct.unpack_from("<HH", workbook, at)
        if kind == _BIFF_FILEPASS:
            return True
        if kind == _BIFF_EOF:
            return False
        at += 4 + size
    return False
