"""Small files of each format, made for the tests."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import openpyxl
from docx import Document
from pptx import Presentation
from pptx.util import Inches
from pypdf import PdfWriter
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

BODY = (
    "Staff who travel on university business claim their expenses within thirty days of returning. "
    "Claims need an itemised receipt for every amount above five pounds."
)
CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
WORD_NAMESPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def make_pdf(path: Path, pages: int = 3) -> Path:
    """Pages with a large heading each, body text, a list and a page number."""
    drawing = canvas.Canvas(str(path), pagesize=A4)
    drawing.setTitle("Travel policy")
    for number in range(1, pages + 1):
        drawing.setFont("Helvetica-Bold", 20)
        drawing.drawString(70, 770, f"Part {number}: Claims")
        drawing.setFont("Helvetica", 11)
        for line, text in enumerate(_wrapped(f"This is page {number} of the policy. {BODY}"), start=1):
            drawing.drawString(70, 750 - 15 * line, text)
        for line, point in enumerate(("Keep the receipt.", "Fill in form FIN-12.")):
            drawing.drawString(70, 640 - 15 * line, f"• {point}")
        drawing.drawString(290, 40, str(number))
        drawing.showPage()
    drawing.save()
    return path


def make_scanned_pdf(path: Path) -> Path:
    """A page with a picture and no text."""
    from PIL import Image

    drawing = canvas.Canvas(str(path), pagesize=A4)
    picture = io.BytesIO()
    Image.new("L", (200, 200), 200).save(picture, "JPEG")
    picture.seek(0)
    from reportlab.lib.utils import ImageReader

    drawing.drawImage(ImageReader(picture), 0, 0, *A4)
    drawing.save()
    return path


def make_encrypted_pdf(path: Path) -> Path:
    writer = PdfWriter(clone_from=make_pdf(path.with_suffix(".plain.pdf"), 1))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(path)
    return path


def make_empty_pdf(path: Path) -> Path:
    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    writer.write(path)
    return path


def make_docx(path: Path) -> Path:
    """Headings, text with signs that XML escapes, lists, a table and a second page."""
    document = Document()
    document.core_properties.title = "Travel policy"
    document.add_heading("Travel", 1)
    document.add_paragraph(f"R&D staff <and others>. {BODY}")
    document.add_heading("Receipts", 2)
    document.add_paragraph("Keep them", style="List Bullet")
    document.add_paragraph("Send them", style="List Bullet")
    table = document.add_table(2, 2)
    for at, text in enumerate(("Country", "Rate", "France", "60 EUR")):
        table.cell(at // 2, at % 2).text = text
    document.add_page_break()
    document.add_heading("Leave", 1)
    document.add_paragraph("Leave is asked for in writing.")
    document.save(str(path))
    return path


def make_pptx(path: Path) -> Path:
    """Three slides: points with notes, an empty one, a table."""
    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text = "Welcome & hello"
    slide.placeholders[1].text = "Monday\nTuesday"
    slide.notes_slide.notes_text_frame.text = "Say hello warmly"
    show.slides.add_slide(show.slide_layouts[6])
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = "Rates"
    cells = slide.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for at, text in enumerate(("Country", "Rate", "France", "60 EUR")):
        cells.cell(at // 2, at % 2).text = text
    show.save(str(path))
    return path


def make_xlsx(path: Path) -> Path:
    """Two sheets, the second with a sign that XML escapes."""
    book = openpyxl.Workbook()
    first = book.active
    first.title = "Rates"
    for row in (("Country", "Rate"), ("France", 60), ("Germany", 55.5)):
        first.append(row)
    second = book.create_sheet("Contacts")
    for row in (("Office", "Room"), ("R&D <North>", "B.12")):
        second.append(row)
    book.save(path)
    return path


def make_empty_xlsx(path: Path) -> Path:
    openpyxl.Workbook().save(path)
    return path


def make_zip(path: Path, parts: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def make_word_package(path: Path, document_xml: str | bytes, **parts: str) -> Path:
    """The least that is a DOCX, with the given main part."""
    return make_zip(path, {"[Content_Types].xml": CONTENT_TYPES, "word/document.xml": document_xml, **parts})


def word_xml(body: str, prologue: str = "") -> str:
    return f'<?xml version="1.0"?>{prologue}<w:document xmlns:w="{WORD_NAMESPACE}"><w:body>{body}</w:body></w:document>'


def _wrapped(text: str, width: int = 90) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
