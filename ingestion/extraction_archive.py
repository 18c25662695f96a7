"""ZIP archives: each file within is a part of its own.

Sizes in the archive's directory are not believed. What is unpacked is counted as it comes, against the size of the
archive too: bombs are recognised by how much they swell.
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ingestion import extraction_kinds as kinds
from ingestion.extraction_kinds import RATIO_FROM_BYTES
from ingestion.extraction_parts import Parts, readable_name
from ingestion.extraction_text import decode
from ingestion.extraction_types import Extraction, ExtractionError, Limits

_BLOCK_BYTES = 1 << 18
_ENCRYPTED = 0x1  # general purpose bit flags, APPNOTE.TXT 4.4.4
_UTF8_NAME = 0x800
# What operating systems leave in archives; nobody means to upload it.
_LEFTOVER = re.compile(
    r"(?:.*/)?(?:__MACOSX/.*|\.DS_Store|\._[^/]*|Thumbs\.db|ehthumbs\.db|desktop\.ini)", re.IGNORECASE
)


def read_zip(path: Path, limits: Limits, *, parts: Parts | None) -> Extraction:
    if parts is None:
        raise ExtractionError("unsupported", "This is a ZIP archive. Unpack it and upload its files.")
    try:
        with zipfile.ZipFile(path) as archive:
            for member, name in zip(archive.infolist(), _names(archive), strict=True):
                if _is_wanted(member, name):
                    if member.flag_bits & _ENCRYPTED:
                        raise _locked(name)
                    parts.add(name, _unpacked(archive, member, parts, path.stat().st_size, limits), is_attachment=False)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _damaged(parts) from error
    if not parts.found:
        raise ExtractionError("empty", "The ZIP archive holds no files. Check that the right file was uploaded.")
    return Extraction(kinds.ZIP, (), "", "", parts=parts.found)


def _names(archive: zipfile.ZipFile) -> list[str]:
    """The members' names. Those not marked as UTF-8 are in one character set of their maker's, told by all together."""
    members = archive.infolist()
    raw = [member.orig_filename.encode("cp437", "replace") for member in members if not member.flag_bits & _UTF8_NAME]
    told = iter(decode(b"\n".join(name.replace(b"\n", b" ") for name in raw)).split("\n")) if raw else iter(())
    return [member.filename if member.flag_bits & _UTF8_NAME else next(told, member.filename) for member in members]


def _is_wanted(member: zipfile.ZipInfo, name: str) -> bool:
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    return not (member.is_dir() or is_link or name.endswith(("/", "\\")) or _LEFTOVER.fullmatch(name))


def _unpacked(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, parts: Parts, archive_bytes: int, limits: Limits
) -> Iterator[bytes]:
    with archive.open(member) as stream:
        while block := stream.read(_BLOCK_BYTES):
            swollen = parts.written_bytes + len(block)
            if swollen > RATIO_FROM_BYTES and swollen > limits.unpack_ratio * archive_bytes:
                raise ExtractionError(
                    "too_large",
                    f"The ZIP archive unpacks to more than {limits.unpack_ratio} times its size, as no honest one "
                    "does. Upload its files one by one.",
                )
            yield block


def _locked(name: str) -> ExtractionError:
    return ExtractionError(
        "encrypted",
        f"The ZIP archive is protected with a password ('{readable_name(name)[-80:]}'). "
        "Unpack it, and upload its files or an archive without a password.",
    )


def _damaged(parts: Parts) -> ExtractionError:
    after = f" after '{parts.found[-1].name[-80:]}'" if parts.found else ""
    return ExtractionError(
        "broken", f"The ZIP archive is damaged or cut off{after}. Pack it anew, or upload its files one by one."
    )
