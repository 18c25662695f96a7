"""Pictures and scans: text by recognition where its data is installed, else a refusal that says how to install it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from ingestion.extraction import DEFAULT_LIMITS, ExtractionError, Limits, extract
from ingestion.extraction_ocr import data_folder, languages
from ingestion.tests import document_files as files

WORDS = "Library opening hours"

needs_recognition = pytest.mark.skipif(data_folder() is None, reason="the data of text recognition is not there")


def refusal(path: Path, limits: Limits = DEFAULT_LIMITS) -> ExtractionError:
    with pytest.raises(ExtractionError) as caught:
        extract(path, file_name=path.name, limits=limits)
    return caught.value


@needs_recognition
@pytest.mark.parametrize(("name", "turned"), [("a.png", 0), ("a.jpg", 180), ("a.webp", 8)])
def test_the_text_of_a_picture_is_recognised_however_it_lies(tmp_path: Path, name: str, turned: float) -> None:
    found = extract(files.make_picture(tmp_path / name, WORDS, turned=turned), file_name=name)
    assert [page.text for page in found.pages] == [WORDS]


@needs_recognition
def test_each_picture_of_a_tiff_is_a_page(tmp_path: Path) -> None:
    first, second = (
        Image.open(files.make_picture(tmp_path / f"{number}.png", f"{WORDS} page {number}")) for number in (1, 2)
    )
    path = tmp_path / "a.tif"
    first.save(path, save_all=True, append_images=[second])
    found = extract(path, file_name="a.tif")
    assert [(page.number, page.text) for page in found.pages] == [(1, f"{WORDS} page 1"), (2, f"{WORDS} page 2")]


@needs_recognition
def test_the_scanned_pages_of_a_pdf_are_recognised(tmp_path: Path) -> None:
    path = files.make_partly_scanned_pdf(tmp_path / "a.pdf", files.make_picture(tmp_path / "a.png", WORDS))
    found = extract(path, file_name="a.pdf")
    assert [(page.number, page.text) for page in found.pages] == [(1, "This page was typed."), (2, WORDS)]
    assert found.pages_without_text == ()


@needs_recognition
def test_a_page_for_which_no_time_is_left_is_flagged(tmp_path: Path) -> None:
    path = files.make_partly_scanned_pdf(tmp_path / "a.pdf", files.make_picture(tmp_path / "a.png", WORDS))
    found = extract(path, file_name="a.pdf", limits=replace(DEFAULT_LIMITS, cpu_seconds=60, seconds=60, pixels=100))
    assert ([page.number for page in found.pages], found.pages_without_text) == ([1], (2,))


@needs_recognition
def test_a_picture_without_words_is_empty_and_says_in_which_languages_it_was_looked_for(tmp_path: Path) -> None:
    Image.new("L", (300, 300), 200).save(tmp_path / "a.png")
    error = refusal(tmp_path / "a.png")
    assert (error.reason, "eng" in str(error)) == ("empty", True)


def test_a_picture_of_too_many_dots_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    Image.new("1", (20_000, 6_000)).save(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png").reason == "too_large"


def test_a_damaged_picture_is_broken(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert refusal(tmp_path / "a.png").reason == "broken"


def test_without_data_scans_need_ocr_and_say_how_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingestion import extraction_ocr
    from ingestion.extraction_pdf import read_pdf
    from ingestion.extraction_picture import read_picture

    monkeypatch.delenv("TESSDATA_PREFIX", raising=False)
    monkeypatch.setattr(extraction_ocr, "_DATA_FOLDERS", ())
    picture = files.make_picture(tmp_path / "a.png", WORDS)
    for reader in (
        lambda: read_picture(picture, DEFAULT_LIMITS, kind="image/png"),
        lambda: read_pdf(files.make_scanned_pdf(tmp_path / "a.pdf"), DEFAULT_LIMITS),
    ):
        with pytest.raises(ExtractionError) as caught:
            reader()
        assert caught.value.reason == "needs_ocr"
        assert "apt-get install tesseract-ocr-eng" in str(caught.value)
    partly = read_pdf(files.make_partly_scanned_pdf(tmp_path / "b.pdf", picture), DEFAULT_LIMITS)
    assert partly.pages_without_text == (2,)


def test_languages_are_those_named_else_the_usual_ones_that_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("osd", "eng", "deu", "fra", "spa", "ita", "xyz"):
        (tmp_path / f"{name}.traineddata").touch()
    monkeypatch.delenv("OCR_LANGUAGES", raising=False)
    assert languages(tmp_path) == ("eng", "deu", "fra", "spa")
    monkeypatch.setenv("OCR_LANGUAGES", "ita+xyz, jpn")
    assert languages(tmp_path) == ("ita", "xyz")
