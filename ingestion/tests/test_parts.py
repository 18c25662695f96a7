"""Files within files: mails with attachments, mailboxes, and whatever ends a run between them."""

from __future__ import annotations

import mailbox
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.test import Client

from accounts.clearance import PUBLIC_VIEWER, viewer_for
from accounts.models import Department
from ingestion import parts, pipeline
from ingestion.extraction_types import Part
from ingestion.models import Document, DocumentType, Status, UploadBatch
from ingestion.runs import Superseded
from ingestion.tests.conftest import MakeLibrarian, TakeIn
from ingestion.tests.packed import a_run_of, all_ingested, archive_of, mail, taken, text_of
from ingestion.tests.texts import found

pytestmark = pytest.mark.django_db


class TestMails:
    def test_an_attachment_is_a_document_with_what_is_said_of_its_mail(
        self, take_in: TakeIn, registry: Department, make_librarian: MakeLibrarian
    ) -> None:
        ada = make_librarian("ada", registry)
        batch = UploadBatch.objects.create(owner=ada)
        container = take_in(
            mail({"rules.txt": text_of("rules").encode()}), "fees.eml", viewer=viewer_for(ada), clearance=2,
            audience="department", priority=5, tags=("fees",),
        )  # fmt: skip
        Document.objects.filter(pk=container.pk).update(batch=batch)
        (attachment,) = taken(container).values()

        assert (container.status, container.error, attachment.status) == (Status.READY, "", Status.READY)
        assert (attachment.is_attachment, attachment.title, attachment.file_name) == (True, "rules", "rules.txt")
        assert (attachment.owner, attachment.batch, attachment.priority) == (ada, batch, 5)
        assert [tag.name for tag in attachment.tags.all()] == ["fees"]
        assert (attachment.clearance, attachment.audience, attachment.readers) == (2, "department", [registry.pk])
        assert attachment.file.read() == text_of("rules").encode()

    def test_the_same_attachment_in_two_mails_follows_each(self, take_in: TakeIn) -> None:
        same = {"rules.txt": text_of("rules").encode()}
        open_, closed = take_in(mail(same, "To all."), "1.eml"), take_in(mail(same, "To some."), "2.eml", clearance=4)
        assert {one.clearance for one in taken(open_).values()} == {1}
        assert {one.clearance for one in taken(closed).values()} == {4}
        assert take_in(text_of("rules"), "rules.txt", clearance=1), "nor is it in the way of an upload"

    def test_archive_and_restore_take_it_along_and_nothing_that_was_archived_before(self, take_in: TakeIn) -> None:
        inner = EmailMessage()
        inner["Subject"] = "Inner"
        inner.set_content(text_of("letters"))
        inner.add_attachment(text_of("depths"), filename="deep.txt")
        container = take_in(mail({"a.txt": text_of("apples").encode(), "b.txt": b"Bees.", "c.eml": inner}), "fees.eml")
        attachments = taken(container)
        assert found("depths") == {"deep"}
        pipeline.archive(attachments["b.txt"])
        pipeline.archive(container)

        assert not Document.objects.visible_to(PUBLIC_VIEWER).exists()
        pipeline.restore(container)
        all_ingested()
        assert {one.title for one in Document.objects.visible_to(PUBLIC_VIEWER)} == {"Fees", "a", "Inner", "deep"}
        assert not Document.objects.exclude(error="").exclude(title="b").exists()

    def test_deletion_takes_it_along_with_its_stored_file(
        self, take_in: TakeIn, storage: Path, django_capture_on_commit_callbacks
    ) -> None:
        container = take_in(mail({"rules.txt": text_of("rules").encode()}), "fees.eml")
        taken(container)
        with django_capture_on_commit_callbacks(execute=True):
            pipeline.delete(container)

        assert not Document.objects.exists()
        assert not [path for path in storage.rglob("*") if path.is_file()]

    def test_any_deletion_of_a_mail_takes_it_along(self, take_in: TakeIn) -> None:
        container = take_in(mail({"rules.txt": text_of("rules").encode()}), "fees.eml")
        taken(container)
        container.delete()

        assert not Document.objects.exists()

    def test_a_new_version_brings_new_attachments_changes_others_and_puts_away_what_is_gone(
        self, take_in: TakeIn
    ) -> None:
        container = take_in(mail({"a.txt": b"Apples.", "b.txt": b"Bees.", "c.txt": b"Cats."}), "fees.eml")
        before = taken(container)
        newer = mail({"a.txt": b"Apples.", "b.txt": b"Bears.", "d.txt": b"Dogs.", "other.txt": b"Cats."})
        pipeline.replace_file(container, ContentFile(newer), file_name="fees.eml")
        after = taken(container)

        assert after["a.txt"].pk == before["a.txt"].pk
        assert (after["b.txt"].pk, after["b.txt"].version) == (before["b.txt"].pk, 2)
        assert after["b.txt"].file.read() == b"Bears."
        assert after["other.txt"].pk == before["c.txt"].pk, "known by its content where it has another place"
        older = mail({"a.txt": b"Apples."})
        pipeline.replace_file(container, ContentFile(older), file_name="fees.eml")
        after = taken(container)
        assert {name: one.status for name, one in after.items()} == {
            "a.txt": Status.READY, "b.txt": Status.ARCHIVED, "d.txt": Status.ARCHIVED, "other.txt": Status.ARCHIVED,
        }  # fmt: skip
        pipeline.restore_version(container, 2)
        assert {one.status for one in taken(container).values()} == {Status.READY}, "what is back is restored"

    def test_what_people_archived_stays_so(self, take_in: TakeIn) -> None:
        container = take_in(mail({"a.txt": b"Apples."}), "fees.eml")
        pipeline.archive(taken(container)["a.txt"])
        pipeline.replace_file(container, ContentFile(mail({"a.txt": b"Apes."})), file_name="fees.eml")

        assert taken(container)["a.txt"].status == Status.ARCHIVED

    def test_an_empty_attachment_is_told_and_keeps_nothing_out(self, take_in: TakeIn) -> None:
        container = take_in(mail({"a.txt": b"", "b.txt": b"Bees."}), "fees.eml")
        attachments = taken(container)

        assert "b.txt" in attachments
        if "a.txt" not in attachments:
            assert container.status == Status.READY

    def test_a_mail_whose_text_is_gone_in_a_new_version_serves_none(self, take_in: TakeIn) -> None:
        container = take_in(mail({"a.txt": b"Apples."}), "fees.eml", title="Fees")
        taken(container)
        assert found("mails") == {"Fees"}
        pipeline.replace_file(container, ContentFile(archive_of({"z.txt": "Zebras."})), file_name="fees.zip")
        taken(container)

        assert (container.status, container.chunk_count, container.is_searchable) == (Status.READY, 0, False)
        assert not found("mails")


