"""Mail saved by Outlook (MSG): the subject, who wrote to whom, the text, and the attachments as parts.

An MSG file is an OLE file with one stream a property. Format: Microsoft [MS-OXMSG], [MS-OXPROPS]; the numbers below are
those of the properties. Forwarded messages, which are folders within the file, become parts as plain mail (EML).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path

import olefile

from ingestion import extraction_kinds as kinds
from ingestion.extraction_html import declared_charset, read_html
from ingestion.extraction_mail import LARGEST_DECORATION_BYTES, Letter, letter_extraction
from ingestion.extraction_origin import day, sane_day
from ingestion.extraction_parts import Parts
from ingestion.extraction_rtf import rtf_text, unpacked_rtf
from ingestion.extraction_text import decode
from ingestion.extraction_types import Extraction, ExtractionError, Limits

_SUBJECT, _BODY, _HTML, _RTF, _HEADERS = 0x0037, 0x1000, 0x1013, 0x1009, 0x007D
_SENDER_NAME, _SENDER_ADDRESS, _SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
_TO, _CC = 0x0E04, 0x0E03
_SENT, _DELIVERED, _CREATED = 0x0039, 0x0E06, 0x3007
_CODE_PAGE, _INTERNET_CODE_PAGE = 0x3FFD, 0x3FDE
_CONTENT, _LONG_NAME, _SHORT_NAME, _DISPLAY_NAME = 0x3701, 0x3707, 0x3704, 0x3001
_CONTENT_TYPE, _CONTENT_ID, _HIDDEN = 0x370E, 0x3712, 0x7FFE
_UNICODE, _BYTES_TEXT, _BINARY, _FOLDER, _TIME, _LONG, _FLAG = 0x001F, 0x001E, 0x0102, 0x000D, 0x0040, 0x0003, 0x000B
_UTF8_CODE_PAGE = 65001
# Head of the property stream: of the message, of one within it, of an attachment. [MS-OXMSG] 2.4
_TOP_HEAD, _INNER_HEAD, _PART_HEAD = 32, 24, 8
_PROPERTY_BYTES = 16
_FIRST_DAY = datetime(1601, 1, 1, tzinfo=UTC)  # of Windows' clock, which counts 100 nanoseconds
_MOST_ATTACHMENTS = 10_000
_BROKEN = "The Outlook mail is damaged. Save it anew from Outlook, or save its text as a document, and upload that."


class _Folder:
    """One message or attachment: a folder of an OLE file with the properties in it."""

    def __init__(self, ole: olefile.OleFileIO, path: tuple[str, ...], head: int, code_page: str = "cp1252") -> None:
        self._ole = ole
        self.path = path
        self._fixed = dict(self._fixed_properties(head))
        page = self.number(_CODE_PAGE) or self.number(_INTERNET_CODE_PAGE)
        self.code_page = _codec(page) if page else code_page

    def _fixed_properties(self, head: int) -> Iterator[tuple[tuple[int, int], bytes]]:
        data = self._stream("__properties_version1.0")
        for at in range(head, len(data) - _PROPERTY_BYTES + 1, _PROPERTY_BYTES):
            kind, number = struct.unpack_from("<HH", data, at)
            yield (number, kind), data[at + 8 : at + _PROPERTY_BYTES]

    def _stream(self, name: str) -> bytes:
        path = [*self.path, name]
        if not self._ole.exists(path):
            return b""
        data: bytes = self._ole.openstream(path).read()
        return data

    def data(self, number: int, kind: int = _BINARY) -> bytes:
        return self._stream(f"__substg1.0_{number:04X}{kind:04X}")

    def text(self, number: int) -> str:
        wide = self.data(number, _UNICODE)
        if wide:
            return wide.decode("utf-16-le", "replace").rstrip("\0")
        narrow = self.data(number, _BYTES_TEXT).rstrip(b"\0")
        try:
            return narrow.decode(self.code_page)
        except (LookupError, UnicodeDecodeError):
            return decode(narrow)

    def line(self, number: int) -> str:
        return " ".join(self.text(number).split())

    def number(self, number: int) -> int:
        value = self._fixed.get((number, _LONG)) or self._fixed.get((number, _FLAG))
        return int.from_bytes(value[:4], "little") if value else 0

    def time(self, number: int) -> datetime | None:
        ticks = int.from_bytes(self._fixed.get((number, _TIME), b""), "little")
        try:
            return _FIRST_DAY + timedelta(microseconds=ticks // 10) if ticks else None
        except OverflowError:
            return None

    def attachments(self) -> list[_Folder]:
        depth = len(self.path)
        names = {
            entry[depth]
            for entry in self._ole.listdir()
            if len(entry) > depth and tuple(entry[:depth]) == self.path and entry[depth].startswith("__attach_")
        }
        return [
            _Folder(self._ole, (*self.path, name), _PART_HEAD, self.code_page)
            for name in sorted(names)[:_MOST_ATTACHMENTS]
        ]

    def forwarded(self) -> _Folder | None:
        """The message that this attachment is, if it is one."""
        name = f"__substg1.0_{_CONTENT:04X}{_FOLDER:04X}"
        path = (*self.path, name)
        if not self._ole.exists([*path, "__properties_version1.0"]):
            return None
        return _Folder(self._ole, path, _INNER_HEAD, self.code_page)


def read_msg(path: Path, limits: Limits, *, parts: Parts | None) -> Extraction:
    try:
        with olefile.OleFileIO(path) as ole:
            return _read(_Folder(ole, (), _TOP_HEAD), limits, parts)
    except (olefile.OleFileError, OSError, struct.error, IndexError, UnicodeError, RecursionError) as error:
        raise ExtractionError("broken", _BROKEN) from error


def _read(message: _Folder, limits: Limits, parts: Parts | None) -> Extraction:
    names: list[str] = []
    for number, attachment in enumerate(message.attachments(), start=1):
        forwarded = attachment.forwarded()
        if forwarded is None and _is_decoration(attachment):
            continue
        name = _name(attachment, forwarded, number)
        names.append(name)
        if parts is not None:
            content = attachment.data(_CONTENT) if forwarded is None else _as_eml(forwarded, limits.nesting)
            parts.add(name, (content,), is_attachment=True)
    letter = _letter(message, tuple(names))
    sent = message.time(_SENT) or message.time(_DELIVERED) or message.time(_CREATED)
    return letter_extraction(
        kinds.MSG,
        letter,
        sender=message.line(_SENDER_NAME),
        sent_on=sane_day(sent.date()) if sent else day(_sent_by_header(message)),
        language="",
        parts=parts,
    )


def _letter(message: _Folder, names: tuple[str, ...]) -> Letter:
    sent = message.time(_SENT) or message.time(_DELIVERED)
    shown = (
        ("From", _sender(message)),
        ("To", message.line(_TO)),
        ("Cc", message.line(_CC)),
        ("Date", sent.strftime("%a, %d %b %Y %H:%M UTC") if sent else _sent_by_header(message)),
    )
    return Letter(message.line(_SUBJECT), shown, _body(message), names)


def _sender(message: _Folder) -> str:
    name = message.line(_SENDER_NAME)
    address = message.line(_SENDER_SMTP) or message.line(_SENDER_ADDRESS)
    # Within an organisation Outlook keeps a directory path, which says nothing to a reader.
    shown = f"<{address}>" if "@" in address and address != name else ""
    return " ".join(filter(None, (name, shown)))


def _sent_by_header(message: _Folder) -> str:
    for line in message.text(_HEADERS).splitlines():
        if line.lower().startswith("date:"):
            return line[5:].strip()
    return ""


def _body(message: _Folder) -> str:
    """The text as Outlook keeps it: plain, else as HTML, else as packed RTF."""
    plain = message.text(_BODY)
    if plain.strip():
        return plain
    html = message.data(_HTML)
    if html:
        try:
            return read_html(html.decode(declared_charset(html) or message.code_page)).text
        except (LookupError, UnicodeDecodeError):
            return read_html(decode(html)).text
    return rtf_text(unpacked_rtf(message.data(_RTF)))


def _is_decoration(attachment: _Folder) -> bool:
    """Whether it is a small picture that is shown within the text."""
    shown_within = attachment.text(_CONTENT_ID) or attachment.number(_HIDDEN)
    if not shown_within or len(attachment.data(_CONTENT)) >= LARGEST_DECORATION_BYTES:
        return False
    name = _name(attachment, None, 1).lower()
    is_picture = attachment.line(_CONTENT_TYPE).startswith("image/")
    return is_picture or name.endswith((".png", ".jpg", ".jpeg", ".gif", ".bmp"))


def _name(attachment: _Folder, forwarded: _Folder | None, number: int) -> str:
    told = (attachment.line(kind) for kind in (_LONG_NAME, _DISPLAY_NAME, _SHORT_NAME))
    name = (forwarded.line(_SUBJECT) if forwarded else "") or next(filter(None, told), "") or f"attachment {number}"
    # A slash here is no folder.
    name = name.replace("/", "-").replace("\\", "-")
    return f"{name}.eml" if forwarded and not name.lower().endswith(".eml") else name


def _as_eml(message: _Folder, levels: int) -> bytes:
    """The message as plain mail, with its own attachments down to that many levels."""
    mail = EmailMessage(policy=SMTPUTF8)
    letter = _letter(message, ())
    for name, text in (("Subject", letter.subject), *letter.headers):
        if text:
            # Addresses of Outlook are often none by the rules of mail; they are only shown.
            mail[name] = text.replace("\r", " ").replace("\n", " ") if name in ("Subject", "Date") else _address(text)
    mail.set_content(letter.text)
    for number, attachment in enumerate(message.attachments(), start=1):
        forwarded = attachment.forwarded()
        if forwarded is None and not _is_decoration(attachment):
            name = _name(attachment, None, number)
            mail.add_attachment(attachment.data(_CONTENT), "application", "octet-stream", filename=name)
        elif forwarded is not None and levels > 0:
            inner = _as_eml(forwarded, levels - 1)
            mail.add_attachment(inner, "application", "octet-stream", filename=_name(attachment, forwarded, number))
    return mail.as_bytes()


def _address(text: str) -> str:
    """Names and addresses in a form that the standard library writes as they are."""
    return "".join(character for character in text if character.isprintable()).replace('"', "'")


def _codec(code_page: int) -> str:
    return "utf-8" if code_page == _UTF8_CODE_PAGE else f"cp{code_page}"
