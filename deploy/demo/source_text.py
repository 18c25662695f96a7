"""The Markdown sources of the demo corpus: front matter and blocks.

The dialect is small on purpose, so that one source can become any of the formats: headings (`##`, `###`), paragraphs
(one line each), bullet lists (`- `), numbered lists (`1. `), pipe tables, and `\\newpage` for a page break.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

FORMATS = ("pdf", "docx", "pptx", "xlsx", "html", "md")


@dataclass(frozen=True)
class Block:
    """One piece of a document: `kind` is heading, paragraph, bullets, numbered, table or page_break.

    `lines` holds the text (one line, or one per bullet), `rows` the cells of a table (the first row is its heading),
    `level` the depth of a heading (2 or 3).
    """

    kind: str
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    level: int = 0


@dataclass(frozen=True)
class Source:
    """One document of the corpus: its metadata, and its body in order."""

    name: str
    title: str
    department: str
    campus: str
    doc_type: str
    clearance: int
    audience: str
    language: str
    priority: int
    last_reviewed: date
    format: str
    tags: tuple[str, ...]
    shared_with: tuple[str, ...]
    body: str
    blocks: tuple[Block, ...]


def read_source(path: Path) -> Source:
    """The document in the file. Raises ValueError, naming the file, when its front matter is wrong."""
    text = path.read_text(encoding="utf-8")
    match = re.match(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL)
    if match is None:
        raise ValueError(f"{path}: no front matter between two lines of '---'.")
    fields = dict(line.split(": ", 1) for line in match[1].splitlines() if ": " in line)
    try:
        source = Source(
            name=path.stem,
            title=fields["title"],
            department=fields["department"],
            campus=fields.get("campus", ""),
            doc_type=fields["doc_type"],
            clearance=int(fields["clearance"]),
            audience=fields["audience"],
            language=fields["language"],
            priority=int(fields["priority"]),
            last_reviewed=date.fromisoformat(fields["last_reviewed"]),
            format=fields["format"],
            tags=_names(fields.get("tags", ""), ","),
            shared_with=_names(fields.get("shared_with", ""), ";"),
            body=match[2].strip() + "\n",
            blocks=tuple(_blocks(match[2])),
        )
    except KeyError as missing:
        raise ValueError(f"{path}: the front matter lacks {missing}.") from missing
    if source.format not in FORMATS:
        raise ValueError(f"{path}: unknown format {source.format!r}.")
    return source


def _names(value: str, separator: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(separator) if name.strip())


def _blocks(body: str) -> list[Block]:
    blocks: list[Block] = []
    plain = body.replace("**", "").replace("`", "")  # only the Markdown files keep their emphasis
    for paragraph in re.split(r"\n\s*\n", plain.strip()):
        lines = paragraph.split("\n")
        if lines == ["\\newpage"]:
            blocks.append(Block("page_break"))
            continue
        while lines and (heading := re.match(r"(#{2,3}) (.+)", lines[0])):
            blocks.append(Block("heading", (heading[2].strip(),), level=len(heading[1])))
            lines = lines[1:]
        if lines:
            blocks.append(_body_block(lines))
    return blocks


def _body_block(lines: list[str]) -> Block:
    if all(line.startswith("|") for line in lines):
        rows = [tuple(cell.strip() for cell in line.strip().strip("|").split("|")) for line in lines]
        return Block("table", rows=tuple(row for row in rows if not all(set(cell) <= {"-", ":"} for cell in row)))
    if all(line.startswith("- ") for line in lines):
        return Block("bullets", tuple(line[2:].strip() for line in lines))
    if all(re.match(r"\d+\. ", line) for line in lines):
        return Block("numbered", tuple(line.split(". ", 1)[1].strip() for line in lines))
    return Block("paragraph", (" ".join(line.strip() for line in lines),))
