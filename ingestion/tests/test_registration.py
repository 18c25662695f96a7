"""Taking in a file: what is stored, what is refused and why, and that a refusal leaves nothing behind."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.base import ContentFile
from django.db import DatabaseError, connection, transaction
from pytest_django import Settings

from accounts.clearance import viewer_for
from accounts.models import Campus, Department, User
from ingestion.models import Document, DocumentType, Status
from ingestion.registration import (
    DocumentMetadata,
    UploadRejected,
    clean_file_name,
    clean_title,
    register_upload,
)
from ingestion.storage import StorageAway
from ingestion.tests.conftest import MakeLibrarian, TakeIn
from ingestion.versions import replace_file

pytestmark = pytest.mark.django_db


def originals(storage: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in storage.rglob("*") if path.is_file())


def test_an_upload_is_stored_under_a_generated_name_and_queued(take_in: TakeIn, storage: Path) -> None:
    document = take_in(b"Opening hours", "../../etc/hours.txt", title=" Opening \n hours ")

    document.refresh_from_db()
    assert (document.status, document.progress, document.is_searchable) == (Status.QUEUED, 0, False)
    assert (document.file_name, document.title, document.file_size) == ("hours.txt", "Opening hours", 13)
    assert document.sha256 == hashlib.sha256(b"Opening hours").hexdigest()
    assert "hours" not in document.file.name
    assert originals(storage) == [b"Opening hours"]


def test_what_is_said_about_the_file_is_kept(
    take_in: TakeIn, registry: Department, archives: Department, make_librarian: MakeLibrarian
) -> None:
    campus = Campus.objects.create(name="North")
    ada = make_librarian("ada", registry)
    document = take_in(
        b"x", viewer=viewer_for(ada), clearance=2, audience="department", campus=campus, tags=("fees",),
        shared_with=(archives,), language="de", priority=5, last_reviewed=date(2026, 3, 31),
    )  # fmt: skip

    document.refresh_from_db()
    assert (document.owner, document.clearance, document.audience, document.campus) == (ada, 2, "department", campus)
    assert (document.language, document.priority, document.last_reviewed) == ("de", 5, date(2026, 3, 31))
    assert [tag.name for tag in document.tags.all()] == ["fees"]
    assert set(document.readers) == {registry.pk, archives.pk}


@pytest.mark.parametrize(("role", "most"), [("student", 2), ("staff", 3), ("academic", 4), ("admin", 4)])
def test_what_is_left_out_becomes_the_most_restricted_that_the_uploader_may_set(
    take_in: TakeIn, registry: Department, make_librarian: MakeLibrarian, role: str, most: int
) -> None:
    viewer = viewer_for(make_librarian("ada", registry, role=role))
    document = take_in(b"x", viewer=viewer, clearance=None, audience=None)

    assert (document.clearance, document.audience) == (most, "department")


@pytest.mark.parametrize(("role", "own"), [("student", 2), ("staff", 3)])
def test_nobody_sets_a_clearance_above_their_own(
    take_in: TakeIn, registry: Department, make_librarian: MakeLibrarian, storage: Path, role: str, own: int
) -> None:
    viewer = viewer_for(make_librarian("ada", registry, role=role))
    with pytest.raises(UploadRejected, match=rf"Clearance {own + 1} is above your own \({own}\)") as rejection:
        take_in(b"x", viewer=viewer, clearance=own + 1)

    assert rejection.value.reason == "clearance"
    assert not originals(storage)


def test_librarians_upload_for_their_own_departments_only(
    take_in: TakeIn, registry: Department, archives: Department, make_librarian: MakeLibrarian
) -> None:
    viewer = viewer_for(make_librarian("ada", registry))
    with pytest.raises(UploadRejected, match="You do not curate Archives") as rejection:
        take_in(b"x", viewer=viewer, department=archives)

    assert rejection.value.reason == "department"
    assert not Document.objects.exists()


def test_a_librarian_without_a_department_uploads_nothing(take_in: TakeIn, make_librarian: MakeLibrarian) -> None:
    with pytest.raises(UploadRejected, match="You do not curate Registry"):
        take_in(b"x", viewer=viewer_for(make_librarian("ada")), clearance=None)


def test_only_librarians_and_administrators_upload(registry: Department, guide: DocumentType) -> None:
    professor = User.objects.create_user("professor", role="academic")
    professor.departments.add(registry)
    with pytest.raises(PermissionDenied):
        register_upload(
            ContentFile(b"x"), file_name="x.txt", uploader=professor, metadata=DocumentMetadata(registry, guide)
        )


def test_an_empty_file_is_refused(take_in: TakeIn, storage: Path) -> None:
    with pytest.raises(UploadRejected, match=r"“guide\.txt” is empty") as rejection:
        take_in(b"")

    assert rejection.value.reason == "empty"
    assert not Document.objects.exists()
    assert not originals(storage)


def test_a_file_above_the_limit_is_refused_and_one_at_the_limit_is_not(
    take_in: TakeIn, storage: Path, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = 100_000
    with pytest.raises(UploadRejected, match=r"“guide\.txt” is larger than 97\.7.KB\. Split it") as rejection:
        take_in(b"x" * 100_001)

    assert rejection.value.reason == "too_large"
    assert not originals(storage)
    take_in(b"x" * 100_000)


def test_the_same_file_twice_is_recognised_whatever_its_name(take_in: TakeIn, storage: Path) -> None:
    first = take_in(b"The same", "first.txt", title="First")
    with pytest.raises(UploadRejected, match=r"“second\.txt” is already here as “First”") as rejection:
        take_in(b"The same", "second.txt", title="Second")

    assert (rejection.value.reason, rejection.value.existing) == ("duplicate", first)
    assert originals(storage) == [b"The same"]


def test_a_twin_that_the_uploader_does_not_manage_does_not_betray_itself(
    take_in: TakeIn, registry: Department, archives: Department, make_librarian: MakeLibrarian
) -> None:
    hidden = [
        take_in(b"The same", department=archives, clearance=1, audience="department"),
        take_in(b"Restricted", department=registry, clearance=4),
    ]
    viewer = viewer_for(make_librarian("ada", registry))
    for content, twin in zip((b"The same", b"Restricted"), hidden, strict=True):
        assert take_in(content, viewer=viewer).pk != twin.pk


def test_an_archived_twin_is_not_in_the_way(take_in: TakeIn) -> None:
    first = take_in(b"The same")
    Document.objects.filter(pk=first.pk).update(status=Status.ARCHIVED)

    assert take_in(b"The same").pk != first.pk


@pytest.mark.django_db(transaction=True)
def test_of_two_uploads_of_one_file_at_once_one_is_recognised(
    take_in: TakeIn, storage: Path, empty_queue: None
) -> None:
    def upload(_: int) -> str:
        try:
            take_in(b"The same" * 100_000)
        except UploadRejected as rejection:
            return rejection.reason
        finally:
            connection.close()
        return "taken in"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(upload, range(4)))

    assert outcomes == ["duplicate", "duplicate", "duplicate", "taken in"]
    assert len(originals(storage)) == Document.objects.count() == 1


def test_when_the_row_cannot_be_written_the_original_goes_again(take_in: TakeIn, storage: Path) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        take_in(b"x", language="much too long for its column")

    assert not originals(storage)
    assert not Document.objects.exists()


def test_when_the_storage_fails_no_row_is_written(take_in: TakeIn, storage: Path) -> None:
    storage.write_bytes(b"not a folder")
    with pytest.raises(OSError, match="media"):
        take_in(b"x")

    assert not Document.objects.exists()


class TestReplacing:
    def test_the_document_keeps_what_is_said_about_it_and_is_queued(self, take_in: TakeIn, storage: Path) -> None:
        document = take_in(b"old", "old.txt", title="Hours", priority=5)
        Document.objects.filter(pk=document.pk).update(status=Status.FAILED, error="Broken.", error_reason="broken")

        replace_file(document, ContentFile(b"new one"), file_name="C:\\new.txt")

        document.refresh_from_db()
        assert (document.title, document.priority, document.file_name) == ("Hours", 5, "new.txt")
        assert (document.status, document.error, document.error_reason) == (Status.QUEUED, "", "")
        assert (document.file.read(), document.file_size) == (b"new one", 7)

    def test_what_a_worker_wrote_meanwhile_stays(self, take_in: TakeIn) -> None:
        as_the_librarian_read_it = take_in(b"old")
        Document.objects.filter(pk=as_the_librarian_read_it.pk).update(
            is_searchable=True, chunk_count=3, recipe="made", title="From the file", clearance=3
        )

        replace_file(as_the_librarian_read_it, ContentFile(b"new"), file_name="new.txt")

        document = Document.objects.get()
        assert (document.is_searchable, document.chunk_count, document.recipe) == (True, 3, "made")
        assert (document.title, document.clearance) == ("From the file", 3)

    @pytest.mark.parametrize(
        ("content", "reason"), [(b"", "empty"), (b"x" * 2_000, "too_large"), (b"old", "duplicate")]
    )
    def test_what_an_upload_refuses_is_refused(
        self, take_in: TakeIn, storage: Path, settings: Settings, content: bytes, reason: str
    ) -> None:
        settings.MAX_UPLOAD_BYTES = 1_000
        document = take_in(b"old")
        with pytest.raises(UploadRejected) as rejection:
            replace_file(document, ContentFile(content), file_name="new.txt")

        assert rejection.value.reason == reason
        assert originals(storage) == [b"old"]
        assert document.file.read() == b"old"

    def test_an_archived_document_is_restored_first(self, take_in: TakeIn, storage: Path) -> None:
        document = take_in(b"old")
        Document.objects.filter(pk=document.pk).update(status=Status.ARCHIVED)
        with pytest.raises(UploadRejected, match="Restore it before"):
            replace_file(document, ContentFile(b"new"), file_name="new.txt")

        assert originals(storage) == [b"old"]
        assert Document.objects.get().status == Status.ARCHIVED


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\Fees 2026.docx", "Fees 2026.docx"),
        ("/", "unnamed"),
        ("..", "unnamed"),
        ("", "unnamed"),
        (" \t\n", "unnamed"),
        ("fees\x00\x1b[31m.pdf", "fees[31m.pdf"),
        ("fees\r\nSet-Cookie: a.pdf", "fees Set-Cookie: a.pdf"),
        ("annual\u202efdp.exe", "annualfdp.exe"),
        ("a\u2028b.txt", "a b.txt"),
        ("Gebühren.pdf", "Gebühren.pdf"),
        ("图书馆指南.pdf", "图书馆指南.pdf"),
        (".htaccess", ".htaccess"),
        ("\ud800.txt", ".txt"),
    ],
)
def test_file_names_are_one_harmless_line(given: str, kept: str) -> None:
    assert clean_file_name(given) == kept


def test_a_long_file_name_keeps_its_ending() -> None:
    kept = clean_file_name("ü" * 400 + ".docx")

    assert len(kept) == 255
    assert kept.endswith("üü.docx")
    assert len(clean_file_name("a." + "b" * 400)) == 255


def test_titles_are_one_line_of_at_most_300_characters() -> None:
    assert clean_title(" Fees\x00 and\r\n\tcharges\x07 ") == "Fees and charges"
    assert clean_title("می‌خواهم") == "می‌خواهم"
    assert len(clean_title("t" * 400)) == 300


def test_names_and_titles_of_all_sorts_reach_the_database(take_in: TakeIn) -> None:
    document = take_in(b"x", "a/\x00\u202e" + "n" * 400 + ".txt", title="\x00" + "t" * 400)

    document.refresh_from_db()
    assert (len(document.file_name), len(document.title)) == (255, 300)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file of this process may grow larger: as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_as_such_and_keeps_nothing(take_in: TakeIn, storage: Path) -> None:
    here = take_in(b"Apples.", "apples.txt")
    before = Document.objects.values().get()
    long = b"x" * 200_000
    with files_of_at_most(100_000):
        with pytest.raises(StorageAway):
            take_in(long, "long.txt")
        with pytest.raises(StorageAway):
            replace_file(here, ContentFile(long), file_name="long.txt")

    assert Document.objects.values().get() == before
    assert originals(storage) == [b"Apples."]
    # It is no duplicate of what was never kept.
    assert take_in(long, "long.txt").file_size == len(long)
