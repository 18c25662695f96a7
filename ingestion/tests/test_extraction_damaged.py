"""Files that are damaged and read all the same: the reader says so, and of no sound file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import NameObject, NumberObject

from ingestion import pipeline
from ingestion.extraction import extract
from ingestion.models import Status
from ingestion.tests import document_files as files
from ingestion.tests.conftest import TakeIn, UseNodes
from ingestion.tests.embedding_servers import running_server
from ingestion.tests.texts import ingested

RTF = rb"{\rtf1\ansi{\fonttbl{\f0 Arial;}}%s\pard Library hours\par Open from eight to eight\par}"
OVERRIDES = rb"{\*\listoverridetable{\listoverride\listid3\listoverridecount%s}}"


def is_damaged(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    found = extract(path, file_name=path.name)
    assert found.pages
    return found.is_damaged


def a_pdf(tmp_path: Path) -> bytes:
    return files.make_pdf(tmp_path / "sound.pdf").read_bytes()


class TestPdf:
    def test_a_sound_one_is_not(self, tmp_path: Path) -> None:
        assert not is_damaged(tmp_path / "a.pdf", a_pdf(tmp_path))

    def test_one_whose_objects_are_not_where_it_says(self, tmp_path: Path) -> None:
        assert is_damaged(tmp_path / "a.pdf", re.sub(rb"startxref\s+\d+", b"startxref\n7", a_pdf(tmp_path)))

    @pytest.mark.parametrize("count", [b"", b"/Count 999 0 R"], ids=["none", "a reference to nothing"])
    def test_one_that_does_not_say_how_many_pages_it_has(self, tmp_path: Path, count: bytes) -> None:
        writer = PdfWriter(clone_from=files.make_pdf(tmp_path / "sound.pdf"))
        # Room for the reference, so that all else stays where it is.
        writer.root_object["/Pages"][NameObject("/Padding")] = NameObject("/" + "x" * 20)
        writer.write(tmp_path / "padded.pdf")
        sound = (tmp_path / "padded.pdf").read_bytes()
        assert not is_damaged(tmp_path / "a.pdf", sound)

        for place, put in ((rb"/Padding /x+", count), (rb"/Count \d+", b"")):
            sound = re.sub(place, lambda found, put=put: put.ljust(len(found[0])), sound)
        assert is_damaged(tmp_path / "a.pdf", sound)

    def test_one_whose_count_stands_elsewhere_is_sound(self, tmp_path: Path) -> None:
        writer = PdfWriter(clone_from=files.make_pdf(tmp_path / "sound.pdf"))
        pages = writer.root_object["/Pages"].get_object()
        pages[NameObject("/Count")] = writer._add_object(NumberObject(3))
        writer.write(tmp_path / "b.pdf")

        assert not is_damaged(tmp_path / "b.pdf", (tmp_path / "b.pdf").read_bytes())


class TestRtf:
    @pytest.mark.parametrize(
        "overrides", [b"", OVERRIDES % rb"0\ls1", OVERRIDES % rb"1{\lfolevel\listoverridestartat}\ls1"]
    )
    def test_a_sound_one_is_not(self, tmp_path: Path, overrides: bytes) -> None:
        assert not is_damaged(tmp_path / "a.rtf", RTF % overrides)

    def test_one_that_was_cut_off(self, tmp_path: Path) -> None:
        assert is_damaged(tmp_path / "a.rtf", (RTF % b"")[:-1])

    def test_one_whose_override_of_a_list_contradicts_itself(self, tmp_path: Path) -> None:
        assert is_damaged(tmp_path / "a.rtf", RTF % (OVERRIDES % rb"0\levelnfc23\levelstartat0\ls1"))


@pytest.mark.django_db
class TestDocument:
    def test_it_is_ready_and_flagged(self, take_in: TakeIn) -> None:
        document = ingested(take_in((RTF % b"")[:-1], "hours.rtf", title="Hours"))

        assert (document.status, document.is_searchable) == (Status.READY, True)
        assert document.error_reason == "damaged_but_read"
        assert "save it anew" in document.error

    def test_the_flag_outlives_a_run_that_had_to_wait_and_a_retry(
        self, take_in: TakeIn, use_nodes: UseNodes, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        use_nodes()
        document = ingested(take_in((RTF % b"")[:-1], "hours.rtf", title="Hours"))
        assert (document.status, document.error_reason) == (Status.EMBEDDING, pipeline.UNAVAILABLE)
        assert document.is_searchable
        with running_server(tmp_path_factory.mktemp("models")) as (url, _):
            use_nodes(url)
            document = ingested(document)
            assert (document.status, document.error_reason) == (Status.READY, "damaged_but_read")
            pipeline.retry(document)
            assert ingested(document).error_reason == "damaged_but_read"
