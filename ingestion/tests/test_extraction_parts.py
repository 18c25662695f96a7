"""Files within files: attachments, mails of a mailbox, files of an archive. Each is written out once, within limits."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest

from ingestion.extraction import Extraction, ExtractionError, extract
from ingestion.extraction_archive import read_zip
from ingestion.extraction_parts import LONGEST_NAME, Parts, readable_name
from ingestion.extraction_types import Limits
from ingestion.tests import document_files as files

LIMITS = Limits()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "parts"
    place.mkdir()
    return place


def read(path: Path, folder: Path, limits: Limits = LIMITS) -> Extraction:
    return extract(path, file_name=path.name, limits=limits, parts_folder=folder)


def refusal(path: Path, folder: Path, limits: Limits = LIMITS) -> ExtractionError:
    with pytest.raises(ExtractionError) as caught:
        read(path, folder, limits)
    return caught.value


def contents(found: Extraction) -> dict[str, bytes]:
    return {part.name: part.path.read_bytes() for part in found.parts}


# ZIP


def test_each_file_of_an_archive_is_a_part_and_what_computers_leave_there_is_none(tmp_path: Path, folder: Path) -> None:
    archive = files.make_zip(
        tmp_path / "a.zip",
        {
            "Handbook/": "",
            "Handbook/rules.md": "# Rules",
            "manifest.csv": "path,title\n",
            "Handbook/.DS_Store": "x",
            "__MACOSX/Handbook/._rules.md": "x",
            "Thumbs.db": "x",
        },
    )
    found = read(archive, folder)
    assert (found.mime_type, found.pages) == ("application/zip", ())
    assert contents(found) == {"Handbook/rules.md": b"# Rules", "manifest.csv": b"path,title\n"}
    assert not any(part.is_attachment for part in found.parts)


def test_an_archive_whose_first_file_is_a_pdf_packed_as_it_is_is_no_pdf(tmp_path: Path, folder: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stream:
        stream.writestr("minutes.pdf", "%PDF-1.7 minutes")
    found = read(archive, folder)
    assert found.mime_type == "application/zip"
    assert contents(found) == {"minutes.pdf": b"%PDF-1.7 minutes"}


def test_names_in_an_archive_lead_nowhere(tmp_path: Path, folder: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("../../../etc/passwd", "one")
        stream.writestr("/etc/passwd", "two")
        stream.writestr("etc\\passwd", "three")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        stream.writestr(link, "/etc/passwd")
    found = read(archive, folder)
    assert contents(found) == {"etc/passwd": b"one", "etc/passwd (2)": b"two", "etc/passwd (3)": b"three"}
    assert all(part.path.parent == folder for part in found.parts)


@pytest.mark.parametrize(
    ("encoding", "name"), [("gb18030", "图书馆开放时间和借阅规则说明.txt"), ("cp932", "図書館の開館時間とお知らせ.txt")]
)
def test_names_in_the_maker_s_own_characters_are_read(tmp_path: Path, folder: Path, encoding: str, name: str) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        # The same number of bytes under a name that needs no mark, put in its place afterwards.
        stand_in = "x" * len(name.encode(encoding))
        stream.writestr(stand_in, "text")
    archive.write_bytes(archive.read_bytes().replace(stand_in.encode(), name.encode(encoding)))
    assert list(contents(read(archive, folder))) == [name]


def test_a_locked_archive_is_encrypted(tmp_path: Path, folder: Path) -> None:
    archive = files.make_zip(tmp_path / "a.zip", {"a.txt": "hello"})
    data = bytearray(archive.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    archive.write_bytes(data)
    assert refusal(archive, folder).reason == "encrypted"


def test_a_cut_archive_is_broken_and_so_is_one_with_a_damaged_file(tmp_path: Path, folder: Path) -> None:
    whole = files.make_zip(tmp_path / "a.zip", {"a.txt": "hello " * 1000, "b.txt": "there"}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    assert refusal(tmp_path / "cut.zip", folder).reason == "broken"
    with zipfile.ZipFile(tmp_path / "bent.zip", "w", zipfile.ZIP_STORED) as stream:
        stream.writestr("a.txt", "hello")
        stream.writestr("b.txt", "there")
    (tmp_path / "bent.zip").write_bytes((tmp_path / "bent.zip").read_bytes().replace(b"there", b"their"))
    error = refusal(tmp_path / "bent.zip", folder)
    assert (error.reason, "a.txt" in str(error)) == ("broken", True)


def test_an_archive_that_swells_beyond_measure_is_too_large(tmp_path: Path, folder: Path) -> None:
    archive = files.make_zip(tmp_path / "a.zip", {f"{number}.bin": bytes(10_000_000) for number in range(2)})
    assert refusal(archive, folder).reason == "too_large"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20_000_000


def test_the_limits_on_parts_hold_for_what_is_unpacked_and_not_for_what_is_said(tmp_path: Path, folder: Path) -> None:
    archive = files.make_zip(tmp_path / "a.zip", {f"{number}.txt": b"x" * 1000 for number in range(4)})
    for limits in (replace(LIMITS, parts=3), replace(LIMITS, parts_bytes=3500), replace(LIMITS, file_bytes=999)):
        place = folder / f"{limits.parts}-{limits.parts_bytes}-{limits.file_bytes}"
        place.mkdir()
        with pytest.raises(ExtractionError) as caught:
            read_zip(archive, limits, parts=Parts(place, limits))
        assert caught.value.reason == "too_large"


def test_an_archive_without_files_is_empty(tmp_path: Path, folder: Path) -> None:
    assert refusal(files.make_zip(tmp_path / "a.zip", {"folder/": ""}), folder).reason == "empty"


def test_without_a_folder_for_its_files_an_archive_is_refused(tmp_path: Path) -> None:
    archive = files.make_zip(tmp_path / "a.zip", {"a.txt": "hello"})
    with pytest.raises(ExtractionError) as caught:
        extract(archive, file_name="a.zip")
    assert caught.value.reason == "unsupported"


def test_a_program_s_own_archive_is_not_taken_apart(tmp_path: Path, folder: Path) -> None:
    program = files.make_zip(tmp_path / "a.zip", {"META-INF/MANIFEST.MF": "x", "A.class": "x"})
    assert refusal(program, folder).reason == "unsupported"


# Names


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("a/./b/../c.txt", "a/b/c.txt"),
        ("C:\\Users\\ann\\c.txt", "C:/Users/ann/c.txt"),
        ("line\nbreak\x00\u202e.txt", "line break.txt"),
        ("../..", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_names_are_made_readable(told: str, name: str) -> None:
    assert readable_name(told) == name


def test_long_names_stay_unique_and_keep_their_ending(folder: Path) -> None:
    parts = Parts(folder, LIMITS)
    for _ in range(3):
        parts.add("x" * 900 + ".txt", (b"a", b"b"), is_attachment=True)
    names = [part.name for part in parts.found]
    assert len(set(names)) == 3
    assert all(len(name) <= LONGEST_NAME and name.endswith(".txt") for name in names)


# Mail


def test_attachments_and_forwarded_mails_are_parts_and_a_logo_is_none(tmp_path: Path, folder: Path) -> None:
    inner = EmailMessage()
    inner["Subject"], inner["From"] = "Older question", "bob@example.org"
    inner.set_content("What are the hours?")
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "Library hours", "Ann Smith <ann@example.org>"
    mail["Date"] = "Fri, 31 May 2024 10:00:00 +0200"
    mail.set_content("See the attached plan.")
    mail.add_attachment(b"Open from nine.", "text", "plain", filename="plan/2024.txt")
    mail.add_attachment(
        b"\x89PNG" + bytes(500), "image", "png", filename="logo.png", cid="<logo>", disposition="inline"
    )
    mail.add_attachment(inner)
    path = tmp_path / "a.eml"
    path.write_bytes(mail.as_bytes())
    found = read(path, folder)
    assert [part.name for part in found.parts] == ["plan-2024.txt", "Older question.eml"]
    assert all(part.is_attachment for part in found.parts)
    assert (found.authors, str(found.written_on)) == (("Ann Smith",), "2024-05-31")
    assert "What are the hours" not in found.pages[0].text, "it is a document of its own"
    assert extract(found.parts[1].path, file_name=found.parts[1].name).pages[0].text.endswith("What are the hours?")


def test_a_mail_without_text_only_holds_its_attachments(tmp_path: Path, folder: Path) -> None:
    mail = EmailMessage()
    mail["Subject"] = "Scan"
    mail.add_attachment(b"Open from nine.", "text", "plain", filename="a.txt")
    path = tmp_path / "a.eml"
    path.write_bytes(mail.as_bytes())
    found = read(path, folder)
    assert (found.pages, [part.name for part in found.parts]) == ((), ["a.txt"])
    with pytest.raises(ExtractionError) as caught:
        extract(path, file_name="a.eml")
    assert caught.value.reason == "empty"


def test_an_outlook_mail_gives_its_text_and_its_parts(tmp_path: Path, folder: Path) -> None:
    found = read(files.make_msg(tmp_path / "a.msg"), folder)
    assert (found.title, found.authors, str(found.written_on)) == ("Bücher", ("Ann Smith",), "2024-01-17")
    assert found.pages[0].text == (
        "# Bücher\n\nFrom: Ann Smith <ann@example.org>\nDate: Wed, 17 Jan 2024 21:20 UTC\n\nThe books are here.\n\n"
        "- shelf-list.txt\n- Old order.eml"
    )
    assert contents(found)["shelf-list.txt"].startswith(b"Shelf mark B 12.")
    nested = folder / "nested"
    nested.mkdir()
    forwarded = extract(found.parts[1].path, file_name=found.parts[1].name, parts_folder=nested)
    assert "Please order them." in forwarded.pages[0].text
    assert [part.name for part in forwarded.parts] == ["order.txt"]


def test_each_mail_of_a_mailbox_is_a_part(tmp_path: Path, folder: Path) -> None:
    mailbox = io.BytesIO()
    for number in (1, 2):
        mailbox.write(f"From ann@example.org Fri May 31 10:00:0{number} 2024\nSubject: Hours/{number}\n\n".encode())
        mailbox.write(b"Open from nine.\n\n>From Monday on until ten.\nFrom here on the line follows none.\n\n")
    path = tmp_path / "a.mbox"
    path.write_bytes(mailbox.getvalue())
    found = read(path, folder)
    assert [part.name for part in found.parts] == ["0001 Hours-1.eml", "0002 Hours-2.eml"]
    text = extract(found.parts[1].path, file_name=found.parts[1].name).pages[0].text
    assert text.endswith("Open from nine.\n\nFrom Monday on until ten.\nFrom here on the line follows none.")
