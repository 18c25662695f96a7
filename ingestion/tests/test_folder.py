"""Taking in a folder: what its manifest may say, and that a wrong one touches nothing."""

from __future__ import annotations

import csv
import io
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.clearance import OPERATOR
from accounts.models import Campus, Department
from ingestion.folder import (
    COLUMNS,
    MOST_BYTES,
    Catalogue,
    FolderReport,
    InvalidManifest,
    ingest_folder,
    read_manifest,
)
from ingestion.models import Document, DocumentType, Status

pytestmark = pytest.mark.django_db

RIGHT = {
    "path": "fees.txt", "title": "Fees", "department": "Registry", "campus": "North", "doc_type": "guide",
    "clearance": "2", "audience": "institution", "language": "en", "priority": "4", "last_reviewed": "2026-03-31",
}  # fmt: skip


@pytest.fixture(autouse=True)
def university(storage: Path, registry: Department, guide: DocumentType) -> None:
    Campus.objects.create(name="North")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    (made / "sub").mkdir(parents=True)
    (made / "fees.txt").write_text("What it costs to study.")
    (made / "sub" / "terms.txt").write_text("When the terms begin.")
    (tmp_path / "secret.txt").write_text("Not for the corpus.")
    return made


def manifest(folder: Path, *rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> Path:
    path = folder / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(*arguments: object, **options: Any) -> str:
    said = io.StringIO()
    call_command("ingest_folder", *map(str, arguments), stdout=said, stderr=said, **options)
    return said.getvalue()


def test_each_line_becomes_a_document(folder: Path, registry: Department, guide: DocumentType) -> None:
    plain = RIGHT | {
        "path": "sub/terms.txt", "title": "Terms, dates\nand more", "campus": "", "priority": "", "language": "",
        "last_reviewed": "", "clearance": "4", "audience": "department",
    }  # fmt: skip
    said = run(folder, "--manifest", manifest(folder, RIGHT, plain))

    assert "2 queued, 0 here already, 0 refused." in said
    fees, terms = Document.objects.order_by("title")
    assert (fees.title, fees.department, fees.doc_type, fees.campus.name) == ("Fees", registry, guide, "North")
    assert (fees.clearance, fees.audience, fees.language, fees.priority) == (2, "institution", "en", 4)
    assert (fees.last_reviewed, fees.file_name, fees.status) == (date(2026, 3, 31), "fees.txt", Status.QUEUED)
    assert (terms.title, terms.file_name) == ("Terms, dates and more", "terms.txt")
    assert (terms.clearance, terms.audience, terms.language, terms.priority) == (4, "department", "", 3)
    assert (terms.campus, terms.last_reviewed, terms.owner) == (None, None, None)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"department": "Magic"}, "unknown department 'Magic' (known: Registry)"),
        ({"department": ""}, "unknown department ''"),
        ({"campus": "Moon"}, "unknown campus 'Moon' (known: North)"),
        ({"doc_type": "spell"}, "unknown doc_type 'spell'"),
        ({"clearance": "9"}, "clearance '9' must be a number from 1 to 4"),
        ({"clearance": ""}, "clearance '' must be a number from 1 to 4"),
        ({"clearance": "-1"}, "clearance '-1' must be"),
        ({"clearance": "２"}, "clearance '２' must be"),
        ({"priority": "7"}, "priority '7' must be a number from 1 to 5"),
        ({"audience": "everybody"}, "audience 'everybody' must be institution or department"),
        ({"language": "English"}, "language 'English' must be a code such as en or de, or empty"),
        ({"last_reviewed": "31/03/2026"}, "last_reviewed '31/03/2026' must be a date such as 2026-03-31"),
        ({"last_reviewed": "2026-02-30"}, "must be a date"),
        ({"path": "../secret.txt"}, "path '../secret.txt' is not inside the folder"),
        ({"path": "/etc/passwd"}, "path '/etc/passwd' is not inside the folder"),
        ({"path": "link.txt"}, "path 'link.txt' is not inside the folder"),
        ({"path": "loop.txt"}, "loop.txt"),
        ({"path": "sub"}, "there is no file 'sub' in the folder"),
        ({"path": "gone.txt"}, "there is no file 'gone.txt' in the folder"),
        ({"path": ""}, "path '' is not inside the folder"),
        ({"path": "x" * 5000}, "cannot be used"),
        ({"path": "fees\0.txt"}, "cannot be used"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_taken_in(folder: Path, wrong: dict[str, str], complaint: str) -> None:
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "loop.txt").symlink_to("loop.txt")
    path = manifest(folder, RIGHT, RIGHT | {"path": "sub/terms.txt"} | wrong)
    with pytest.raises(CommandError) as error:
        run(folder, "--manifest", path)

    assert "manifest.csv has 1 wrong line; nothing was taken in." in str(error.value)
    named = str(error.value).partition("line 3: ")[2]
    assert complaint in named
    assert not Document.objects.exists()


