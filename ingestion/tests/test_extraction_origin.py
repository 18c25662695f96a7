"""What files say of themselves: authors, dates, titles and outlines, and what of it is believed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from docx import Document

from ingestion.extraction import Extraction, extract
from ingestion.extraction_origin import authors, day
from ingestion.tests import document_files as files


def read(path: Path) -> Extraction:
    return extract(path, file_name=path.name)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (["Ann Smith; Bob Jones", "Ann Smith"], ("Ann Smith", "Bob Jones")),
        (["python-docx", "Microsoft Office User", "user", "Admin", "HP Scanner", "-", ""], ()),
        (["  Zoë\u200b  Müller\x00 "], ("Zoë Müller",)),
        ([f"Author {number}" for number in range(30)], tuple(f"Author {number}" for number in range(20))),
    ],
)
def test_authors_are_people(told: list[str], found: tuple[str, ...]) -> None:
    assert authors(told) == found


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("2024-05-31T10:00:00Z", date(2024, 5, 31)),
        ("D:20240531100000+02'00'", date(2024, 5, 31)),
        ("Fri, 31 May 2024 10:00:00 +0200", date(2024, 5, 31)),
        ("1601-01-01", None),
        ("1970-01-01T00:00:00Z", None),
        ("2999-01-01", None),
        ("0024-05-31", None),
        ("2024-02-31", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_sane(told: str, found: date | None) -> None:
    assert day(told) == found


def test_a_word_file_tells_its_author_its_date_and_its_outline(tmp_path: Path) -> None:
    document = Document()
    document.core_properties.author = "Ann Smith"
    document.core_properties.created = datetime(2024, 5, 31, tzinfo=UTC)
    document.add_heading("Travel", 1)
    document.add_heading("Receipts", 2)
    document.add_page_break()
    document.add_heading("Leave", 1)
    document.save(str(tmp_path / "a.docx"))
    found = read(tmp_path / "a.docx")
    assert (found.authors, found.written_on) == (("Ann Smith",), date(2024, 5, 31))
    assert [(line.level, line.title, line.page_number) for line in found.outline] == [
        (1, "Travel", 1),
        (2, "Receipts", 1),
        (1, "Leave", 2),
    ]


def test_the_bookmarks_of_a_pdf_are_its_outline(tmp_path: Path) -> None:
    picture = files.make_picture(tmp_path / "a.png", "Library")
    found = read(files.make_partly_scanned_pdf(tmp_path / "a.pdf", picture))
    assert [(line.level, line.title, line.page_number) for line in found.outline] == [
        (1, "Typed", 1),
        (2, "Scanned", 2),
    ]


def test_slides_and_sheets_make_an_outline(tmp_path: Path) -> None:
    assert [line.title for line in read(files.make_pptx(tmp_path / "a.pptx")).outline] == ["Welcome & hello", "Rates"]
    assert [line.title for line in read(files.make_xlsx(tmp_path / "a.xlsx")).outline] == ["Rates", "Contacts"]


def test_comments_of_plain_text_and_code_are_no_outline(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("# a comment\ntext")
    assert read(tmp_path / "a.txt").outline == ()
    (tmp_path / "a.md").write_text("# Rules\n\n```\n# a comment\n```\n")
    assert [line.title for line in read(tmp_path / "a.md").outline] == ["Rules"]


def test_markdown_and_html_name_their_authors_and_dates(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\ntitle: Rules\nauthors:\n  - Ann Smith\n  - Bob\ndate: 2024-05-31\n---\nText.")
    (tmp_path / "a.html").write_text(
        '<html><head><meta name="author" content="Ann Smith"><meta name="DC.date" content="2024-05-31"></head>'
        "<body>Text.</body></html>"
    )
    assert (read(tmp_path / "a.md").authors, read(tmp_path / "a.md").written_on) == (
        ("Ann Smith", "Bob"),
        date(2024, 5, 31),
    )
    assert (read(tmp_path / "a.html").authors, read(tmp_path / "a.html").written_on) == (
        ("Ann Smith",),
        date(2024, 5, 31),
    )
