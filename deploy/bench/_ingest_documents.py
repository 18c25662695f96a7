"""Documents for measuring and drilling ingestion: made up, always the same for a number, no two alike."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from html import escape

_NOUNS = """
library office student department campus examination timetable laboratory scholarship supervisor dissertation
faculty committee permit workshop lecture archive budget contract survey refund appeal deposit canteen residence
semester placement ethics network printer account password equipment inventory donation laptop parking kitchen
seminar register certificate transcript adviser counsellor nurse warden porter bursary grant journal manuscript
"""
_VERBS = """
requires accepts publishes reviews returns orders books cancels announces explains repairs collects approves
refuses forwards records measures replaces describes compares prepares extends limits covers supports
"""
_OTHERS = """
written annual central joint digital formal medical public regional temporary complete separate late early valid
personal academic technical financial external shared empty broken signed printed
"""
NOUNS, VERBS, OTHERS = _NOUNS.split(), _VERBS.split(), _OTHERS.split()
LINKS = (
    "before the end of term",
    "within ten working days",
    "at the service point",
    "without a further fee",
    "in the order of arrival",
    "after the meeting of the senate",
    "by the last Friday of the month",
    "for all members of staff",
    "in accordance with section {number}",
    "together with form {number}",
    "from room {number}",
)


@dataclass(frozen=True)
class Made:
    """A file as somebody would upload it."""

    file_name: str
    content: bytes


def sentences(chance: random.Random, count: int) -> str:
    """So many sentences of English, each with a number or a pair of words that make it one of its kind."""
    return " ".join(
        f"The {chance.choice(OTHERS)} {chance.choice(NOUNS)} {chance.choice(VERBS)} the {chance.choice(OTHERS)} "
        f"{chance.choice(NOUNS)} {chance.choice(LINKS).format(number=chance.randrange(1000))}."
        for _ in range(count)
    )


def sections(number: int, count: int, length: int = 14) -> Iterator[tuple[str, str]]:
    """Heading and text of each section of a document: about one chunk of 300 tokens each at 14 sentences."""
    chance = random.Random(number)  # noqa: S311 (texts, not secrets)
    for place in range(1, count + 1):
        heading = f"{place}. The {chance.choice(OTHERS)} {chance.choice(NOUNS)}"
        yield heading, sentences(chance, max(2, chance.randrange(length - 4, length + 5)))


def markdown(number: int, count: int, length: int = 14) -> Made:
    """A document of Markdown with so many sections."""
    parts = [f"# Circular {number}", *(f"## {heading}\n\n{text}" for heading, text in sections(number, count, length))]
    return Made(f"circular {number}.md", "\n\n".join(parts).encode())


def mixed(count: int) -> list[Made]:
    """So many documents as people have them: mostly text, some pages, mails with an attachment, few Office and PDF."""
    return [_of_a_kind(number) for number in range(count)]


def _of_a_kind(number: int) -> Made:
    length = 2 + number * 7 % 9
    if number % 97 == 50:
        length = 60
    match number % 20:
        case 0 | 1 | 2 | 3:
            return Made(f"minutes {number}.txt", _plain(number, length).encode())
        case 4 | 5 | 6:
            return Made(f"page {number}.html", _html(number, length).encode())
        case 7:
            return Made(f"guide {number}.docx", _docx(number, length))
        case 8:
            return Made(f"report {number}.pdf", _pdf(number, min(length, 6)))
        case 9:
            return Made(f"mail {number}.eml", _mail(number, length))
        case _:
            return markdown(number, length)


def _plain(number: int, count: int) -> str:
    return f"Minutes {number}\n\n" + "\n\n".join(f"{heading}\n\n{text}" for heading, text in sections(number, count))


def _html(number: int, count: int) -> str:
    body = "".join(f"<h2>{escape(heading)}</h2><p>{escape(text)}</p>" for heading, text in sections(number, count))
    title = f"Page {number}"
    return f'<!DOCTYPE html><html lang="en"><head><title>{title}</title></head><body><h1>{title}</h1>{body}</body>'


def _docx(number: int, count: int) -> bytes:
    from docx import Document

    document = Document()
    document.add_heading(f"Guide {number}", 0)
    for heading, text in sections(number, count):
        document.add_heading(heading, 1)
        document.add_paragraph(text)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def _pdf(number: int, count: int) -> bytes:
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

    styles, story = getSampleStyleSheet(), []
    for heading, text in sections(number, count):
        story += [Paragraph(heading, styles["Heading1"]), Paragraph(text, styles["BodyText"]), PageBreak()]
    stream = io.BytesIO()
    SimpleDocTemplate(stream, title=f"Report {number}", invariant=1).build(story)
    return stream.getvalue()


def _mail(number: int, count: int) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"] = "registrar@university.example", "all-staff@university.example"
    mail["Subject"], mail["Date"] = f"Notice {number}", "Mon, 06 Oct 2025 09:30:00 +0100"
    mail.set_content(_plain(number, count))
    attached = _plain(number + 1_000_000, 2).encode()
    mail.add_attachment(attached, maintype="text", subtype="plain", filename=f"annex {number}.txt")
    return mail.as_bytes()
