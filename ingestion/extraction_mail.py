"""Mail and saved web pages (EML, MHT): the subject, who wrote to whom, and the text of the message.

Attachments, forwarded messages among them, are parts: documents of their own. What only decorates a mail is left out:
signatures' logos, tracking pixels, cryptographic signatures.
"""

from __future__ import annotations

import base64
import email
import email.policy
import email.utils
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage, Message
from pathlib import Path

from ingestion import extraction_kinds as kinds
from ingestion.extraction_html import read_html
from ingestion.extraction_origin import day
from ingestion.extraction_parts import Parts
from ingestion.extraction_text import decode
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_SHOWN_HEADERS = ("From", "To", "Cc", "Date")
_ENCRYPTED_TYPES = frozenset(("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"))
_SIGNATURES = frozenset(("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"))
_TEXT_TYPES = frozenset(("text/plain", "text/html"))
# Pictures shown within the text of a mail below this size are logos and icons; a pasted screenshot or scan is larger.
LARGEST_DECORATION_BYTES = 50_000
_EXTENSIONS = {"text/plain": ".txt", "text/html": ".html", "message/rfc822": ".eml", "text/calendar": ".ics"}
# Source lines as they came: folding them anew fails on malformed headers.
_AS_IT_CAME = email.policy.default.clone(refold_source="none", utf8=True)
# The standard parser raises any of these on malformed headers.
_PARSER_ERRORS = (LookupError, ValueError, AttributeError, TypeError)
_DAMAGED = "The mail is damaged. Save it anew, or save its text as a document, and upload that."


@dataclass(frozen=True)
class Letter:
    """What is shown of a mail, whatever the format it was saved in."""

    subject: str
    headers: tuple[tuple[str, str], ...]
    """Sender, recipients and date: (name, text), those without text left out."""
    text: str
    attached: tuple[str, ...]
    """Names of the attachments."""

    def as_page(self) -> Page:
        blocks = [f"# {self.subject}" if self.subject else ""]
        blocks.append("\n".join(f"{name}: {text}" for name, text in self.headers if text))
        blocks.append(self.text)
        blocks.append("\n".join(f"- {name}" for name in self.attached))
        return Page(1, "\n\n".join(filter(None, blocks)))


def letter_extraction(
    kind: str, letter: Letter, *, sender: str, sent_on: date | None, language: str, parts: Parts | None
) -> Extraction:
    """A mail's extraction. One without text of its own only holds its attachments.

    Raises ExtractionError ('empty') when there are none of these either.
    """
    found = parts.found if parts else ()
    if not letter.text.strip() and not found:
        raise ExtractionError("empty", "The mail has no text. Upload its attachments as documents of their own.")
    pages = (letter.as_page(),) if letter.text.strip() else ()
    authors = (sender,) if sender else ()
    return Extraction(kind, pages, letter.subject, language, authors=authors, written_on=sent_on, parts=found)


def read_mail(path: Path, limits: Limits, *, parts: Parts | None) -> Extraction:
    # By way of decode(), because some programs save mail as UTF-16; bytes above ASCII are kept for the parser.
    data = path.read_bytes()
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:64]
    try:
        message = email.message_from_bytes(decode(data).encode() if wide else data, policy=email.policy.default)
        return _read(message, parts)
    except RecursionError as error:
        raise ExtractionError(
            "too_large", "The mail holds mails within mails, too deep to be read. Save the inner ones by themselves."
        ) from error
    except _PARSER_ERRORS as error:
        raise ExtractionError("broken", _DAMAGED) from error


def _read(message: EmailMessage, parts: Parts | None) -> Extraction:
    subject = header(message, "Subject")
    text = message_text(message)
    is_web_page = message.get_content_type() == "multipart/related" and not message.get("To")
    attached = [] if is_web_page else list(_attachments(message, text))
    names = tuple(_name(part, number) for number, part in enumerate(attached, start=1))
    for name, part in zip(names, attached, strict=True):
        if parts is not None:
            parts.add(name, (_bytes(part),), is_attachment=True)
    letter = Letter(subject, tuple((name, header(message, name)) for name in _SHOWN_HEADERS), text, names)
    sender, address = email.utils.parseaddr(header(message, "From"))
    return letter_extraction(
        kinds.MAIL,
        letter,
        sender="" if is_web_page else sender or address,
        sent_on=day(header(message, "Date")),
        language=header(message, "Content-Language"),
        parts=parts,
    )


