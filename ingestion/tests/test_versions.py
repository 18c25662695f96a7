"""Earlier versions: what is kept of a document's originals, and how one is brought back."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.base import ContentFile

from ingestion import pipeline, versions
from ingestion.models import Document, EarlierVersion, Status
from ingestion.originals import original_response
from ingestion.registration import UploadRejected
from ingestion.tests import document_files
from ingestion.tests.conftest import TakeIn
from ingestion.tests.texts import ENGLISH, found, ingested

pytestmark = pytest.mark.django_db

TORN = b"%PDF-1.7\ntorn off"


def replaced(document: Document, content: bytes | str, name: str = "new.md") -> Document:
    data = content.encode() if isinstance(content, str) else content
    return versions.replace_file(document, ContentFile(data), file_name=name)


def kept(document: Document) -> list[tuple[int, str]]:
    return list(versions.earlier(document).values_list("number", "file_name"))


def stored(storage: Path) -> int:
    return sum(path.is_file() for path in storage.rglob("*"))


def test_what_was_served_is_kept_once_the_new_file_is_served(take_in: TakeIn, storage: Path, tmp_path: Path) -> None:
    pdf = document_files.make_pdf(tmp_path / "old.pdf", 2).read_bytes()
    document = ingested(take_in(pdf, "old.pdf", title="Travel"))
    replaced(document, ENGLISH)
    assert (kept(document), document.version, document.page_count) == ([], 1, 2), "what is served is still the old one"

    assert ingested(document).version == 2
    (old,) = versions.earlier(document)
    assert (old.number, old.file_name, old.file_size, old.page_count) == (1, "old.pdf", len(pdf), 2)
    assert old.mime_type == "application/pdf"
    assert (document.file_name, document.mime_type) == ("new.md", "text/markdown")
    assert b"".join(original_response(old)) == pdf
    assert "old.pdf" in original_response(old)["Content-Disposition"]
    assert stored(storage) == 2


def test_nothing_is_lost_of_what_was_never_served(take_in: TakeIn, storage: Path) -> None:
    document = ingested(take_in(TORN, "torn.pdf", title="Travel"))
    assert document.status == Status.FAILED
    replaced(document, ENGLISH, "first.md")
    assert (kept(document), document.version) == ([(1, "torn.pdf")], 2)
    assert ingested(document).status == Status.READY
    replaced(document, TORN, "second.pdf")
    assert ingested(document).status == Status.FAILED
    assert (document.file_name, document.version) == ("first.md", 2)
    replaced(document, "Quite another text.", "third.md")
    assert ingested(document).status == Status.READY

    assert kept(document) == [(3, "second.pdf"), (2, "first.md"), (1, "torn.pdf")]
    assert (document.version, document.file_name) == (4, "third.md")
    assert stored(storage) == 4


def test_an_earlier_version_comes_back_without_another_stored_file(take_in: TakeIn, storage: Path) -> None:
    document = ingested(take_in(ENGLISH, "old.md", title="Travel", language="en"))
    first = document.file.name
    replaced(document, "# Travel\n\nNobody travels any more.\n")
    ingested(document)
    assert not found("receipts")
    versions.restore_version(document, 1)
    assert found("travels"), "what is served stays until the restored one is read"

    assert ingested(document).status == Status.READY
    assert found("receipts") == {"Travel"}
    assert (document.version, document.file_name, document.file.name) == (3, "old.md", first)
    assert kept(document) == [(2, "new.md"), (1, "old.md")]
    assert stored(storage) == 2
    versions.restore_version(document, 2)
    assert ingested(document).file_name == "new.md"
    assert kept(document) == [(3, "old.md"), (2, "new.md"), (1, "old.md")]
    assert stored(storage) == 2


def test_what_cannot_be_brought_back(take_in: TakeIn) -> None:
    document = ingested(take_in(TORN, "torn.pdf"))
    with pytest.raises(EarlierVersion.DoesNotExist):
        versions.restore_version(document, 1)
    replaced(document, ENGLISH)
    versions.restore_version(document, 1)
    with pytest.raises(UploadRejected, match="already has"):
        versions.restore_version(document, 1)
    pipeline.archive(document)
    with pytest.raises(UploadRejected, match="Restore it before"):
        versions.restore_version(document, 2)


def test_another_document_may_be_what_an_earlier_version_was(take_in: TakeIn) -> None:
    document = ingested(take_in(ENGLISH, "old.md"))
    with pytest.raises(UploadRejected):
        take_in(ENGLISH, "again.md")
    replaced(document, "Something else.")
    ingested(document)

    assert take_in(ENGLISH, "again.md").pk != document.pk


def test_deletion_deletes_every_version(take_in: TakeIn, storage: Path, django_capture_on_commit_callbacks) -> None:
    document = ingested(take_in(ENGLISH, "old.md"))
    replaced(document, "Something else.")
    ingested(document)
    replaced(document, "Something else again.")
    assert stored(storage) == 3
    with django_capture_on_commit_callbacks(execute=True):
        pipeline.delete(document)

    assert stored(storage) == 0
    assert not EarlierVersion.objects.exists()
