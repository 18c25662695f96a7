"""Formats that the extraction library does not read, or reads wrongly, and that people still have."""

from __future__ import annotations

import struct
from datetime import date
from pathlib import Path

import pytest

from ingestion.extraction import Extraction, ExtractionError, extract
from ingestion.extraction_rtf import rtf_text, unpacked_rtf
from ingestion.tests import document_files as files


def read(path: Path) -> Extraction:
    return extract(path, file_name=path.name)


def test_rtf_keeps_structure_and_reads_each_font_in_its_own_characters(tmp_path: Path) -> None:
    text = (
        rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset238 Arial CE;}"
        rb"{\f2\fcharset128 MS Mincho;}}{\stylesheet{\s1 heading 1;}}"
        rb"{\info{\title Rules}{\author Ann Smith}{\creatim\yr2024\mo5\dy31}}{\header Page}"
        rb"\pard\s1 Travel\par\pard\plain \f1\'c8l\'e1nek \f0 caf\'e9 \f2\'83\'65\'83\'58\'83\'67\f0"
        rb"  \u8364\'80 and \u-10179?\u-8704?{\v hidden}{\*\unknown gone}\par"
        rb"{\listtext\'b7\tab}First\par\pard \trowd\intbl Country\cell Rate\cell\row\intbl France\cell 60\cell\row"
        rb"\pard End{\footnote A note}.\par}"
    )
    (tmp_path / "a.rtf").write_bytes(text)
    found = read(tmp_path / "a.rtf")
    assert (found.title, found.authors, found.written_on) == ("Rules", ("Ann Smith",), date(2024, 5, 31))
    assert found.pages[0].text == (
        "# Travel\n\nČlánek café テスト € and 😀\n\n- First\n\n"
        "| Country | Rate |\n| --- | --- |\n| France | 60 |\n\nEnd (A note) ."
    )


def test_packed_rtf_is_unpacked() -> None:
    # The example of [MS-OXRTFCP] 3.1.
    packed = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    assert unpacked_rtf(packed) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert rtf_text(unpacked_rtf(packed)) == "hello world"
    assert unpacked_rtf(packed[:26]) == b"{\\rtf1\\ansi\\ansicpg12"
    assert unpacked_rtf(b"") == b""


def test_a_slide_of_an_opendocument_show_is_a_page(tmp_path: Path) -> None:
    found = read(files.make_odp(tmp_path / "a.odp"))
    assert (found.title, found.authors, found.written_on) == ("Freshers", ("Ann Smith",), date(2024, 5, 31))
    assert [(page.number, page.text) for page in found.pages] == [
        (1, "# Welcome\n\n- Monday\n- Tuesday, R&D\n\nSay hello"),
        (2, "| Country | Rate |\n| --- | --- |"),
    ]


def test_a_hangul_document_gives_its_paragraphs(tmp_path: Path) -> None:
    found = read(files.make_hwp(tmp_path / "a.hwp", "도서관은 아홉 시에 엽니다.\n학생증이 필요합니다."))
    assert (found.mime_type, found.language) == ("application/x-hwp", "ko")
    assert found.pages[0].text == "도서관은 아홉 시에 엽니다.\n\n학생증이 필요합니다."


def test_a_word_95_document_gives_its_text_tables_and_what_fields_show(tmp_path: Path) -> None:
    text = "Café hours\rCountry\x07Rate\x07\x07France\x0760\x07\x07See \x13PAGEREF x\x14page 7\x15.\r"
    found = read(files.make_word_95(tmp_path / "a.doc", text))
    assert found.pages[0].text == ("Café hours\n\n| Country | Rate |\n| --- | --- |\n| France | 60 |\n\nSee page 7.")


def test_a_wordperfect_document_gives_its_text(tmp_path: Path) -> None:
    prefix = b"\xff\x57\x50\x43" + struct.pack("<IBBBBHH", 16, 1, 10, 0, 1, 0, 0)
    body = b"Caf" + b"\xc0\x29\x01\xc0" + b"\x0dhours\x0a" + b"\xd1\x00\x04\x00abcd" + b"Open from\xa0nine."
    (tmp_path / "a.wpd").write_bytes(prefix + body)
    assert read(tmp_path / "a.wpd").pages[0].text == "Café hours\n\nOpen from nine."
    (tmp_path / "locked.wpd").write_bytes(prefix[:12] + b"\x01\x02" + prefix[14:] + body)
    with pytest.raises(ExtractionError) as caught:
        read(tmp_path / "locked.wpd")
    assert caught.value.reason == "encrypted"


def test_a_form_gives_what_was_filled_in(tmp_path: Path) -> None:
    from reportlab.pdfgen import canvas

    drawing = canvas.Canvas(str(tmp_path / "a.pdf"))
    drawing.drawString(70, 770, "Application")
    drawing.acroForm.textfield(name="a", tooltip="Family name", value="Smith", x=70, y=700)
    drawing.acroForm.choice(name="b", tooltip="Campus", value="North", options=["North", "South"], x=70, y=600)
    drawing.save()
    text = read(tmp_path / "a.pdf").pages[0].text
    assert text.startswith("Application")
    assert "Family name: Smith" in text
    assert "Campus: North" in text
    assert "South" not in text


def test_a_slide_of_an_old_powerpoint_show_is_a_page(tmp_path: Path) -> None:
    found = read(files.make_ppt(tmp_path / "a.ppt"))
    assert [(page.number, page.text) for page in found.pages] == [
        (1, "# Welcome\n\n- Monday\n- Tuesday\n\nSay hello"),
        (2, "# Rates\n\n60 EUR"),
    ]
    assert [line.title for line in found.outline] == ["Welcome", "Rates"]
