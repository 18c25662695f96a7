"""Makes the demo corpus from its sources: `python -m deploy.demo.build`, from the repository's root.

Needs, for developers only: python-docx (1.2.0), python-pptx (1.0.2), openpyxl (3.1.5), fpdf2 (2.8.9) and uharfbuzz
(0.57.0), and Debian's fonts-noto-core and fonts-droid-fallback. With these versions the same sources give the same
bytes. The files made are committed, so running Cloister needs none of them.
"""

from __future__ import annotations

import csv
import html
import json
import shutil
import sys
from pathlib import Path

from deploy.demo.office_files import write_docx, write_pptx, write_xlsx
from deploy.demo.pdf_pages import write_pdf
from deploy.demo.source_text import Block, Source, read_source

HERE = Path(__file__).resolve().parent
COLUMNS = (
    "path",
    "title",
    "department",
    "campus",
    "doc_type",
    "clearance",
    "audience",
    "language",
    "priority",
    "last_reviewed",
)


def write_markdown(source: Source, target: Path) -> None:
    """The body under its title."""
    target.write_text(f"# {source.title}\n\n{source.body}", encoding="utf-8")


def write_html(source: Source, target: Path) -> None:
    """A plain page with its language, its direction and a little of the metadata in its head."""
    direction = "rtl" if source.language == "ar" else "ltr"
    title = html.escape(source.title)
    body = "\n".join(_html_block(block) for block in source.blocks)
    target.write_text(
        f'<!DOCTYPE html>\n<html lang="{source.language}" dir="{direction}">\n<head>\n<meta charset="utf-8">\n'
        f'<title>{title}</title>\n<meta name="author" content="{html.escape(source.department)}">\n'
        f'<meta name="date" content="{source.last_reviewed}">\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n'
        "</body>\n</html>\n",
        encoding="utf-8",
    )


def _html_block(block: Block) -> str:
    lines = [html.escape(line, quote=False) for line in block.lines]
    if block.kind == "heading":
        return f"<h{block.level}>{lines[0]}</h{block.level}>"
    if block.kind == "paragraph":
        return f"<p>{lines[0]}</p>"
    if block.kind == "table":
        rows = []
        for number, cells in enumerate(block.rows):
            tag = "th" if number == 0 else "td"
            rows.append("<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>")
        return "<table>\n" + "\n".join(rows) + "\n</table>"
    tag = "ul" if block.kind == "bullets" else "ol"
    return f"<{tag}>\n" + "\n".join(f"<li>{line}</li>" for line in lines) + f"\n</{tag}>"


WRITERS = {
    "pdf": write_pdf,
    "docx": write_docx,
    "pptx": write_pptx,
    "xlsx": write_xlsx,
    "html": write_html,
    "md": write_markdown,
}


def build(sources: Path, corpus: Path) -> int:
    """Writes every file, `manifest.csv` and `details.json` (tags and sharing) anew; returns how many documents."""
    shutil.rmtree(corpus, ignore_errors=True)
    rows, details = [], {}
    for path in sorted(sources.glob("*/*.md")):
        source = read_source(path)
        name = f"{path.parent.name}/{source.name}.{source.format}"
        (corpus / path.parent.name).mkdir(parents=True, exist_ok=True)
        WRITERS[source.format](source, corpus / name)
        rows.append(
            {
                "path": name,
                "title": source.title,
                "department": source.department,
                "campus": source.campus,
                "doc_type": source.doc_type,
                "clearance": source.clearance,
                "audience": source.audience,
                "language": source.language,
                "priority": source.priority,
                "last_reviewed": source.last_reviewed,
            }
        )
        details[name] = {"tags": list(source.tags), "shared_with": list(source.shared_with)}
    with (corpus / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (corpus.parent / "details.json").write_text(
        json.dumps(details, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    return len(rows)


if __name__ == "__main__":
    count = build(HERE / "source", HERE / "corpus")
    sys.stdout.write(f"{count} documents written to {HERE / 'corpus'}\n")
