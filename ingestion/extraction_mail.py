"""Mail and saved web pages (EML, MHT): the subject, who wrote to whom, and the text of the message.

Attachments are named, not read: they are documents of their own.
"""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage, Message
from pathlib import Path

from ingestion import extraction_kinds as kinds
from ingestion.extraction_html import read_html
from ingestion.extraction_text import decode
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_SHOWN_HEADERS = ("From", "To", "Cc", "Date")
_ENCRYPTED_TYPES = frozenset(("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"))


def read_mail(path: Path, limits: Limits) -> Extraction:
    # By way of decode(), because some programs save mail as UTF-16; bytes above ASCII are kept for the parser.
    data = path.read_bytes()
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:64]
    try:
        message = email.message_from_bytes(decode(data).encode() if wide else data, policy=email.policy.default)
        text = message_text(message)
    except (RecursionError, LookupError, ValueError, AttributeError, TypeError) as error:
        # The standard parser raises any of these on messages with malformed headers or endless nesting.
        raise ExtractionError(
            "broken", "The mail is damaged. Save it anew, or save its text as a document, and upload that."
        ) from error
    title = _header(message, "Subject")
    headers = [f"{name}: {_header(message, name)}" for name in _SHOWN_HEADERS if _header(message, name)]
    attached = [name for part in message.walk() if (name := _file_name(part))]
    blocks = [f"# {title}" if title else "", "\n".join(headers), text]
    if attached:
        blocks.append("\n".join(f"- {name}" for name in attached))
    page = Page(1, "\n\n".join(filter(None, blocks)))
    return Extraction(kinds.MAIL, (page,), title, _header(message, "Content-Language"))


def message_text(message: EmailMessage) -> str:
    """The text of the message and of those forwarded within it. Raises ExtractionError when there is none to read."""
    if message.get_content_type() in _ENCRYPTED_TYPES:
        raise ExtractionError(
            "encrypted", "The mail is encrypted. Open it, save its text as a document, and upload that."
        )
    texts: list[str] = []
    for part in message.walk():
        if isinstance(part, EmailMessage) and not part.is_multipart() and not part.is_attachment():
            texts.append(_part_text(part, alternatives=_has_alternative(message)))
    text = "\n\n".join(filter(str.strip, texts))
    if not text.strip():
        raise ExtractionError("empty", "The mail has no text. Upload its attachments as documents of their own.")
    return text


def _has_alternative(message: Message) -> bool:
    """Whether the text is there twice, as plain text and as HTML."""
    kinds_there = {part.get_content_type() for part in message.walk()}
    return "multipart/alternative" in kinds_there and {"text/plain", "text/html"} <= kinds_there


def _part_text(part: EmailMessage, *, alternatives: bool) -> str:
    kind = part.get_content_type()
    if kind == "text/html" and not alternatives:
        return read_html(_content(part)).text
    return _content(part) if kind == "text/plain" else ""


def _content(part: EmailMessage) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    try:
        return data.decode(part.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return decode(data)


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, AttributeError, TypeError, IndexError):
        # The standard parser fails on some malformed addresses and dates; the message is worth more than its header.
        return ""


def _file_name(part: Message) -> str:
    return " ".join((part.get_filename() or "").split()) if not part.is_multipart() else ""