def message_text(message: EmailMessage) -> str:
    """The message's own text, '' when it has none. Raises ExtractionError when it is encrypted."""
    if message.get_content_type() in _ENCRYPTED_TYPES:
        raise ExtractionError(
            "encrypted", "The mail is encrypted. Open it, save its text as a document, and upload that."
        )
    own = [part for part in _leaves(message) if part.get_content_type() in _TEXT_TYPES and not part.is_attachment()]
    alternatives = _has_alternative(message)
    return "\n\n".join(filter(str.strip, (_part_text(part, alternatives=alternatives) for part in own)))


def _leaves(message: EmailMessage) -> Iterator[EmailMessage]:
    """The message's own pieces in order; one forwarded within it is a single piece."""
    waiting: list[Message] = [message]
    while waiting:
        part = waiting.pop()
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            waiting += reversed([inner for inner in part.get_payload() if isinstance(inner, Message)])
        elif isinstance(part, EmailMessage):
            yield part


def _has_alternative(message: EmailMessage) -> bool:
    """Whether the text is there twice, as plain text and as HTML."""
    own = {part.get_content_type() for part in _leaves(message) if not part.is_attachment()}
    return own >= _TEXT_TYPES and any(part.get_content_type() == "multipart/alternative" for part in message.walk())


def _part_text(part: EmailMessage, *, alternatives: bool) -> str:
    kind = part.get_content_type()
    if kind == "text/html" and not alternatives:
        return read_html(_content(part)).text
    return _content(part) if kind == "text/plain" else ""


def _content(part: EmailMessage) -> str:
    data = _bytes(part)
    try:
        return data.decode(part.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return decode(data)


def _attachments(message: EmailMessage, text: str) -> Iterator[EmailMessage]:
    for part in _leaves(message):
        kind = part.get_content_type()
        if part is message and kind in _TEXT_TYPES:
            continue
        if kind in _SIGNATURES or (kind in _TEXT_TYPES and not part.is_attachment()):
            continue
        if kind == "message/delivery-status" or kind == "text/rfc822-headers":
            continue
        if not _is_decoration(part):
            yield part


def _is_decoration(part: EmailMessage) -> bool:
    """Whether it is a small picture that is shown within the text: a signature's logo, an icon, a tracking pixel."""
    if part.get_content_maintype() != "image" or part.is_attachment():
        return False
    shown_within = part.get("Content-ID") is not None or part.get_content_disposition() == "inline"
    return shown_within and len(_bytes(part)) < LARGEST_DECORATION_BYTES


def _bytes(part: EmailMessage) -> bytes:
    if part.get_content_type() == "message/rfc822" and part.is_multipart():
        inner = part.get_payload(0)
        data = inner.as_bytes(policy=_AS_IT_CAME) if isinstance(inner, EmailMessage) else b""
        # No standard allows an encoded message, but some programs send them.
        if str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64":
            return base64.b64decode(data, validate=False)
        return data
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _name(part: EmailMessage, number: int) -> str:
    """The attachment's name; a forwarded mail's is its subject."""
    # A slash here is no folder.
    name = " ".join((part.get_filename() or "").replace("/", "-").replace("\\", "-").split())
    kind = part.get_content_type()
    if not name and kind == "message/rfc822" and part.is_multipart():
        inner = part.get_payload(0)
        name = header(inner, "Subject").replace("/", "-") if isinstance(inner, EmailMessage) else ""
    extension = _EXTENSIONS.get(kind, "")
    name = name or f"attachment {number}"
    return name if name.lower().endswith(extension) else name + extension


def header(message: EmailMessage, name: str) -> str:
    """A header's text on one line, '' where it is missing or cannot be read."""
    try:
        return " ".join(str(message.get(name, "")).split())
    except (*_PARSER_ERRORS, IndexError):
        # The standard parser fails on some malformed addresses and dates; the message is worth more than its header.
        return ""
