"""Taking in a whole folder, with a manifest that says what each file is."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.core.files import File

from accounts.clearance import Audience, Clearance, Viewer
from accounts.models import Campus, Department
from ingestion.language import language_code
from ingestion.models import Document, DocumentType
from ingestion.registration import DocumentMetadata, UploadRejected, clean_title, register
from ingestion.storage import StorageAway

COLUMNS = (
    "path", "title", "department", "campus", "doc_type", "clearance", "audience", "language", "priority",
    "last_reviewed",
)  # fmt: skip

MAX_PROBLEMS = 20

LONGEST_PROBLEM = 500
"""Characters that are told of what is wrong with a line: a value in it may be a hundred thousand long."""

MOST_BYTES = 8 * 1024 * 1024
"""Size of a manifest: some 40,000 lines. It is held in memory as a whole, also in workers."""

Known = TypeVar("Known", Department, Campus, DocumentType)


class InvalidManifest(Exception):
    """The manifest cannot be used; the message names each line and what to do. Nothing was taken in."""


@dataclass(frozen=True)
class FolderFile:
    """A file to take in, and what is said about it."""

    path: Path
    name: str
    metadata: DocumentMetadata


@dataclass
class FolderReport:
    """What became of the files of a folder."""

    registered: list[Document] = field(default_factory=list)
    known: list[Document] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)


@dataclass
class Catalogue:
    """Departments, campuses and document types by name; with `create`, unknown ones are made instead of refused."""

    create: bool = False
    departments: dict[str, Department] = field(
        default_factory=lambda: {one.name: one for one in Department.objects.all()}
    )
    campuses: dict[str, Campus] = field(default_factory=lambda: {one.name: one for one in Campus.objects.all()})
    doc_types: dict[str, DocumentType] = field(
        default_factory=lambda: {one.slug: one for one in DocumentType.objects.all()}
    )

    def department(self, name: str) -> Department:
        """The department of this name. Raises ValueError with the known ones."""
        if name and name not in self.departments and self.create:
            self.departments[name] = _made(Department(name=name))
        return _known("department", name, self.departments)

    def campus(self, name: str) -> Campus | None:
        """The campus of this name; none for an empty one. Raises ValueError with the known ones."""
        if name and name not in self.campuses and self.create:
            self.campuses[name] = _made(Campus(name=name))
        return _known("campus", name, self.campuses) if name else None

    def doc_type(self, slug: str) -> DocumentType:
        """The document type of this short name. Raises ValueError with the known ones."""
        if slug and slug not in self.doc_types and self.create:
            self.doc_types[slug] = _made(DocumentType(slug=slug, name=slug.replace("-", " ").capitalize()))
        return _known("doc_type", slug, self.doc_types)

    def save(self) -> None:
        """Write what was made."""
        for known in (self.departments, self.campuses, self.doc_types):
            for one in known.values():
                if one._state.adding:
                    one.save()


def _made(new: Known) -> Known:
    """What is to be made, once it is known that it can be. Raises ValueError with what is wrong with it."""
    try:
        new.full_clean()
    except ValidationError as error:
        raise ValueError(f"{new._meta.verbose_name} {str(new)[:50]!r}: {' '.join(error.messages)}") from None
    return new


def _known(kind: str, name: str, known: dict[str, Known]) -> Known:
    if name not in known:
        if meant := get_close_matches(name, known):
            raise ValueError(f"unknown {kind} {name!r}; did you mean {' or '.join(map(repr, meant))}?")
        raise ValueError(f"unknown {kind} {name!r} (known: {', '.join(sorted(known)) or 'none'})")
    return known[name]


Located = tuple[str, Path | None]
"""What a file is called where it lies, and where that is; None where there is none of that name."""


def read_manifest(folder: Path, manifest: Path, catalogue: Catalogue) -> list[FolderFile]:
    """The files of a folder that a manifest names. Raises InvalidManifest, before anything is touched."""
    return read_rows(manifest, manifest.name, partial(_in_folder, folder), catalogue)


def read_rows(
    manifest: Path, called: str, locate: Callable[[str], Located], catalogue: Catalogue, *, most: int | None = None
) -> list[FolderFile]:
    """The files that a manifest names, found by `locate`, which may raise ValueError with what is wrong with a name.

    `called` is the manifest's own name; with `most` it may have so many lines. Raises InvalidManifest, with every wrong
    line.
    """
    try:
        if manifest.stat().st_size > MOST_BYTES:
            raise InvalidManifest(f"{called} is larger than {MOST_BYTES // 1024**2} MB. Split it, and its files.")
        with manifest.open(encoding="utf-8-sig", newline="") as lines:
            # Spreadsheet programs of many countries write semicolons.
            head = lines.readline()
            lines.seek(0)
            reader = csv.DictReader(lines, delimiter=max(",;\t", key=head.count))
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or [])]
            if missing:
                raise InvalidManifest(
                    f"{called} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}. "
                    f"The first line must name: {','.join(COLUMNS)}"
                )
            rows = [(reader.line_num, row) for row in islice(reader, most + 1 if most is not None else None)]
    except UnicodeDecodeError:
        raise InvalidManifest(
            f"{called} cannot be read. It must be a CSV file in UTF-8. In Excel save it as “CSV UTF-8”; other programs "
            "ask for the character set: choose UTF-8."
        ) from None
    except (OSError, csv.Error) as error:
        raise InvalidManifest(f"{called} cannot be read: {error}. It must be a CSV file in UTF-8.") from None
    if most is not None and len(rows) > most:
        raise InvalidManifest(f"{called} has more than {most:,} lines. Split it, and its files.")
    files: list[FolderFile] = []
    problems: list[str] = []
    lines_of: dict[Path, int] = {}
    for number, row in rows:
        try:
            if None in row:
                raise ValueError("has more values than columns; put a value that holds a comma into quotation marks")
            file = _file(locate, {name: (row.get(name) or "").strip() for name in COLUMNS}, catalogue)
            if lines_of.setdefault(file.path, number) != number:
                raise ValueError(f"{file.name!r} is named in line {lines_of[file.path]} already")
            files.append(file)
        except ValueError as error:
            problems.append(f"line {number}: {str(error)[:LONGEST_PROBLEM]}")
    if problems:
        more = len(problems) - MAX_PROBLEMS
        raise InvalidManifest(
            f"{called} has {len(problems)} wrong line{'s' if len(problems) > 1 else ''}; nothing was taken in.\n"
            + "\n".join(problems[:MAX_PROBLEMS])
            + (f"\n… and {more} more" if more > 0 else "")
        )
    return files


def _in_folder(folder: Path, name: str) -> Located:
    """A file of this name below the folder. Raises ValueError."""
    try:
        path = (folder / name).resolve()
        inside, there = path.is_relative_to(folder.resolve()), path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # too long, a link that leads to itself, a NUL
        raise ValueError(f"path {name[:100]!r} cannot be used: {error}") from None
    if not name or not inside:
        raise ValueError(f"path {name!r} is not inside the folder")
    return name, path if there else None


def _file(locate: Callable[[str], Located], row: dict[str, str], catalogue: Catalogue) -> FolderFile:
    """One line of a manifest. Raises ValueError with what is wrong with it."""
    name, path = locate(row["path"])
    if path is None:
        raise ValueError(f"there is no file {row['path']!r} in the folder")
    language = language_code(row["language"])
    if row["language"] and not language:
        raise ValueError(f"language {row['language']!r} must be a code such as en or de, or empty")
    if row["audience"] not in Audience.values:
        raise ValueError(f"audience {row['audience']!r} must be institution or department")
    return FolderFile(
        path,
        name,
        DocumentMetadata(
            title=clean_title(row["title"]),
            department=catalogue.department(row["department"]),
            campus=catalogue.campus(row["campus"]),
            doc_type=catalogue.doc_type(row["doc_type"]),
            clearance=_number("clearance", row["clearance"], min(Clearance.values), max(Clearance.values)),
            audience=row["audience"],
            language=language,
            priority=_number("priority", row["priority"] or "3", 1, 5),
            last_reviewed=_date(row["last_reviewed"]),
        ),
    )


def _number(name: str, text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ValueError(f"{name} {text!r} must be a number from {least} to {most}")
    return int(text)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ValueError(f"last_reviewed {text!r} must be a date such as 2026-03-31") from None


def files_without_manifest(folder: Path, metadata: DocumentMetadata) -> list[FolderFile]:
    """Every file of a folder that is not hidden, all with the same metadata."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    inside = [(path, path.relative_to(folder)) for path in paths]
    return [
        FolderFile(path, str(name), metadata)
        for path, name in inside
        if not any(part.startswith(".") for part in name.parts)
    ]


def ingest_folder(files: list[FolderFile], *, viewer: Viewer) -> Iterator[FolderReport]:
    """Register the files one by one; yields the growing report after each.

    A file that is here already is recognised, and one that is refused does not keep the others out. Raises StorageAway.
    """
    report = FolderReport()
    for file in files:
        try:
            with file.path.open("rb") as opened:
                document = register(File(opened), file_name=file.path.name, viewer=viewer, metadata=file.metadata)
            report.registered.append(document)
        except UploadRejected as rejection:
            if rejection.existing:
                report.known.append(rejection.existing)
            else:
                report.rejected[file.name] = str(rejection)
        except StorageAway:
            # An OSError too, and no fault of the file's: it would be the same with all that come after it.
            raise
        except OSError as error:
            report.rejected[file.name] = f"cannot be read: {error.strerror}"
        yield report