def test_every_wrong_line_is_named_up_to_a_limit(folder: Path) -> None:
    path = manifest(folder, *(RIGHT | {"clearance": str(number)} for number in range(10, 40)))
    with pytest.raises(InvalidManifest) as error:
        read_manifest(folder, path, Catalogue())

    assert "has 30 wrong lines" in str(error.value)
    assert "line 2: clearance '10'" in str(error.value)
    assert "line 21: clearance '29'" in str(error.value)
    assert "clearance '30'" not in str(error.value)
    assert str(error.value).endswith("… and 10 more")


def test_line_numbers_are_those_of_the_file(folder: Path) -> None:
    path = manifest(folder, RIGHT | {"title": "On\nthree\nlines"}, RIGHT | {"clearance": "9"})
    with pytest.raises(InvalidManifest, match="line 5: clearance '9'"):
        read_manifest(folder, path, Catalogue())


def test_a_file_is_named_once(folder: Path) -> None:
    path = manifest(folder, RIGHT, RIGHT | {"path": "./fees.txt", "clearance": "1"})
    with pytest.raises(InvalidManifest, match=r"line 3: '\./fees\.txt' is named in line 2 already"):
        read_manifest(folder, path, Catalogue())


def test_of_a_huge_value_the_beginning_is_told(folder: Path) -> None:
    path = manifest(folder, *({**RIGHT, "department": "x" * 100_000} for _ in range(20)))
    with pytest.raises(InvalidManifest) as error:
        read_manifest(folder, path, Catalogue())

    assert len(str(error.value)) < 12_000


def test_a_huge_manifest_is_refused_before_it_is_read(folder: Path) -> None:
    path = manifest(folder, RIGHT)
    os.truncate(path, MOST_BYTES + 1)
    with pytest.raises(InvalidManifest, match="larger than 8 MB"):
        read_manifest(folder, path, Catalogue())


def test_a_comma_without_quotation_marks_is_told(folder: Path) -> None:
    path = manifest(folder, RIGHT)
    with path.open("a") as lines:
        lines.write("fees.txt,Fees, and charges,Registry,North,guide,2,institution,en,4,2026-03-31\n")
    with pytest.raises(InvalidManifest, match="line 3: has more values than columns; put a value that holds a comma"):
        read_manifest(folder, path, Catalogue())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "lacks the columns path, title, department"),
        (b"path;title;department\n", "The first line must name: path,title,department,campus"),
        (",".join(name for name in COLUMNS if name != "clearance").encode() + b"\n", "lacks the column clearance."),
        (",".join(COLUMNS).encode() + b"\nfees.txt,Geb\xfchren", "It must be a CSV file in UTF-8."),
        (b"\xff\xfep\x00a\x00t\x00h\x00", "It must be a CSV file in UTF-8."),
        (b"PK\x03\x04\x14\x00" + bytes(range(256)), "It must be a CSV file in UTF-8."),
        (",".join(COLUMNS).encode() + b'\n"' + b"x" * 200_000, "It must be a CSV file in UTF-8."),
    ],
    ids=["empty", "semicolons", "a column too few", "Latin-1", "UTF-16", "a spreadsheet", "an endless value"],
)
def test_what_is_no_manifest_is_refused(folder: Path, content: bytes, complaint: str) -> None:
    path = folder / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(CommandError) as error:
        run(folder, "--manifest", path)

    assert complaint in str(error.value)
    assert not Document.objects.exists()


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_manifest_that_a_spreadsheet_of_another_country_saved_is_read(folder: Path, delimiter: str) -> None:
    path = manifest(folder, RIGHT)
    path.write_text(path.read_text().replace(",", delimiter))

    assert len(read_manifest(folder, path, Catalogue())) == 1


def test_a_name_with_a_slip_is_recognised(folder: Path) -> None:
    with pytest.raises(InvalidManifest, match=r"unknown department 'Registri'; did you mean 'Registry'\?"):
        read_manifest(folder, manifest(folder, RIGHT | {"department": "Registri"}), Catalogue())


def test_a_manifest_that_a_spreadsheet_saved_with_a_mark_is_read(folder: Path) -> None:
    path = manifest(folder, RIGHT)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert len(read_manifest(folder, path, Catalogue())) == 1


