"""Mailboxes (MBOX): each mail is a part of its own.

Format: RFC 4155 and what programs write. A mail begins at a line 'From ' after a blank line; '>From ' within it stands
for 'From '.
"""

from __future__ import annotations

import email
import email.policy
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ingestion import extraction_kinds as kinds
from ingestion.extraction_mail import header
from ingestion.extraction_parts import Parts
from ingestion.extraction_types import Extraction, ExtractionError, Limits

_QUOTED_FROM = re.compile(rb">(>*From )")
_HEADER_BYTES = 1 << 16
# Longer lines come in pieces, so that a line without end costs no memory.
_LINE_BYTES = 1 << 16
_LONGEST_SUBJECT = 120


def read_mailbox(path: Path, limits: Limits, *, parts: Parts | None) -> Extraction:
    if parts is None:
        raise ExtractionError("unsupported", "This is a mailbox. Save its mails one by one and upload those.")
    for number, mail in enumerate(_mails(path), start=1):
        head = list(itertools.islice(_up_to_blank(mail), _HEADER_BYTES))
        parts.add(f"{number:04} {_subject(b''.join(head))}.eml", itertools.chain(head, mail), is_attachment=False)
    if not parts.found:
        raise ExtractionError("empty", "The mailbox holds no mails. Check that the right file was uploaded.")
    return Extraction(kinds.MBOX, (), "", "", parts=parts.found)


def _mails(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of each mail; to be read in order, like the groups of itertools.groupby."""
    with path.open("rb") as stream:
        lines = _numbered(iter(lambda: stream.readline(_LINE_BYTES), b""))
        for number, mail in itertools.groupby(lines, key=lambda line: line[0]):
            if number:
                yield (text for _, text in mail if text)


def _numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """(number of the mail, line); the line that begins a mail comes as b''. What stands before the first is 0."""
    number = 0
    after_blank = True
    begins_line = True
    for line in lines:
        if begins_line and after_blank and line.startswith(b"From "):
            number += 1
            yield number, b""
        else:
            yield number, _QUOTED_FROM.sub(rb"\1", line, count=1) if begins_line and line[:1] == b">" else line
        after_blank = begins_line and not line.strip()
        begins_line = line.endswith(b"\n")


def _up_to_blank(lines: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for line in lines:
        yield line
        size += len(line)
        if not line.strip() or size > _HEADER_BYTES:
            return


def _subject(head: bytes) -> str:
    # A slash in a subject is no folder.
    told = header(email.message_from_bytes(head, policy=email.policy.default), "Subject").replace("/", "-")
    return told.replace("\\", "-")[:_LONGEST_SUBJECT] or "mail"
