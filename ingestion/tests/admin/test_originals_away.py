"""The disk or the bucket with the originals is away: nothing is lost, and the person is told what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from accounts.models import Department
from ingestion.admin.pages import ORIGINALS_AWAY
from ingestion.models import Document, UploadBatch
from ingestion.tests.admin.conftest import LIST, UPLOAD, Make, change, text_of, upload
from ingestion.tests.admin.test_sending import begun, said, send

__all__ = ["said"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def away(make: Make, finance: Department, tmp_path: Path) -> Document:
    """A document of before, whose original is on a disk that is not mounted any more."""
    document = make("Before", finance)
    (tmp_path / "originals").rename(tmp_path / "elsewhere")
    return document


def test_a_file_that_cannot_be_stored_is_asked_for_again(
    desk: Client, away: Document, said: dict[str, object], tmp_path: Path
) -> None:
    sent_to = begun(desk, said)["send"]
    answer = send(desk, sent_to, said, "one.md", b"One.")
    assert (answer.status_code, answer.json()) == (503, {"away": ORIGINALS_AWAY})
    assert not (tmp_path / "originals").exists(), "what is written there is hidden once the disk is back"
    assert Document.objects.get() == away
    assert UploadBatch.objects.get().refused == []

    (tmp_path / "elsewhere").rename(tmp_path / "originals")
    assert send(desk, sent_to, said, "one.md", b"One.").status_code == 201


def test_files_sent_all_at_once_are_named_as_missing(desk: Client, away: Document, finance: Department) -> None:
    answer = upload(desk, finance, ("one.md", b"One."), ("two.md", b"Two."))
    text = text_of(desk, answer.url)
    assert "2 files not taken in" in text
    assert text.count(ORIGINALS_AWAY) == 2
    assert "one.md" in text
    assert "two.md" in text


def test_a_file_is_not_replaced_and_the_page_says_why(desk: Client, away: Document) -> None:
    page = f"{LIST}{away.pk}/replace/"
    with open(__file__, "rb") as file:
        answer = desk.post(page, {"file": file})
    assert ORIGINALS_AWAY in answer.content.decode()
    away.refresh_from_db()
    assert (away.next_file.name, away.status) == ("", "ready")


def test_an_original_that_cannot_be_reached_now_is_not_called_unknown(desk: Client, away: Document) -> None:
    answer = desk.get(f"{LIST}{away.pk}/original/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert "cannot be reached" in answer.content.decode()
    assert desk.get(f"/documents/{away.pk}/file").status_code == 503
    assert desk.get(change(away)).status_code == 200


def test_before_the_first_document_there_need_be_no_folder(desk: Client, finance: Department, tmp_path: Path) -> None:
    assert upload(desk, finance, ("one.md", b"One.")).status_code == 302
    assert Document.objects.get().file_name == "one.md"


def test_a_folder_that_is_closed_to_us_is_no_fault_of_the_file(
    desk: Client, finance: Department, tmp_path: Path
) -> None:
    (tmp_path / "originals").write_text("where the folder should be")
    answer = upload(desk, finance, ("one.md", b"One."))
    assert ORIGINALS_AWAY in text_of(desk, answer.url)
    assert desk.get(UPLOAD).status_code == 200