@pytest.mark.parametrize("arguments", [["--manifest", "gone.csv"], ["--manifest", "."], []])
def test_what_is_not_there_is_told(folder: Path, arguments: list[str]) -> None:
    with pytest.raises(CommandError, match=r"cannot be read|say whose the files are: --department NAME"):
        run(folder, *arguments)
    with pytest.raises(CommandError, match="is not a folder"):
        run(folder / "gone", *arguments)


def test_what_is_missing_is_made_only_when_asked_for(folder: Path) -> None:
    new = RIGHT | {"department": "Chapel", "campus": "South", "doc_type": "hymn-sheet"}
    path = manifest(folder, new, RIGHT | {"clearance": "9"})
    with pytest.raises(CommandError):
        run(folder, "--manifest", path, "--create-missing")
    assert not Department.objects.filter(name="Chapel").exists(), "not for a manifest with a wrong line"

    run(folder, "--manifest", manifest(folder, new), "--create-missing")
    document = Document.objects.get()
    assert (document.department.name, document.campus.name) == ("Chapel", "South")
    assert (document.doc_type.slug, document.doc_type.name) == ("hymn-sheet", "Hymn sheet")


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"department": "D" * 151}, "at most 150 characters"),
        ({"campus": "C" * 101}, "at most 100 characters"),
        ({"doc_type": "no slug!"}, "valid “slug”"),
    ],
)
def test_what_cannot_be_made_is_a_wrong_line(folder: Path, wrong: dict[str, str], complaint: str) -> None:
    with pytest.raises(CommandError, match="line 2:") as error:
        run(folder, "--manifest", manifest(folder, RIGHT | wrong), "--create-missing")

    assert complaint in str(error.value)


def test_files_that_are_here_already_are_recognised(folder: Path) -> None:
    (folder / "copy.txt").write_bytes((folder / "fees.txt").read_bytes())
    path = manifest(folder, RIGHT, RIGHT | {"path": "copy.txt"})

    assert "1 queued, 1 here already, 0 refused." in run(folder, "--manifest", path)
    assert "0 queued, 2 here already, 0 refused." in run(folder, "--manifest", path)
    assert Document.objects.count() == 1


def test_one_refused_file_keeps_no_other_out(folder: Path, settings: Settings) -> None:
    settings.MAX_UPLOAD_BYTES = 100
    (folder / "empty.txt").touch()
    (folder / "large.txt").write_text("x" * 101)
    said = run(folder, "--department", "Registry")

    assert "2 queued, 0 here already, 2 refused." in said
    assert "refused: empty.txt: “empty.txt” is empty." in said
    assert "refused: large.txt: “large.txt” is larger than" in said


def test_a_file_that_cannot_be_read_is_told(folder: Path) -> None:
    path = manifest(folder, RIGHT, RIGHT | {"path": "sub/terms.txt"})
    files = read_manifest(folder, path, Catalogue())
    os.remove(folder / "fees.txt")
    *_, report = [FolderReport(), *ingest_folder(files, viewer=OPERATOR)]

    assert report.rejected == {"fees.txt": "cannot be read: No such file or directory"}
    assert len(report.registered) == 1


def test_a_storage_that_is_away_ends_it_and_the_same_command_goes_on(folder: Path, storage: Path) -> None:
    path = manifest(folder, RIGHT, RIGHT | {"path": "sub/terms.txt"})
    storage.write_text("not a folder")
    with pytest.raises(CommandError, match="0 of 2 files were taken in; the same command takes in the rest"):
        run(folder, "--manifest", path)

    storage.unlink()
    assert "2 queued, 0 here already, 0 refused." in run(folder, "--manifest", path)


class TestWithoutManifest:
    def test_every_file_gets_what_the_options_say(self, folder: Path, registry: Department) -> None:
        (folder / ".hidden").write_text("not this one")
        (folder / ".git").mkdir()
        (folder / ".git" / "config").write_text("nor this one")
        (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
        run(folder, "--department", "Registry", "--clearance", "2", "--audience", "institution", "--campus", "North")

        assert sorted(Document.objects.values_list("file_name", flat=True)) == ["fees.txt", "terms.txt"]
        fees = Document.objects.get(file_name="fees.txt")
        assert (fees.department, fees.clearance, fees.audience, fees.campus.name) == (
            registry, 2, "institution", "North",
        )  # fmt: skip

    def test_what_is_left_out_is_the_most_restricted(self, folder: Path) -> None:
        run(folder, "--department", "Registry")

        assert set(Document.objects.values_list("clearance", "audience")) == {(4, "department")}

    def test_an_unknown_department_is_told(self, folder: Path) -> None:
        with pytest.raises(CommandError, match=r"unknown department 'Magic' \(known: Registry\)"):
            run(folder, "--department", "Magic")
        assert not Document.objects.exists()
