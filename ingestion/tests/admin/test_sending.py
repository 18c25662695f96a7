"""Files that the browser sends one by one, and the page on which their upload is watched."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from accounts.models import Campus, Department, User
from ingestion.admin.batches import LISTED, Stage, time_left
from ingestion.folder import COLUMNS
from ingestion.forms import MAX_FILES_PER_BATCH
from ingestion.models import Document, DocumentType, UploadBatch
from ingestion.tests.admin.conftest import LIST, UPLOADS, Make, change, text_of

pytestmark = pytest.mark.django_db

BEGIN = f"{LIST}upload/begin/"


@pytest.fixture
def said(finance: Department) -> dict[str, Any]:
    guide = DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})[0]
    return {
        "department": finance.pk,
        "doc_type": guide.pk,
        "clearance": 2,
        "audience": "department",
        "priority": 4,
        "tags": "lamps",
    }


def begun(client: Client, said: dict[str, Any], announced: int = 3) -> dict[str, str]:
    answer = client.post(BEGIN, said | {"announced": announced})
    assert answer.status_code == 201, answer.content
    addresses: dict[str, str] = answer.json()
    return addresses


def send(client: Client, address: str, said: dict[str, Any], name: str, content: bytes) -> Any:
    return client.post(address, said | {"originals": [SimpleUploadedFile(name, content)]})


def test_files_sent_one_by_one_make_one_upload_and_each_is_told_its_fate(
    desk: Client, librarian: User, make: Make, finance: Department, said: dict[str, Any]
) -> None:
    twin = make("Here already", finance)
    upload = begun(desk, said)
    taken = send(desk, upload["send"], said, "one.md", b"One.")
    refused = send(desk, upload["send"], said, "copy.txt", b"Here already")
    empty = send(desk, upload["send"], said, "empty.txt", b"")

    one = Document.objects.get(file_name="one.md")
    assert (taken.status_code, taken.json()) == (201, {"document": change(one)})
    assert (refused.status_code, refused.json()["document"]) == (422, change(twin))
    assert "already here as “Here already”" in refused.json()["refused"]
    assert empty.json() == {"refused": "“empty.txt” is empty. Check the file and upload it again.", "document": ""}
    batch = UploadBatch.objects.get()
    assert (one.batch, one.owner, one.priority, one.clearance) == (batch, librarian, 4, 2)
    assert [tag.name for tag in one.tags.all()] == ["lamps"]
    assert [refusal["file_name"] for refusal in batch.refused] == ["copy.txt", "empty.txt"]
    text = text_of(desk, upload["watch"])
    assert "0 of 1 ready, 1 in progress." in text
    assert "2 files not taken in" in text


def test_a_file_sent_again_because_its_answer_was_lost_is_known(desk: Client, said: dict[str, Any]) -> None:
    upload = begun(desk, said)
    first = send(desk, upload["send"], said, "one.md", b"One.")
    again = send(desk, upload["send"], said, "one.md", b"One.")
    assert (again.status_code, again.json()) == (201, first.json())
    assert Document.objects.count() == 1
    other_name = send(desk, upload["send"], said, "same.md", b"One.")
    assert other_name.status_code == 422
    for _attempt in range(2):
        send(desk, upload["send"], said, "empty.txt", b"")
    assert [one["file_name"] for one in UploadBatch.objects.get().refused] == ["same.md", "empty.txt"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"clearance": 4}, "clearance"),
        ({"department": 0}, "department"),
        ({"title": "One title", "announced": 2}, "title"),
        ({"announced": MAX_FILES_PER_BATCH + 1}, "announced"),
        ({"announced": 0}, "announced"),
        ({"visible_until": "2020-01-01", "visible_from": "2021-01-01"}, "visible_until"),
    ],
)
def test_what_is_wrong_is_said_before_any_file_is_sent(
    desk: Client, said: dict[str, Any], wrong: dict[str, Any], field: str
) -> None:
    answer = desk.post(BEGIN, said | {"announced": 1} | wrong)
    assert answer.status_code == 400
    assert list(answer.json()["faults"]) == [field]
    assert not UploadBatch.objects.exists()


def test_rights_are_asked_for_each_file_and_an_upload_takes_only_its_owners_files(
    desk: Client, admin_desk: Client, finance: Department, library: Department, said: dict[str, Any]
) -> None:
    upload = begun(desk, said)
    foreign = send(desk, upload["send"], said | {"department": library.pk}, "one.md", b"One.")
    assert (foreign.status_code, list(foreign.json()["faults"])) == (400, ["department"])
    assert send(admin_desk, upload["send"], said, "one.md", b"One.").status_code == 404
    assert admin_desk.get(upload["send"]).status_code == 404
    assert desk.get(upload["send"]).json()["token"]
    assert desk.get(BEGIN).status_code == 405
    assert not Document.objects.exists()


def test_an_upload_whose_browser_was_closed_says_what_was_announced(desk: Client, said: dict[str, Any]) -> None:
    upload = begun(desk, said, 3)
    send(desk, upload["send"], said, "one.md", b"One.")
    Document.objects.update(status="ready")
    text = text_of(desk, upload["watch"])
    assert "3 files were to be sent" in text
    assert "All can be found" not in text

    assert desk.post(upload["send"], {"finished": "1"}).json() == {"watch": upload["watch"]}
    text = text_of(desk, upload["watch"])
    assert "were to be sent" not in text
    assert "All can be found" in text


def test_files_that_the_browser_does_not_send_because_they_are_too_large_are_named(
    desk: Client, said: dict[str, Any]
) -> None:
    upload = begun(desk, said | {"too_large": ["Filme/Führung.mp4", "atlas.tiff"]}, 2)
    text = text_of(desk, upload["watch"])
    assert "2 files not taken in" in text
    assert "<b>Führung.mp4</b>" in text
    assert "It is larger than 200 MB." in text


def test_an_upload_that_brought_nothing_is_not_listed(desk: Client, said: dict[str, Any]) -> None:
    begun(desk, said)
    assert "You have not uploaded anything yet" in text_of(desk, UPLOADS)
    upload = begun(desk, said)
    send(desk, upload["send"], said, "empty.txt", b"")
    text = text_of(desk, UPLOADS)
    assert text.count("1 not taken in") == 1
    assert upload["watch"] in text


def test_the_page_fetches_its_middle_part_alone_and_leads_on_when_all_is_over(
    desk: Client, make: Make, finance: Department, librarian: User
) -> None:
    batch = UploadBatch.objects.create(owner=librarian)
    make("Waiting", finance, batch=batch, status="queued", is_searchable=False)
    archive = make("Archive", finance, batch=batch, file_name="archive.zip")
    make("Within", finance, batch=batch, parent=archive, part="notes/within.txt", status="failed", error="Broken.")
    page = f"{LIST}upload/{batch.pk}/"
    part = desk.get(page, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert 'hx-trigger="every 2s"' in part
    assert "1 of 3 ready, 1 in progress, 1 failed." in part
    assert "(notes/within.txt) in Archive" in part
    assert part.index("Within") < part.index("Waiting") < part.index(change(archive))

    Document.objects.filter(title="Waiting").update(status="ready")
    ended = text_of(desk, page)
    assert "every 2s" not in ended
    assert "1 document needs your attention" in ended
    assert f"failures/?upload={batch.pk}" in ended
    Document.objects.update(status="ready")
    assert "All can be found" in text_of(desk, page)


def test_a_large_upload_is_shown_in_pages_by_a_handful_of_statements(
    desk: Client, make: Make, finance: Department, librarian: User, django_assert_max_num_queries: Any
) -> None:
    batch = UploadBatch.objects.create(owner=librarian)
    one = make("One", finance, batch=batch, owner=librarian)
    fields = {field.attname: getattr(one, field.attname) for field in Document._meta.concrete_fields}
    Document.objects.bulk_create(
        Document(**{**fields, "id": None, "title": f"Copy {number}"}) for number in range(LISTED + 1)
    )
    with django_assert_max_num_queries(25):
        text = text_of(desk, f"{LIST}upload/{batch.pk}/")
    assert f"{LISTED + 2} of {LISTED + 2} ready" in text
    assert "Page 1 of 2" in text
    assert text.count('id="document-') == LISTED


def test_how_long_it_takes_is_told_from_the_speed_so_far() -> None:
    minute_ago, long_ago = timezone.now() - timedelta(minutes=1), timezone.now() - timedelta(days=3)
    assert time_left(Stage(total=10, ready=10, done=10, lately=10), since=minute_ago) == ""
    assert time_left(Stage(total=10, working=10), since=minute_ago) == ""
    assert time_left(Stage(total=40, working=30, done=10, lately=10), since=minute_ago) == "about 3 minutes left"
    assert time_left(Stage(total=11, working=1, done=10, lately=10), since=minute_ago) == "less than a minute left"
    # Retried after days: only what happened lately counts.
    assert time_left(Stage(total=2000, working=100, done=1900, lately=10), since=long_ago) == "about 50 minutes left"
    assert time_left(Stage(total=2000, working=600, done=1400, lately=10), since=long_ago) == "about 5 hours left"
    assert time_left(Stage(total=1, working=1, done=0.5), since=minute_ago) == "about 1 minute left"


def test_the_example_manifest_can_be_filled_in_and_read(desk: Client, finance: Department) -> None:
    DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})
    answer = desk.get(f"{LIST}upload/manifest.csv")
    assert answer["Content-Disposition"] == 'attachment; filename="manifest.csv"'
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert tuple(lines[0]) == COLUMNS
    assert {line["department"] for line in lines} == {"Finance"}
    assert "guide" in {line["doc_type"] for line in lines}
    assert {line["clearance"] for line in lines} == {"3"}


def test_the_example_manifest_holds_no_formula(admin_desk: Client) -> None:
    Department.objects.create(name="=HYPERLINK(1)")
    Department.objects.create(name="@library")
    Campus.objects.create(name="+49 campus")
    DocumentType.objects.create(slug="odd", name="=1+1")
    answer = admin_desk.get(f"{LIST}upload/manifest.csv")
    lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(lines) > 1
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "+", "-", "@"))]
