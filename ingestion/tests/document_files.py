"""Small files of each format, made for the tests."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from itertools import pairwise
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


def make_ole(path: Path, streams: Mapping[str, bytes]) -> Path:
    """An OLE file with these streams; 'folder/name' lies in a folder. Streams are filled up with NULs to 4 KiB.

    Larger streams need no second, finer table of sectors, which keeps this short. Format: Microsoft [MS-CFB].
    """
    end, free, fat_mark, nobody = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF
    nodes = _ole_nodes(streams)
    directory_sectors = -(-len(nodes) // 4)
    contents = [content.ljust(-(-max(len(content), 4096) // 512) * 512, b"\0") for content in streams.values()]
    chains = [directory_sectors, *(len(content) // 512 for content in contents)]
    fat_sectors = 1
    while fat_sectors * 128 < fat_sectors + sum(chains):
        fat_sectors += 1
    fat = [fat_mark] * fat_sectors
    starts: list[int] = []
    for length in chains:
        starts.append(len(fat))
        fat += [*range(len(fat) + 1, len(fat) + length), end]
    fat += [free] * (fat_sectors * 128 - len(fat))
    places = dict(zip(streams, zip(starts[1:], contents, strict=True), strict=True))
    directory = b""
    for name, kind, following, child, stream in nodes:
        start, content = places.get(stream, (0, b""))
        wide = name.encode("utf-16-le") + b"\0\0"
        directory += wide.ljust(64, b"\0") + struct.pack("<HBBIII", len(wide), kind, 1, nobody, following, child)
        directory += bytes(36) + struct.pack("<IQ", start if kind == 2 else end, len(content))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(10)
    head += struct.pack("<IIIIIIIII", fat_sectors, starts[0], 0, 4096, end, 0, end, 0, 0)
    head += struct.pack("<108I", *range(1, fat_sectors), *[free] * (109 - fat_sectors))
    blocks = struct.pack(f"<{len(fat)}I", *fat), directory.ljust(directory_sectors * 512, b"\0"), *contents
    path.write_bytes(head + b"".join(blocks))
    return path


def _ole_nodes(streams: Mapping[str, bytes]) -> list[tuple[str, int, int, int, str]]:
    """(name, kind, next of its folder, first inside, stream) of each directory line, the root first."""
    tree: dict[str, list[str]] = {"": []}
    for stream in streams:
        steps = stream.split("/")
        for depth in range(1, len(steps) + 1):
            parent, child = "/".join(steps[: depth - 1]), "/".join(steps[:depth])
            if child not in tree.setdefault(parent, []):
                tree[parent].append(child)
    order = [""]
    for place in order:
        order += tree.get(place, [])
    number = {place: at for at, place in enumerate(order)}
    following = {before: number[after] for children in tree.values() for before, after in pairwise(children)}
    return [
        (
            place.rsplit("/", 1)[-1] or "Root Entry",
            5 if not place else 2 if place in streams else 1,
            following.get(place, 0xFFFFFFFF),
            number[tree[place][0]] if tree.get(place) else 0xFFFFFFFF,
            place,
        )
        for place in order
    ]


def make_msg(path: Path) -> Path:
    """An Outlook mail with text, a file, a small picture of its signature, and a forwarded message with a file."""
    sent = struct.pack("<HHIQ", 0x0040, 0x0039, 0, 133_500_000_000_000_000)
    forwarded = "__attach_version1.0_#00000002/__substg1.0_3701000D"
    streams = {
        "__properties_version1.0": bytes(32) + sent,
        **_msg_texts(
            "", {0x0037: "Bücher", 0x1000: "The books are here.", 0x0C1A: "Ann Smith", 0x5D01: "ann@example.org"}
        ),
        "__attach_version1.0_#00000000/__substg1.0_37010102": b"Shelf mark B 12. " * 300,
        **_msg_texts("__attach_version1.0_#00000000/", {0x3707: "shelf/list.txt"}),
        "__attach_version1.0_#00000001/__substg1.0_37010102": bytes(100),
        **_msg_texts("__attach_version1.0_#00000001/", {0x3707: "logo.png", 0x3712: "image001@x"}),
        f"{forwarded}/__properties_version1.0": bytes(24),
        **_msg_texts(f"{forwarded}/", {0x0037: "Old order", 0x1000: "Please order them.", 0x0C1A: "Bob"}),
        f"{forwarded}/__attach_version1.0_#00000000/__substg1.0_37010102": b"Order 7. " * 500,
        **_msg_texts(f"{forwarded}/__attach_version1.0_#00000000/", {0x3707: "order.txt"}),
    }
    return make_ole(path, streams)


def _msg_texts(folder: str, texts: Mapping[int, str]) -> dict[str, bytes]:
    return {f"{folder}__substg1.0_{number:04X}001F": text.encode("utf-16-le") for number, text in texts.items()}


def make_hwp(path: Path, text: str) -> Path:
    """A Hangul document with one paragraph a line."""
    records = b""
    for line in text.split("\n"):
        data = f"{line}\r".encode("utf-16-le")
        records += struct.pack("<I", 67 | len(data) << 20) + data
    packer = zlib.compressobj(wbits=-15)
    header = b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", 0x05000000, 1)
    section = packer.compress(records) + packer.flush()
    return make_ole(path, {"FileHeader": header, "BodyText/Section0": section})


def make_word_95(path: Path, text: str) -> Path:
    """A Word 95 document: a block of numbers, then the text in one piece."""
    data = text.encode("cp1252")
    head = bytearray(768)
    struct.pack_into("<HH", head, 0, 0xA5DC, 104)
    struct.pack_into("<II", head, 0x18, len(head), len(head) + len(data))
    struct.pack_into("<I", head, 0x34, len(data))
    return make_ole(path, {"WordDocument": bytes(head) + data})


def make_odp(path: Path) -> Path:
    """Two slides: one with a title, points and notes, one with a table."""
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{space}:1.0"'
        for name, space in (
            ("office", "office"), ("text", "text"), ("table", "table"), ("draw", "drawing"),
            ("presentation", "presentation"), ("meta", "meta"),
        )
    )  # fmt: skip
    content = f"""<?xml version="1.0"?><office:document-content {spaces}><office:body><office:presentation>
    <draw:page><draw:frame presentation:class="outline"><draw:text-box><text:list>
    <text:list-item><text:p>Monday</text:p></text:list-item>
    <text:list-item><text:p>Tues<text:span>day</text:span>, R&amp;D</text:p></text:list-item>
    </text:list></draw:text-box></draw:frame>
    <draw:frame presentation:class="title"><draw:text-box><text:p>Welcome</text:p></draw:text-box></draw:frame>
    <presentation:notes><draw:frame presentation:class="notes"><draw:text-box><text:p>Say hello</text:p>
    </draw:text-box></draw:frame></presentation:notes></draw:page>
    <draw:page><draw:frame><table:table><table:table-row><table:table-cell><text:p>Country</text:p></table:table-cell>
    <table:table-cell><text:p>Rate</text:p></table:table-cell></table:table-row></table:table></draw:frame></draw:page>
    </office:presentation></office:body></office:document-content>"""
    meta = f"""<?xml version="1.0"?><office:document-meta {spaces} xmlns:dc="http://purl.org/dc/elements/1.1/"><office:meta>
    <dc:title>Freshers</dc:title><meta:initial-creator>Ann Smith</meta:initial-creator>
    <meta:creation-date>2024-05-31T09:00:00</meta:creation-date></office:meta></office:document-meta>"""
    kind = "application/vnd.oasis.opendocument.presentation"
    return make_zip(path, {"mimetype": kind, "content.xml": content, "meta.xml": meta})


def make_picture(path: Path, text: str, *, turned: float = 0) -> Path:
    """A picture of one line of text."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (1400, 300), 255)
    ImageDraw.Draw(picture).text((60, 100), text, fill=0, font=ImageFont.load_default(60))
    picture.rotate(turned, expand=True, fillcolor=255).save(path)
    return path


