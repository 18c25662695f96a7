"""The documents' API for programs: conditional changes, keys that make a request unique, several files, versions."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import AuditEvent, Department, User
from ingestion import idempotency, pipeline
from ingestion.models import Document, DocumentType, IdempotencyKey, Status
from portal.tests.conftest import MakeDocument, MakePerson

pytestmark = pytest.mark.django_db

DOCUMENTS = "/api/v1/documents/"
TEXT = b"# Gymnasium\n\nThe gymnasium opens at six in the morning.\n"
HEADER = "path,title,department,campus,doc_type,clearance,audience,language,priority,last_reviewed"


@pytest.fixture(autouse=True)
def apart(settings: Settings, tmp_path: Path) -> None:
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": storage}
    settings.THROTTLE_FACTOR = 0
    cache.clear()


@pytest.fixture(autouse=True)
def guides(db: None) -> None:
    """A test of several connections leaves no type of documents behind."""
    for slug in ("guide", "policy"):
        DocumentType.objects.get_or_create(slug=slug, defaults={"name": slug.title()})


@pytest.fixture
def desk(client: Client, librarian: User) -> Client:
    client.force_login(librarian)
    return client


def upload(client: Client, content: bytes = TEXT, *, name: str = "gym.md", key: str = "", **fields: Any) -> Any:
    given = {"department": "Library", "doc_type": "guide", "file": SimpleUploadedFile(name, content)} | fields
    return client.post(DOCUMENTS, given, headers={"Idempotency-Key": key} if key else None)


def patch(client: Client, document: str, etag: str | None = None, **changes: Any) -> Any:
    headers = {"If-Match": etag} if etag else None
    return client.patch(f"{DOCUMENTS}{document}/", changes, content_type="application/json", headers=headers)


class TestConditions:
    def test_what_the_client_has_already_is_not_sent_again(self, desk: Client) -> None:
        address = upload(desk)["Location"]
        first = desk.get(address)
        again = desk.get(address, headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
        assert desk.get(address, headers={"If-None-Match": f'"x", W/{first["ETag"]}'}).status_code == 304

    def test_progress_is_another_state(self, desk: Client) -> None:
        address = upload(desk)["Location"]
        before = desk.get(address)["ETag"]
        Document.objects.update(progress=50)
        after = desk.get(address, headers={"If-None-Match": before})
        assert (after.status_code, after.json()["progress"]) == (200, 50)
        assert after["ETag"] != before

    def test_a_change_of_what_somebody_has_changed_since_is_a_412_and_changes_nothing(self, desk: Client) -> None:
        document = upload(desk).json()["id"]
        read = desk.get(f"{DOCUMENTS}{document}/")["ETag"]
        theirs = patch(desk, document, read, priority=5)
        assert theirs.status_code == 200
        mine = patch(desk, document, read, priority=1)
        assert (mine.status_code, mine["Content-Type"]) == (412, "application/problem+json")
        assert desk.get(f"{DOCUMENTS}{document}/").json()["priority"] == 5
        assert patch(desk, document, theirs["ETag"], priority=1).status_code == 200
        assert patch(desk, document, "*", priority=2).status_code == 200

    def test_an_archiving_too(self, desk: Client) -> None:
        document = upload(desk).json()["id"]
        stale = desk.delete(f"{DOCUMENTS}{document}/", headers={"If-Match": '"other"'})
        assert stale.status_code == 412
        assert Document.objects.get().status == Status.QUEUED

    def test_without_a_condition_a_change_goes_through(self, desk: Client) -> None:
        document = upload(desk).json()["id"]
        assert patch(desk, document, priority=4).json()["priority"] == 4

    def test_a_hidden_document_is_unknown_whatever_the_condition(
        self, client: Client, document: MakeDocument, person: MakePerson, library: Department
    ) -> None:
        hidden = document("Salaries", department=library, clearance=4)
        client.force_login(person("student"))
        for condition in ({"If-Match": "*"}, {"If-None-Match": "*"}):
            assert client.get(f"{DOCUMENTS}{hidden.pk}/", headers=condition).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_of_one_state_at_once_one_is_refused(librarian: User) -> None:
    desk = Client()
    desk.force_login(librarian)
    document = upload(desk).json()["id"]
    read = desk.get(f"{DOCUMENTS}{document}/")["ETag"]
    together = threading.Barrier(2)

    def change(priority: int) -> int:
        client = Client()
        client.force_login(librarian)
        try:
            together.wait(10)
            return int(patch(client, document, read, priority=priority).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(change, (1, 5)))
    assert sorted(answers) == [200, 412]
    assert Document.objects.get().priority == (1, 5)[answers.index(200)]


class TestKeys:
    def test_the_same_request_twice_makes_one_document(self, desk: Client) -> None:
        first, again = upload(desk, key="a1"), upload(desk, key="a1")
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json()["id"] == again.json()["id"]
        assert Document.objects.count() == 1
        assert AuditEvent.objects.filter(action="document_uploaded").count() == 1

    def test_it_is_answered_with_how_the_document_is_now(self, desk: Client) -> None:
        upload(desk, key="a1")
        Document.objects.update(status=Status.FAILED)
        assert upload(desk, key="a1").json()["status"] == "failed"

    @pytest.mark.parametrize(
        "other", [{"content": b"# Another\n\ntext"}, {"title": "T"}, {"name": "b.md"}, {"clearance": 1}]
    )
    def test_another_request_with_the_same_key_is_refused(self, desk: Client, other: dict[str, Any]) -> None:
        upload(desk, key="a1")
        refused = upload(desk, key="a1", **other)
        assert (refused.status_code, refused["Content-Type"]) == (422, "application/problem+json")
        assert Document.objects.count() == 1

    def test_what_was_refused_may_be_sent_again(self, desk: Client) -> None:
        assert upload(desk, b"", key="a1").status_code == 400
        assert upload(desk, key="a1").status_code == 202

    def test_keys_of_two_people_are_two_keys(self, desk: Client, person: MakePerson) -> None:
        upload(desk, key="a1")
        other = Client()
        other.force_login(person("admin"))
        assert upload(other, b"# Pool\n\nIt opens at noon.\n", key="a1").status_code == 202
        assert Document.objects.count() == 2

    def test_what_cannot_be_a_key_is_named(self, desk: Client) -> None:
        refused = upload(desk, key="x" * 256)
        assert refused.status_code == 400
        assert "255 printable" in refused.json()["errors"]["Idempotency-Key"][0]
        assert not Document.objects.exists()

    def test_whoever_may_not_see_the_document_any_more_is_not_told_of_it(self, desk: Client) -> None:
        upload(desk, key="a1")
        Document.objects.update(owner=None, clearance=4)
        assert upload(desk, key="a1").status_code == 404

    def test_old_keys_are_forgotten(self, desk: Client) -> None:
        upload(desk, key="a1")
        assert idempotency.forget() == 0
        IdempotencyKey.objects.update(at=timezone.now() - timedelta(hours=25))
        assert idempotency.forget() == 1
        assert Document.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_request_several_times_at_once_makes_one_document(librarian: User) -> None:
    together = threading.Barrier(4)

    def send(_: int) -> Any:
        client = Client()
        client.force_login(librarian)
        try:
            together.wait(10)
            answer = upload(client, key="a1")
            return answer.status_code, answer.json().get("id")
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(send, range(4)))
    assert answers == {(202, str(Document.objects.get().pk))}


@pytest.mark.django_db(transaction=True)
def test_of_different_requests_with_one_key_at_once_one_is_answered(librarian: User) -> None:
    together = threading.Barrier(3)

    def send(number: int) -> int:
        client = Client(raise_request_exception=False)
        client.force_login(librarian)
        [sent] = files(**{f"n{number}": f"# {number}\n\nText {number}.".encode()})
        said = {"file": sent, "department": "Library", "doc_type": "guide"}
        try:
            together.wait(10)
            return client.post(DOCUMENTS, said, headers={"Idempotency-Key": "a1"}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(send, range(3))) == [202, 422, 422]
    assert Document.objects.count() == 1


def files(**contents: bytes) -> list[SimpleUploadedFile]:
    return [SimpleUploadedFile(f"{name}.md", content) for name, content in contents.items()]


class TestSeveral:
    def bulk(self, client: Client, sent: list[SimpleUploadedFile], *, key: str = "", **fields: Any) -> Any:
        headers = {"Idempotency-Key": key} if key else None
        return client.post(f"{DOCUMENTS}bulk/", {"file": sent, **fields}, headers=headers)

    def test_each_file_becomes_a_document_and_one_that_is_refused_keeps_no_other_out(self, desk: Client) -> None:
        sent = files(a=b"# A\n\nApples.", b=b"", c=b"# C\n\nCherries.", d=b"# A\n\nApples.")
        answer = self.bulk(desk, sent, department="Library", doc_type="guide", clearance=2, tags=["fruit"])
        assert answer.status_code == 202, answer.content
        results = answer.json()["results"]
        assert [(one["file_name"], one["status"]) for one in results] == [
            ("a.md", 202), ("b.md", 400), ("c.md", 202), ("d.md", 409),
        ]  # fmt: skip
        assert "is empty" in results[1]["detail"]
        assert results[1]["document"] is None
        assert results[2]["document"]["tags"] == ["fruit"]
        assert set(Document.objects.values_list("file_name", "clearance")) == {("a.md", 2), ("c.md", 2)}

    def test_sent_again_with_its_key_it_makes_only_what_is_missing(self, desk: Client) -> None:
        said = {"department": "Library", "doc_type": "guide", "key": "b1"}
        first = self.bulk(desk, files(a=b"# A\n\nApples."), **said).json()["results"]
        again = self.bulk(desk, files(a=b"# A\n\nApples.", b=b"# B\n\nBananas."), **said).json()["results"]
        assert first[0]["document"]["id"] == again[0]["document"]["id"]
        assert Document.objects.count() == 2

    def test_what_it_made_and_is_hidden_now_is_not_told(self, desk: Client) -> None:
        said = {"department": "Library", "doc_type": "guide", "key": "b1"}
        self.bulk(desk, files(a=b"# A\n\nApples."), **said)
        Document.objects.update(owner=None, clearance=4)
        again = self.bulk(desk, files(a=b"# A\n\nApples.", b=b"# B\n\nBananas."), **said).json()["results"]
        assert [(one["status"], one["document"] is None) for one in again] == [(404, True), (202, False)]

    def test_a_manifest_says_what_each_is(self, desk: Client) -> None:
        manifest = SimpleUploadedFile(
            "m.csv",
            f"{HEADER}\na.md,Apples,Library,,guide,1,institution,en,5,\nb.md,,Library,,policy,2,department,,,".encode(),
        )
        answer = self.bulk(desk, files(a=b"# A\n\nApples.", b=b"# B\n\nBananas."), manifest=manifest)
        assert answer.status_code == 202, answer.content
        assert [one["document"]["title"] for one in answer.json()["results"]] == ["Apples", ""]
        assert set(Document.objects.values_list("doc_type__slug", "clearance")) == {("guide", 1), ("policy", 2)}

    @pytest.mark.parametrize(
        ("lines", "word"),
        [("a.md,,Nowhere,,guide,1,institution,,,", "Nowhere"), ("x.md,,Library,,guide,1,institution,,,", "x.md"),
         ("a.md,,Library,,guide,1,institution,,,", "b.md")],
    )  # fmt: skip
    def test_a_wrong_manifest_is_refused_whole(self, desk: Client, lines: str, word: str) -> None:
        manifest = SimpleUploadedFile("m.csv", f"{HEADER}\n{lines}".encode())
        answer = self.bulk(desk, files(a=b"# A\n\nApples.", b=b"# B\n\nBananas."), manifest=manifest)
        assert answer.status_code == 400
        assert word in " ".join(answer.json()["errors"]["manifest"])
        assert not Document.objects.exists()

    def test_readers_may_not(self, client: Client, person: MakePerson) -> None:
        client.force_login(person("student"))
        assert self.bulk(client, files(a=b"# A"), department="Library", doc_type="guide").status_code == 403


class TestList:
    def test_it_can_be_narrowed(self, desk: Client) -> None:
        upload(desk, tags=["fees"], language="en")
        upload(desk, b"# Zwei\n\nDeutsch.", name="zwei.md", language="de", doc_type="policy")
        Document.objects.filter(language="de").update(status=Status.FAILED)

        def names(**filters: Any) -> list[str]:
            return [one["file_name"] for one in desk.get(DOCUMENTS, filters).json()["results"]]

        assert names() == ["zwei.md", "gym.md"]
        assert names(status="failed") == names(language="de") == names(doc_type="policy") == ["zwei.md"]
        assert names(tag="fees") == names(status=["queued", "ready"]) == ["gym.md"]
        assert names(tag="nothing") == names(department="Nowhere") == []
        assert names(department=["Library", "Nowhere"]) == ["zwei.md", "gym.md"]
        assert names(updated_after=(timezone.now() + timedelta(hours=1)).isoformat()) == []

    @pytest.mark.parametrize(
        "filters", [{"status": "lost"}, {"updated_after": "yesterday"}, {"department": "x" * 201}, {"tag": "a\0b"}]
    )
    def test_a_filter_that_cannot_be_is_named(self, desk: Client, filters: dict[str, str]) -> None:
        answer = desk.get(DOCUMENTS, filters)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, list(filters))


class TestVersions:
    def ready(self, desk: Client) -> Document:
        document = Document.objects.get(pk=upload(desk).json()["id"])
        pipeline.ingest(document.pk)
        return document

    def replace(self, desk: Client, document: Document, content: bytes, **headers: str) -> Any:
        body = encode_multipart(BOUNDARY, {"file": SimpleUploadedFile("new.md", content)})
        return desk.put(
            f"{DOCUMENTS}{document.pk}/file/", body, content_type=MULTIPART_CONTENT,
            headers=headers,
        )  # fmt: skip

    def test_a_new_file_replaces_the_old_one_which_can_be_brought_back(self, desk: Client) -> None:
        document = self.ready(desk)
        answer = self.replace(desk, document, b"# Gymnasium\n\nIt opens at seven.\n")
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
        pipeline.ingest(document.pk)
        versions = desk.get(f"{DOCUMENTS}{document.pk}/versions/").json()["results"]
        assert [(one["number"], one["file_name"]) for one in versions] == [(1, "gym.md")]
        old = desk.get(f"{DOCUMENTS}{document.pk}/versions/1/")
        assert b"".join(old.streaming_content) == TEXT
        assert desk.post(f"{DOCUMENTS}{document.pk}/versions/1/restore/").status_code == 202
        pipeline.ingest(document.pk)
        assert b"".join(desk.get(f"{DOCUMENTS}{document.pk}/file/").streaming_content) == TEXT
        noted = set(AuditEvent.objects.values_list("action", flat=True))
        assert {"document_file_replaced", "document_version_restored"} <= noted

    def test_what_it_has_already_is_a_409_and_an_empty_file_a_400(self, desk: Client) -> None:
        document = self.ready(desk)
        assert self.replace(desk, document, TEXT).status_code == 409
        assert self.replace(desk, document, b"").status_code == 400
        assert desk.post(f"{DOCUMENTS}{document.pk}/versions/7/restore/").status_code == 404

    def test_a_replacement_of_another_state_is_a_412_and_keeps_nothing(self, desk: Client, tmp_path: Path) -> None:
        document = self.ready(desk)
        stored = set(tmp_path.rglob("*"))
        answer = self.replace(desk, document, b"# New", **{"If-Match": '"other"'})
        assert answer.status_code == 412
        assert {path for path in tmp_path.rglob("*") if path.is_file()} <= stored
        document.refresh_from_db()
        assert document.status == Status.READY

    def test_readers_of_the_document_neither_see_its_versions_nor_replace_it(
        self, desk: Client, client: Client, person: MakePerson
    ) -> None:
        document = self.ready(desk)
        Document.objects.update(clearance=1, audience="institution")
        client.force_login(person("student"))
        assert client.get(f"{DOCUMENTS}{document.pk}/file/").status_code == 200
        assert client.get(f"{DOCUMENTS}{document.pk}/versions/").status_code == 404
        assert client.get(f"{DOCUMENTS}{document.pk}/versions/1/").status_code == 404
        assert self.replace(client, document, b"# Mine").status_code == 403

    def test_an_archived_document_is_brought_back(self, desk: Client) -> None:
        document = self.ready(desk)
        assert desk.post(f"{DOCUMENTS}{document.pk}/restore/").status_code == 409
        assert desk.delete(f"{DOCUMENTS}{document.pk}/").status_code == 204
        assert desk.post(f"{DOCUMENTS}{document.pk}/restore/").status_code == 202
        assert Document.objects.get().is_searchable
        assert AuditEvent.objects.filter(action="document_restored").count() == 1