class TestMailboxes:
    def test_each_mail_is_a_document_and_its_attachments_are(self, take_in: TakeIn, tmp_path: Path) -> None:
        box = mailbox.mbox(str(tmp_path / "box.mbox"))
        for number in range(2):
            box.add(mail({"a.txt": f"Attached to {number}.".encode()}, text_of(f"number{number}"), f"Mail {number}"))
        box.close()
        container = take_in((tmp_path / "box.mbox").read_bytes(), "box.mbox", clearance=2)
        mails = taken(container)

        assert (container.status, container.is_searchable) == (Status.READY, False)
        assert {one.title for one in mails.values()} == {"Mail 0", "Mail 1"}
        for one in mails.values():
            assert (one.is_attachment, one.clearance) == (False, 2)
            assert [part.is_attachment for part in taken(one).values()] == [True]


class TestAgain:
    def test_twice_changes_nothing(self, take_in: TakeIn) -> None:
        container = take_in(archive_of({"a.txt": "Apples.", "m.eml": mail({"b.txt": b"Bees."})}), "all.zip")
        taken(container)
        before = sorted(Document.objects.values_list("pk", "part", "version", "sha256", "status"))
        Document.objects.filter(file_name__in=["all.zip", "m.eml"]).update(recipe="", status=Status.QUEUED)
        all_ingested()

        assert sorted(Document.objects.values_list("pk", "part", "version", "sha256", "status")) == before

    def test_a_run_that_died_between_parts_is_gone_on_with(self, take_in: TakeIn, tmp_path: Path) -> None:
        container = take_in(archive_of({"a.txt": "Apples.", "b.txt": "Bees.", "c.txt": "Cats."}), "all.zip")
        (tmp_path / "a").write_bytes(b"Apples.")
        assert not a_run_of(container, Part("a.txt", tmp_path / "a", False))
        first = Document.objects.get(parent=container).pk

        files = taken(container)
        assert set(files) == {"a.txt", "b.txt", "c.txt"}
        assert files["a.txt"].pk == first
        assert (container.status, container.error) == (Status.READY, "")

    def test_a_run_that_lost_its_hold_takes_nothing_more_in(self, take_in: TakeIn, tmp_path: Path) -> None:
        container = take_in(archive_of({"a.txt": "Apples."}), "all.zip")
        (tmp_path / "a").write_bytes(b"Apples.")
        with pytest.raises(Superseded):
            parts.take_in(container, [Part("a.txt", tmp_path / "a", False)], container.pk)

        assert not Document.objects.filter(parent=container).exists()

    @pytest.mark.parametrize(
        ("place", "content"), [("a.txt", b"Apes."), ("b.txt", b"Apples."), ("gone.txt", b"Gulls.")]
    )
    def test_a_run_that_loses_its_hold_over_a_part_writes_nothing_of_it(
        self, take_in: TakeIn, tmp_path: Path, place: str, content: bytes
    ) -> None:
        container = take_in(archive_of({"a.txt": "Apples.", "gone.txt": "Gulls."}), "all.zip")
        taken(container)
        pipeline.replace_file(container, ContentFile(archive_of({"a.txt": "Apples."})), file_name="all.zip")
        taken(container)
        columns = ("pk", "part", "version", "status", "error_reason", "next_sha256", "sha256")
        before = sorted(Document.objects.filter(parent=container).values_list(*columns))

        class Overtaken(type(tmp_path)):  # type: ignore[misc]
            """A file; when it is opened, another run takes the container over."""

            def open(self, *given: Any, **more: Any) -> Any:
                Document.objects.filter(pk=container.pk).update(run=uuid4())
                return super().open(*given, **more)

        (tmp_path / "part").write_bytes(content)
        with pytest.raises(Superseded):
            a_run_of(container, Part(place, Overtaken(tmp_path / "part"), False))

        assert sorted(Document.objects.filter(parent=container).values_list(*columns)) == before


