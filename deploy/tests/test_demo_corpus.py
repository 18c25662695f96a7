"""The demo corpus is whole, valid, really in the formats it claims, and says what its sources say."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from kreuzberg import extract_file_sync

from deploy.demo.source_text import Source, read_source

DEMO = Path(__file__).resolve().parent.parent / "demo"
CORPUS = DEMO / "corpus"
STRUCTURE = json.loads((DEMO / "structure.json").read_text(encoding="utf-8"))
COLUMNS = [
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
]
FEWEST_BY_FORMAT = {"pdf": 15, "docx": 12, "pptx": 6, "xlsx": 5, "html": 10, "md": 12}
FEWEST_BY_LANGUAGE = {"en": 35, "de": 4, "fr": 4, "es": 4, "zh": 4, "ar": 4}
NAMED_DEPARTMENTS = {
    "Academic Registry",
    "Communications and Marketing",
    "Estates",
    "Finance",
    "Governance and Legal",
    "HR",
    "IT Services",
    "Information Security",
    "Library",
    "Procurement",
    "Research Services",
    "Student Services",
}
OFFICE_PARTS = {"docx": "word/document.xml", "pptx": "ppt/presentation.xml", "xlsx": "xl/workbook.xml"}


def _manifest() -> list[dict[str, str]]:
    with (CORPUS / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _source_of(path: str) -> Source:
    return read_source(DEMO / "source" / Path(path).with_suffix(".md"))


ROWS = _manifest()
PATHS = [row["path"] for row in ROWS]


def test_manifest_has_exactly_the_columns_that_ingest_folder_reads() -> None:
    assert list(ROWS[0]) == COLUMNS


def test_every_listed_file_exists_and_no_file_is_unlisted() -> None:
    files = {str(path.relative_to(CORPUS)) for path in CORPUS.rglob("*") if path.is_file()}

    assert files == {*PATHS, "manifest.csv"}


def test_every_source_is_built_and_the_manifest_says_what_the_source_says() -> None:
    sources = {str(path.relative_to(DEMO / "source").with_suffix("")) for path in (DEMO / "source").glob("*/*.md")}

    assert sources == {str(Path(path).with_suffix("")) for path in PATHS}
    for row in ROWS:
        source = _source_of(row["path"])
        assert [str(getattr(source, column)) for column in COLUMNS[1:]] == [row[column] for column in COLUMNS[1:]]


def test_corpus_is_as_large_and_as_mixed_as_promised() -> None:
    formats = Counter(Path(path).suffix[1:] for path in PATHS)
    languages = Counter(row["language"] for row in ROWS)

    assert len(ROWS) >= 66
    assert {name: count for name, count in FEWEST_BY_FORMAT.items() if formats[name] < count} == {}
    assert {name: count for name, count in FEWEST_BY_LANGUAGE.items() if languages[name] < count} == {}
    assert len({row["department"] for row in ROWS}) >= 12
    assert {row["campus"] for row in ROWS} == {"", *(campus["name"] for campus in STRUCTURE["campuses"])}
    assert {row["clearance"] for row in ROWS} == {"1", "2", "3", "4"}
    assert {row["audience"] for row in ROWS} == {"institution", "department"}


def test_every_row_uses_names_that_the_structure_knows() -> None:
    departments = {department["name"]: department for department in STRUCTURE["departments"]}
    types = {document_type["name"] for document_type in STRUCTURE["document_types"]}
    for row in ROWS:
        assert row["doc_type"] in types, row["path"]
        assert row["path"].startswith(departments[row["department"]]["slug"] + "/"), row["path"]
        assert 1 <= int(row["priority"]) <= 5, row["path"]
        assert date(2022, 1, 1) <= date.fromisoformat(row["last_reviewed"]) <= date(2026, 11, 23), row["path"]


def test_tags_and_sharing_name_known_tags_and_departments() -> None:
    details = json.loads((DEMO / "details.json").read_text(encoding="utf-8"))
    departments = {department["name"] for department in STRUCTURE["departments"]}

    assert set(details) == set(PATHS)
    assert {tag for detail in details.values() for tag in detail["tags"]} <= set(STRUCTURE["tags"])
    assert {name for detail in details.values() for name in detail["shared_with"]} <= departments
    assert any(detail["shared_with"] for detail in details.values())


def test_structure_has_the_named_departments_each_with_a_known_home_campus() -> None:
    campuses = [campus["name"] for campus in STRUCTURE["campuses"]]
    departments = [department["name"] for department in STRUCTURE["departments"]]

    assert campuses == ["Central Campus", "King's Buildings", "Easter Bush", "Western General"]
    assert len(departments) == len(set(departments)) >= 20
    assert set(departments) >= NAMED_DEPARTMENTS
    assert {department["campus"] for department in STRUCTURE["departments"]} == set(campuses)


def test_demo_accounts_have_a_department_and_a_campus_and_no_password() -> None:
    departments = {department["name"] for department in STRUCTURE["departments"]}
    accounts = {account["username"]: account for account in STRUCTURE["accounts"]}

    assert list(accounts) == ["student", "staff", "academic", "librarian", "admin"]
    assert [accounts[name]["role"] for name in accounts] == ["student", "staff", "academic", "staff", "admin"]
    assert accounts["librarian"]["librarian"] is True
    for account in accounts.values():
        assert account["departments"] != []
        assert set(account["departments"]) <= departments
        assert account["campus"] in {campus["name"] for campus in STRUCTURE["campuses"]}
        assert "password" not in account


def test_no_document_or_title_is_there_twice() -> None:
    digests = Counter(hashlib.sha256((CORPUS / path).read_bytes()).hexdigest() for path in PATHS)

    assert max(digests.values()) == 1
    assert max(Counter(row["title"] for row in ROWS).values()) == 1


def test_files_are_small() -> None:
    sizes = {path: path.stat().st_size for path in DEMO.rglob("*") if path.is_file()}

    assert sum(sizes.values()) < 5_000_000
    assert [path.name for path, size in sizes.items() if path.suffix == ".pdf" and size >= 150_000] == []


@pytest.mark.parametrize("path", PATHS)
def test_file_is_of_the_type_its_name_says(path: str) -> None:
    file = CORPUS / path
    kind = file.suffix[1:]
    if kind in OFFICE_PARTS:
        with zipfile.ZipFile(file) as archive:
            assert OFFICE_PARTS[kind] in archive.namelist()
    else:
        start = {"pdf": b"%PDF-", "html": b"<!DOCTYPE html>", "md": b"# "}[kind]
        assert file.read_bytes().startswith(start)


def _squeezed(text: str) -> str:
    """Letters, digits and signs alone: extractors differ in blanks, table rules and marks of emphasis."""
    return re.sub(r"[\s*|#`\\]", "", text)


def _lines_of(source: Source) -> Iterator[str]:
    for block in source.blocks:
        yield from block.lines
        for row in block.rows:
            yield from row


@pytest.mark.parametrize("path", PATHS)
def test_file_holds_every_line_of_its_source_in_reading_order(path: str) -> None:
    source = _source_of(path)
    text = extract_file_sync(str(CORPUS / path)).content
    if source.format == "pdf":
        text = re.sub(r"^\d+$", "", text, flags=re.MULTILINE)  # page numbers, which may part a paragraph
    built = _squeezed(text)

    missing = [line for line in _lines_of(source) if _squeezed(line) not in built]

    assert missing == []
    assert _squeezed(source.title) in built
