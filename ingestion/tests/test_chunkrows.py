"""What is stored of a chunk: the page that it is on, where on it, and what it repeats, whatever the file was."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import openpyxl
import pytest
from pptx import Presentation
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from ingestion.models import Chunk, Document
from ingestion.tests.conftest import TakeIn
from ingestion.tests.texts import ingested

pytestmark = pytest.mark.django_db

PAGES = 4
SENTENCES = 30
NAMED = re.compile(r"page (\d) sentence (\d+)")


def sentence(page: int, number: int) -> str:
    return f"On page {page} sentence {number} tells what staff claim within thirty days of returning."


def sentences(page: int) -> list[str]:
    return [sentence(page, number) for number in range(SENTENCES)]


def plain() -> bytes:
    return "\f".join("\n\n".join(sentences(page)) for page in range(1, PAGES + 1)).encode()


def slides() -> bytes:
    show = Presentation()
    for page in range(1, PAGES + 1):
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text = f"Slide {page}"
        slide.placeholders[1].text = "\n".join(sentences(page))
    stream = io.BytesIO()
    show.save(stream)
    return stream.getvalue()


def sheets() -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for page in range(1, PAGES + 1):
        sheet = book.create_sheet(f"Sheet {page}")
        for number, text in enumerate(sentences(page)):
            sheet.append((number, text))
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def printed() -> bytes:
    stream = io.BytesIO()
    drawing = canvas.Canvas(stream, pagesize=A4)
    for page in range(1, PAGES + 1):
        for line, text in enumerate(sentences(page)):
            drawing.drawString(60, 780 - 24 * line, text)
        drawing.showPage()
    drawing.save()
    return stream.getvalue()


@pytest.mark.parametrize(
    ("make", "name"), [(plain, "minutes.txt"), (slides, "talk.pptx"), (sheets, "rates.xlsx"), (printed, "guide.pdf")]
)
def test_a_page_ends_its_chunk_and_each_says_where_it_begins(
    take_in: TakeIn, make: Callable[[], bytes], name: str
) -> None:
    document = ingested(take_in(make(), name, language="en"))
    chunks = list(Chunk.objects.filter(document=document).order_by("position"))

    assert (document.error, document.page_count) == ("", PAGES)
    told: list[tuple[int, int]] = []
    for chunk in chunks:
        own = [(int(page), int(number)) for page, number in NAMED.findall(chunk.text[chunk.overlap :])]
        assert {page for page, _ in own} == {chunk.page_number}, "text of one page, which is the one it is on"
        told += own
    assert told == [(page, number) for page in range(1, PAGES + 1) for number in range(SENTENCES)]
    for page in range(1, PAGES + 1):
        of_page = [chunk for chunk in chunks if chunk.page_number == page]
        assert len(of_page) > 1
        assert (of_page[0].offset, of_page[0].place) == (0, 0), "a page begins a chunk"
        offsets, places = [chunk.offset for chunk in of_page], [chunk.place for chunk in of_page]
        assert offsets == sorted(set(offsets))
        assert places == sorted(set(places))
        assert 0.3 < places[-1] < 1


def test_what_a_chunk_repeats_and_where_its_own_text_begins_are_stored(take_in: TakeIn) -> None:
    text = "\n\n".join(sentence(1, number) for number in range(200))
    ingested(take_in(text, "minutes.md", title="Minutes", language="en"))
    first, *following = Chunk.objects.order_by("position")

    assert (first.overlap, first.offset, first.place) == (0, 0, 0)
    assert len(following) > 5
    for before, chunk in zip([first, *following], following, strict=False):
        repeated, own = chunk.text[: chunk.overlap], chunk.text[chunk.overlap :]
        assert repeated.strip()
        assert before.text.endswith(repeated.rstrip())
        assert chunk.offset is not None
        assert text[chunk.offset :].startswith(own)
        assert chunk.place == pytest.approx(chunk.offset / len(text), abs=0.0001)
    own_texts = [chunk.text[chunk.overlap :] for chunk in (first, *following)]
    assert "".join("".join(own_texts).split()) == "".join(text.split())
    assert Document.objects.get().chunk_count == len(own_texts)