class TestByMachine:
    @pytest.fixture
    def desk(self, client: Client, registry: Department, storage: Path, make_librarian: MakeLibrarian) -> Client:
        client.force_login(make_librarian("ada", registry))
        return client

    def test_an_archive_is_uploaded_like_any_file(self, desk: Client, guide: DocumentType) -> None:
        upload = ContentFile(archive_of({"a.txt": "Apples.", "e.txt": ""}), "all.zip")
        given = {"file": upload, "department": "Registry", "doc_type": "guide"}
        answer = desk.post("/api/v1/documents/", given)
        assert answer.status_code == 202, answer.content
        container = Document.objects.get(pk=answer.json()["id"])

        assert set(taken(container)) == {"a.txt"}
        told = desk.get(answer["Location"]).json()
        assert (told["status"], told["chunk_count"]) == ("ready", 0)
        assert "“e.txt” is empty" in told["error"]
        assert desk.post(f"{answer['Location']}retry/").status_code == 202

    def test_who_reads_an_attachment_is_not_its_own_to_change(
        self, desk: Client, take_in: TakeIn, archives: Department
    ) -> None:
        container = take_in(mail({"a.txt": b"Apples."}), "fees.eml", clearance=2, audience="department")
        container.shared_with.set([archives])
        (attachment,) = taken(container).values()
        address = f"/api/v1/documents/{attachment.pk}/"
        refused = desk.patch(address, {"clearance": 1}, content_type="application/json")

        assert (refused.status_code, refused.json()["status"]) == (409, 409)
        assert "read by whoever may read that" in refused.json()["detail"]
        assert desk.get(address).json()["shared_with"] == ["Archives"], "as its mail"
        assert desk.patch(address, {"priority": 5}, content_type="application/json").status_code == 200
