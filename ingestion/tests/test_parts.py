"""Files within files: mails with attachments, mailboxes, archives with and without a manifest."""

from __future__ import annotations

import io
import mailbox
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from pytest_django import Settings

from accounts.clearance import PUBLIC_VIEWER, viewer_for
from accounts.models import Department
from ingestion import parts, pipeline
from ingestion.extraction_types import Part
from ingestion.models import Document, DocumentType, Status, UploadBatch
from ingestion.runs import Superseded
from ingestion.tests.conftest import MakeLibrarian, TakeIn
from ingestion.tests.texts import found

pytestmark = pytest.mark.django_db

MANIFEST = "path,title,department,campus,doc_type,clearance,audience,language,priority,last_reviewed\n"


def text_of(word: str) -> str:
    return f"What there is to be known about {word} at this university, told in one sentence."


def mail(attachments: Mapping[str, bytes | EmailMessage], text: str = text_of("mails"), subject: str = "Fees") -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "ada@example.org", "all@example.org"
    message.set_content(text)
    for name, content in attachments.items():
        if isinstance(content, EmailMessage):
            message.add_attachment(content, filename=name)
        else:
            message.add_attachment(content, maintype="text", subtype="plain", filename=name)
    return message.as_bytes()


def archive_of(files: Mapping[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def all_ingested() -> None:
    """Ingest what waits until nothing does."""
    while waiting := Document.objects.filter(status=Status.QUEUED).first():
        pipeline.ingest(waiting.pk)


def taken(container: Document) -> dict[str, Document]:
    """The container once all that is in it was ingested, and its parts by their places."""
    all_ingested()
    container.refresh_from_db()
    return {one.part: one for one in Document.objects.filter(parent=container)}


def a_run_of(container: Document, *given: Part) -> list[str]:
    """What a run tells of these parts of the container."""
    run = container.pk
    Document.objects.filter(pk=container.pk).update(run=run)
    return parts.take_in(Document.objects.get(pk=container.pk), given, run)


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


class TestArchives:
    def test_each_file_is_a_document_with_what_is_said_of_the_archive(
        self, take_in: TakeIn, registry: Department, archives: Department, make_librarian: MakeLibrarian
    ) -> None:
        ada = make_librarian("ada", registry)
        container = take_in(
            archive_of({"a.txt": text_of("apples"), "in/b.txt": text_of("bees")}), "all.zip", viewer=viewer_for(ada),
            clearance=2, audience="department", shared_with=(archives,), tags=("fees",),
        )  # fmt: skip
        files = taken(container)

        assert (container.status, container.chunk_count, container.is_searchable) == (Status.READY, 0, False)
        assert {one.title for one in files.values()} == {"a", "b"}
        for one in files.values():
            assert (one.status, one.is_attachment, one.owner, one.clearance) == (Status.READY, False, ada, 2)
            assert set(one.readers) == {registry.pk, archives.pk}
            assert [tag.name for tag in one.tags.all()] == ["fees"]

    def test_they_do_not_follow_the_archive(self, take_in: TakeIn) -> None:
        container = take_in(archive_of({"a.txt": text_of("apples")}), "all.zip")
        (file,) = taken(container).values()
        Document.objects.filter(pk=container.pk).update(clearance=4)
        pipeline.archive(container)
        file.refresh_from_db()
        assert (file.status, file.clearance) == (Status.READY, 1)

        pipeline.delete(container)
        file.refresh_from_db()
        assert (file.parent, file.status) == (None, Status.READY)

    def test_the_rights_are_those_of_the_moment(
        self, take_in: TakeIn, registry: Department, make_librarian: MakeLibrarian
    ) -> None:
        ada = make_librarian("ada", registry)
        container = take_in(archive_of({"a.txt": "Apples."}), "all.zip", viewer=viewer_for(ada), clearance=2)
        ada.groups.clear()

        assert not taken(container)
        assert (container.status, container.error_reason) == (Status.READY, "partly_taken_in")
        assert "may not upload any more" in container.error

    def test_what_is_refused_is_told_without_titles_and_keeps_nothing_else_out(self, take_in: TakeIn) -> None:
        take_in("The same.", "same.txt", title="A title that not all may know")
        container = take_in(archive_of({"a.txt": "Apples.", "same.txt": "The same.", "empty.txt": ""}), "all.zip")

        assert set(taken(container)) == {"a.txt"}
        assert container.error_reason == "partly_taken_in"
        assert container.error.startswith("2 of the files in it were not taken in.")
        assert "“same.txt” is already here" in container.error
        assert "“empty.txt” is empty" in container.error
        assert "A title" not in container.error

    def test_a_retry_tries_the_refused_files_again(self, take_in: TakeIn) -> None:
        twin = take_in("The same.", "same.txt")
        container = take_in(archive_of({"same.txt": "The same."}), "all.zip")
        assert not taken(container)
        pipeline.archive(twin)
        pipeline.retry(container)

        assert set(taken(container)) == {"same.txt"}
        assert (container.error, container.error_reason) == ("", "")

    def test_archives_in_archives_end_somewhere(self, take_in: TakeIn, settings: Settings) -> None:
        settings.EXTRACTION_LIMITS = replace(settings.EXTRACTION_LIMITS, nesting=2)
        packed = archive_of({"a.txt": "Apples."})
        for depth in range(3):
            packed = archive_of({f"{depth}.zip": packed, f"{depth}.txt": f"At {depth}."})
        take_in(packed, "all.zip")
        all_ingested()

        assert set(Document.objects.values_list("file_name", flat=True)) == {
            "all.zip", "2.txt", "2.zip", "1.txt", "1.zip",
        }  # fmt: skip
        too_deep = Document.objects.get(file_name="1.zip")
        assert (too_deep.status, too_deep.error_reason) == (Status.READY, "partly_taken_in")
        assert "2 files deep" in too_deep.error

    def test_a_file_that_is_its_own_container_is_refused(self, take_in: TakeIn, tmp_path: Path) -> None:
        content = archive_of({"a.txt": "Apples."})
        container = take_in(content, "all.zip")
        outer = take_in(b"anything", "outer.zip")
        Document.objects.filter(pk=container.pk).update(parent=outer)
        (tmp_path / "1").write_bytes(content)
        (tmp_path / "2").write_bytes(b"anything")

        refused = a_run_of(container, Part("all.zip", tmp_path / "1", False), Part("outer.zip", tmp_path / "2", False))
        assert refused == ["“all.zip” is the very file that it is in.", "“outer.zip” is the very file that it is in."]
        assert not Document.objects.filter(parent=container).exists()

    def test_a_new_version_leaves_alone_what_was_reclassified_beyond_the_archive(
        self, take_in: TakeIn, archives: Department, registry: Department, make_librarian: MakeLibrarian
    ) -> None:
        ada = make_librarian("ada", registry, archives)
        container = take_in(
            archive_of({"a.txt": "Apples.", "b.txt": "Bees."}), "all.zip", viewer=viewer_for(ada), clearance=2
        )
        files = taken(container)
        Document.objects.filter(pk=files["a.txt"].pk).update(clearance=3)
        Document.objects.filter(pk=files["b.txt"].pk).update(department=archives)
        pipeline.replace_file(container, ContentFile(archive_of({"a.txt": "Apes."})), file_name="all.zip")
        after = taken(container)

        assert after["a.txt"].file.read() == b"Apples."
        assert after["b.txt"].status == Status.READY
        assert container.error.count("stays as it is: who reads it was changed") == 2


class TestManifests:
    def test_it_says_what_each_file_is(
        self, take_in: TakeIn, registry: Department, archives: Department, make_librarian: MakeLibrarian
    ) -> None:
        viewer = viewer_for(make_librarian("ada", registry, archives))
        manifest = MANIFEST + (
            "a.txt,About apples,Archives,,guide,2,institution,en,5,2026-03-31\n"
            r"in\b.txt,,Registry,,policy,1,department,,,"
        )
        files = {"manifest.csv": manifest, "a.txt": text_of("apples"), "in/b.txt": "Bees.", "c.txt": "Cats."}
        container = take_in(archive_of(files), "all.zip", viewer=viewer, clearance=3)
        got = taken(container)

        assert set(got) == {"a.txt", "in/b.txt"}
        a, b = got["a.txt"], got["in/b.txt"]
        assert (a.title, a.department, a.clearance, a.audience) == ("About apples", archives, 2, "institution")
        assert (a.priority, str(a.last_reviewed), a.language) == (5, "2026-03-31", "en")
        assert (b.title, b.department, b.doc_type.slug, b.clearance) == ("b", registry, "policy", 1)
        assert container.error_reason == "partly_taken_in"
        assert "“c.txt” is not named in manifest.csv." in container.error

    def test_a_wrong_one_takes_nothing_in_and_names_its_lines(
        self, take_in: TakeIn, registry: Department, make_librarian: MakeLibrarian
    ) -> None:
        manifest = MANIFEST + (
            "a.txt,,Registry,,guide,1,institution,,,\n"
            "../b.txt,,Registry,,guide,1,institution,,,\n"
            "a.txt,,Nowhere,,guide,9,institution,,,\n"
        )
        container = take_in(
            archive_of({"manifest.csv": manifest, "a.txt": "Apples."}), "all.zip",
            viewer=viewer_for(make_librarian("ada", registry)), clearance=2,
        )  # fmt: skip

        assert not taken(container)
        assert (container.status, container.error_reason) == (Status.FAILED, "manifest")
        assert "line 3: there is no file '../b.txt'" in container.error
        assert "line 4: unknown department 'Nowhere'" in container.error

    def test_it_asks_for_no_more_than_its_uploader_may(
        self, take_in: TakeIn, registry: Department, archives: Department, make_librarian: MakeLibrarian
    ) -> None:
        manifest = MANIFEST + (
            "a.txt,,Archives,,guide,1,institution,,,\nb.txt,,Registry,,guide,4,institution,,,\n"
            "c.txt,,Registry,,guide,1,institution,,,\n"
        )
        container = take_in(
            archive_of({"manifest.csv": manifest, "a.txt": "Apples.", "b.txt": "Bees.", "c.txt": "Cats."}), "all.zip",
            viewer=viewer_for(make_librarian("ada", registry)), clearance=2,
        )  # fmt: skip

        assert set(taken(container)) == {"c.txt"}
        assert "You do not curate Archives" in container.error
        assert "Clearance 4 is above your own" in container.error

    def test_one_that_comes_with_a_replacement_cannot_use_its_owners_other_departments(
        self, take_in: TakeIn, registry: Department, archives: Department, make_librarian: MakeLibrarian
    ) -> None:
        viewer = viewer_for(make_librarian("ada", registry, archives))
        container = take_in(archive_of({"a.txt": "Apples."}), "all.zip", viewer=viewer, clearance=2)
        taken(container)
        manifest = MANIFEST + "b.txt,,Archives,,guide,1,institution,,,\n"
        newer = archive_of({"manifest.csv": manifest, "b.txt": "Bees."})
        pipeline.replace_file(container, ContentFile(newer), file_name="all.zip")

        assert set(taken(container)) == {"a.txt"}
        assert "Upload it as a new document" in container.error

    def test_without_anybodys_rights_none_is_followed(self, take_in: TakeIn) -> None:
        manifest = MANIFEST + "a.txt,,Registry,,guide,1,institution,,,\n"
        container = take_in(archive_of({"manifest.csv": manifest, "a.txt": "Apples."}), "all.zip")

        assert not taken(container)
        assert (container.status, container.error_reason) == (Status.FAILED, "manifest")
        assert "ingest_folder" in container.error


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
