"""Two very long documents as offices have them: a PDF of 619 pages and a Word file of 872. Always the same bytes."""

from __future__ import annotations

import io
import random
import zipfile
import zlib

from deploy.bench._ingest_documents import Made, sentences

PDF_PAGES, DOCX_PAGES = 619, 872
_LINES_A_PAGE, _LINE_CHARACTERS = 44, 88
_SENTENCES_A_PAGE = 32
_DATE = (2026, 1, 1, 0, 0, 0)

_DOCX_FIXED = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument'
    '.wordprocessingml.document.main+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>',
}


def long_pdf() -> Made:
    """A PDF of PDF_PAGES full pages, each with a heading."""
    chance = random.Random(PDF_PAGES)  # noqa: S311 (a text, no secret)
    kids = " ".join(f"{4 + 2 * page} 0 R" for page in range(PDF_PAGES))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {PDF_PAGES} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for page in range(PDF_PAGES):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F 3 0 R >> >> "
            + f"/Contents {5 + 2 * page} 0 R >>".encode()
        )
        text = sentences(chance, _SENTENCES_A_PAGE)
        lines = [text[at : at + _LINE_CHARACTERS] for at in range(0, len(text), _LINE_CHARACTERS)][:_LINES_A_PAGE]
        shown = "".join(f"({line}) Tj T*\n" for line in lines)
        stream = zlib.compress(
            f"BT /F 18 Tf 60 780 Td (Section {page + 1}) Tj ET BT /F 11 Tf 16 TL 60 750 Td\n{shown}ET".encode()
        )
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(stream), stream))
    out = io.BytesIO(b"")
    out.write(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%b\nendobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return Made("long report.pdf", out.getvalue())


def long_docx() -> Made:
    """A Word file of DOCX_PAGES full pages: headings, paragraphs, and a table on every tenth page."""
    chance = random.Random(DOCX_PAGES)  # noqa: S311 (a text, no secret)
    body = []
    for page in range(1, DOCX_PAGES + 1):
        body.append(f'<w:p><w:pPr><w:outlineLvl w:val="0"/></w:pPr><w:r><w:t>Section {page}</w:t></w:r></w:p>')
        body += [f"<w:p><w:r><w:t>{sentences(chance, 8)}</w:t></w:r></w:p>" for _ in range(_SENTENCES_A_PAGE // 8)]
        if page % 10 == 0:
            cell = "<w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"
            rows = "".join(f"<w:tr>{cell.format(row)}{cell.format(sentences(chance, 1))}</w:tr>" for row in range(12))
            body.append(f"<w:tbl>{rows}</w:tbl>")
        if page < DOCX_PAGES:
            body.append('<w:p><w:r><w:br w:type="page"/></w:r></w:p>')
    name_space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    document = f'<w:document xmlns:w="{name_space}"><w:body>{"".join(body)}</w:body></w:document>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**_DOCX_FIXED, "word/document.xml": document}.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)
    return Made("long handbook.docx", out.getvalue())
