"""Archives: each file in them is a document, and a manifest says what each is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from pytest_django import Settings

from accounts.clearance import viewer_for
from accounts.models import Department
from ingestion import pipeline
from ingestion.extraction_types import Part
from ingestion.models import Document, Status
from ingestion.tests.conftest import MakeLibrarian, TakeIn
from ingestion.tests.packed import MANIFEST, a_run_of, all_ingested, archive_of, taken, text_of

pytestmark = pytest.mark.django_db


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