def make_partly_scanned_pdf(path: Path, picture: Path) -> Path:
    """A page of text, and one that is only a picture; with a bookmark to each."""
    drawing = canvas.Canvas(str(path), pagesize=A4)
    drawing.bookmarkPage("first")
    drawing.addOutlineEntry("Typed", "first", level=0)
    drawing.drawString(70, 770, "This page was typed.")
    drawing.showPage()
    drawing.bookmarkPage("second")
    drawing.addOutlineEntry("Scanned", "second", level=1)
    drawing.drawImage(str(picture), 30, 500, 500, 107)
    drawing.showPage()
    drawing.save()
    return path


def make_ppt(path: Path) -> Path:
    """Two slides of PowerPoint 97: one with a title, points and notes, one whose title stands in the list of slides."""

    def record(kind: int, body: bytes, *, instance: int = 0, container: bool = False) -> bytes:
        return struct.pack("<HHI", instance << 4 | (0xF if container else 0), kind, len(body)) + body

    def text(kind: int, words: str) -> bytes:
        return record(0x0F9F, struct.pack("<I", kind)) + record(0x0FA0, words.encode("utf-16-le"))

    def listed(place: int, identity: int) -> bytes:
        return record(0x03F3, struct.pack("<IIII", place, 0, 0, identity) + bytes(4))

    def shapes(kind: int, *texts: bytes, before: bytes = b"") -> bytes:
        boxes = b"".join(record(0xF00D, one, container=True) for one in texts)
        return record(kind, before + record(0x040C, boxes, container=True), container=True)

    slides = listed(2, 256) + listed(3, 257) + text(0, "Rates")
    notes = listed(4, 300)
    pieces = [
        record(
            0x03E8,
            record(0x0FF0, slides, instance=0, container=True) + record(0x0FF0, notes, instance=2, container=True),
            container=True,
        ),
        shapes(0x03EE, text(1, "Monday\rTuesday"), text(0, "Welcome")),
        shapes(0x03EE, record(0x0F9E, struct.pack("<I", 0)), text(4, "60 EUR")),
        shapes(0x03F0, text(2, "Say hello"), before=record(0x03F1, struct.pack("<II", 256, 0))),
    ]
    offsets = [sum(map(len, pieces[:at])) for at in range(len(pieces))]
    directory = sum(map(len, pieces))
    pieces.append(record(0x1772, struct.pack("<5I", 1 | len(offsets) << 20, *offsets)))
    edit = sum(map(len, pieces))
    pieces.append(record(0x0FF5, struct.pack("<IIIII", 0, 0, 0, directory, 1)))
    current = record(0x0FF6, struct.pack("<III", 20, 0xE391C05F, edit))
    return make_ole(path, {"PowerPoint Document": b"".join(pieces), "Current User": current})
