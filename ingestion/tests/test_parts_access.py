"""What comes within a file opens no way around the access rule: to readers, other curators, or whoever packed it."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.clearance import PUBLIC_VIEWER, viewer_for
from accounts.models import Department
from ingestion import parts, pipeline
from ingestion.extraction_types import Part
from ingestion.models import Document, Status
from ingestion.tests.conftest import MakeLibrarian, TakeIn
from ingestion.tests.packed import MANIFEST, all_ingested, archive_of, mail, taken, text_of

pytestmark = pytest.mark.django_db

FOR_THE_ARCHIVES = MANIFEST + "b.txt,,Archives,,guide,1,institution,,,\n"


class TestWhatLiesWithinAnAttachment:
    @pytest.fixture
    def letter(self, take_in: TakeIn) -> Document:
        """A public mail with an archive attached, which has a file in it; all read by everybody."""
        letter = take_in(mail({"all.zip": archive_of({"in/b.txt": text_of("bees")})}), "fees.eml", clearance=1)
        all_ingested()
        assert {one.title for one in Document.objects.visible_to(PUBLIC_VIEWER)} == {"Fees", "b"}
        return letter

    def test_is_read_by_whoever_reads_the_mail(self, letter: Document) -> None:
        letter.refresh_from_db()
        letter.clearance = 4
        letter.save()

        assert not Document.objects.visible_to(PUBLIC_VIEWER).exists()

    def test_is_archived_and_comes_back_with_the_mail(self, letter: Document) -> None:
        pipeline.archive(letter)
        assert not Document.objects.visible_to(PUBLIC_VIEWER).exists()

        pipeline.restore(letter)
        all_ingested()
        assert {one.title for one in Document.objects.visible_to(PUBLIC_VIEWER)} == {"Fees", "b"}

    def test_is_known_again_where_it_was_moved(self, letter: Document) -> None:
        before = Document.objects.get(file_name="b.txt")
        newer = mail({"all.zip": archive_of({"out/c.txt": text_of("bees")})})
        pipeline.replace_file(letter, ContentFile(newer), file_name="fees.eml")
        all_ingested()

        assert Document.objects.get(part="out/c.txt").pk == before.pk


class TestManifestsOfOthers:
    def test_one_in_an_attached_archive_gives_nothing_to_other_readers(
        self, take_in: TakeIn, registry: Department, archives: Department, make_librarian: MakeLibrarian
    ) -> None:
        ada = viewer_for(make_librarian("ada", registry, archives))
        packed = archive_of({"manifest.csv": FOR_THE_ARCHIVES, "b.txt": text_of("bees")})
        take_in(mail({"all.zip": packed}), "fees.eml", viewer=ada, clearance=3, audience="department")
        all_ingested()

        assert Document.objects.filter(file_name="b.txt", department=registry, clearance=3).exists()
        assert not Document.objects.visible_to(PUBLIC_VIEWER).exists()

    def test_one_in_an_archive_of_a_replacement_cannot_use_the_owners_rights(
        self, take_in: TakeIn, registry: Department, archives: Department, make_librarian: MakeLibrarian
    ) -> None:
        ada = viewer_for(make_librarian("ada", registry, archives))
        container = take_in(archive_of({"a.txt": "Apples."}), "all.zip", viewer=ada, clearance=2)
        taken(container)
        inner = archive_of({"manifest.csv": FOR_THE_ARCHIVES, "b.txt": "Bees."})
        pipeline.replace_file(container, ContentFile(archive_of({"inner.zip": inner})), file_name="all.zip")
        all_ingested()

        assert Document.objects.get(file_name="b.txt").department == registry
        assert not Document.objects.filter(department=archives).exists()


def test_a_manifest_without_end_is_not_held_in_memory(
    take_in: TakeIn, registry: Department, make_librarian: MakeLibrarian
) -> None:
    ada = viewer_for(make_librarian("ada", registry))
    bomb = MANIFEST + ",,,,,,,,,\n" * 300_000
    tracemalloc.start()
    container = take_in(archive_of({"manifest.csv": bomb}), "all.zip", viewer=ada, clearance=2)
    taken(container)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (container.status, container.error_reason) == (Status.FAILED, "manifest")
    assert "more than 2,000 lines" in container.error
    assert most < 30_000_000


def test_archives_in_archives_do_not_multiply_without_end(
    take_in: TakeIn, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "DEEP_PARTS", 2)
    settings.EXTRACTION_LIMITS = replace(settings.EXTRACTION_LIMITS, parts=3)
    packed = {f"{one}.zip": archive_of({f"{one}{two}.txt": f"{one} and {two}." for two in "abc"}) for one in "xyz"}
    take_in(archive_of(packed), "all.zip")
    all_ingested()

    assert Document.objects.filter(file_name__endswith=".txt").count() == 3
    told = Document.objects.filter(error_reason="partly_taken_in").values_list("error", flat=True)
    assert ["more than 6 would come of one upload" in one for one in told] == [True, True]


class TestOtherCurators:
    def test_learn_from_no_archive_which_files_its_owner_has_elsewhere(
        self, take_in: TakeIn, registry: Department, archives: Department, make_librarian: MakeLibrarian
    ) -> None:
        admin, bea = viewer_for(make_librarian("root", role="admin")), viewer_for(make_librarian("bea", registry))
        take_in("Bees.", "b.txt", viewer=admin, department=archives, clearance=4, audience="department")
        container = take_in(archive_of({"a.txt": "Apples."}), "all.zip", viewer=admin, clearance=2)
        taken(container)
        assert Document.objects.manageable_by(bea).contains(container)
        # Bea guesses.
        pipeline.replace_file(container, ContentFile(archive_of({"guess.txt": "Bees."})), file_name="all.zip")

        assert taken(container)["guess.txt"].department == registry
        assert (container.error, container.error_reason) == ("", "")

    def test_are_told_of_a_hidden_archive_as_little_as_of_one_that_is_gone(
        self, client: Client, take_in: TakeIn, registry: Department, archives: Department, make_librarian: MakeLibrarian
    ) -> None:
        client.force_login(make_librarian("ada", registry))
        container = take_in(archive_of({"a.txt": "Apples."}), "all.zip", clearance=2)
        (file,) = taken(container).values()
        address = reverse("admin:ingestion_document_change", args=[file.pk])
        assert "Came within" in client.get(address).content.decode()
        Document.objects.filter(pk=container.pk).update(department=archives, audience="department")
        assert "Came within" not in client.get(address).content.decode()


def test_what_is_restricted_while_its_files_are_taken_in_restricts_the_next_ones(
    take_in: TakeIn, tmp_path: Path
) -> None:
    container = take_in(archive_of({"a.txt": "Apples."}), "all.zip", clearance=1)
    Document.objects.filter(pk=container.pk).update(run=container.pk)
    as_read = Document.objects.get(pk=container.pk)
    Document.objects.filter(pk=container.pk).update(clearance=4)
    (tmp_path / "a").write_bytes(b"Apples.")
    parts.take_in(as_read, [Part("a.txt", tmp_path / "a", False)], container.pk)

    assert Document.objects.get(part="a.txt").clearance == 4
