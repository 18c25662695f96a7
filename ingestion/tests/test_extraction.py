"""Extraction: every format gives its text and structure, every hopeless file a reason, and nothing harms the worker."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ingestion.extraction import DEFAULT_LIMITS, Extraction, ExtractionError, Limits, extract
from ingestion.tests import document_files as files


def read(path: Path) -> Extraction:
    return extract(path, file_name=path.name)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, limits: Limits = DEFAULT_LIMITS) -> ExtractionError:
    with pytest.raises(ExtractionError) as caught:
        extract(path, file_name=path.name, limits=limits)
    return caught.value


# Formats


def test_a_pdf_gives_real_page_numbers_headings_and_lists(tmp_path: Path) -> None:
    found = read(files.make_pdf(tmp_path / "policy.pdf", pages=20))
    assert found.mime_type == "application/pdf"
    assert (found.title, found.language) == ("Travel policy", "en")
    assert [page.number for page in found.pages] == list(range(1, 21))
    page = found.pages[14].text
    assert page.startswith("# Part 15: Claims\n\nThis is page 15 of the policy. Staff")
    assert "- Keep the receipt.\n- Fill in form FIN-12." in page
    assert not page.endswith("15"), "the page number is not text"


def test_lines_of_a_pdf_paragraph_become_one_line(tmp_path: Path) -> None:
    found = read(files.make_pdf(tmp_path / "policy.pdf", pages=1))
    assert files.BODY in found.pages[0].text


def test_a_word_file_keeps_structure_and_special_signs(tmp_path: Path) -> None:
    found = read(files.make_docx(tmp_path / "policy.docx"))
    assert (found.title, found.language, [page.number for page in found.pages]) == ("Travel policy", "en", [1, 2])
    assert found.pages[0].text == (
        f"# Travel\n\nR&D staff <and others>. {files.BODY}\n\n## Receipts\n\n- Keep them\n- Send them\n\n"
        "| Country | Rate |\n| --- | --- |\n| France | 60 EUR |"
    )
    assert found.pages[1].text == "# Leave\n\nLeave is asked for in writing."


def test_word_pages_are_those_where_word_last_broke_them(tmp_path: Path) -> None:
    paragraph = "<w:p><w:r><w:lastRenderedPageBreak/><w:t>Text of page {}.</w:t></w:r></w:p>"
    hard = '<w:p><w:r><w:br w:type="page"/></w:r></w:p>'
    body = "<w:p><w:r><w:t>Text of page 1.</w:t></w:r></w:p>" + hard + paragraph.format(2) + paragraph.format(3)
    found = read(files.make_word_package(tmp_path / "a.docx", files.word_xml(body)))
    assert [(page.number, page.text) for page in found.pages] == [(n, f"Text of page {n}.") for n in (1, 2, 3)]


def test_deleted_and_alternative_text_of_a_word_file_is_left_out(tmp_path: Path) -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    body = f"<w:p><w:ins>{run.format('new')}</w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del></w:p>"
    assert read(files.make_word_package(tmp_path / "a.docx", files.word_xml(body))).pages[0].text == "new"


def test_deeply_nested_word_tables_keep_their_text(tmp_path: Path) -> None:
    body = "<w:tbl><w:tr><w:tc>" * 400 + "<w:p><w:r><w:t>deep</w:t></w:r></w:p>" + "</w:tc></w:tr></w:tbl>" * 400
    assert read(files.make_word_package(tmp_path / "a.docx", files.word_xml(body))).pages[0].text == "deep"


def test_a_slide_is_a_page_with_its_title_points_tables_and_notes(tmp_path: Path) -> None:
    found = read(files.make_pptx(tmp_path / "show.pptx"))
    assert [(page.number, page.text) for page in found.pages] == [
        (1, "# Welcome & hello\n\n- Monday\n- Tuesday\n\nSay hello warmly"),
        (3, "# Rates\n\n| Country | Rate |\n| --- | --- |\n| France | 60 EUR |"),
    ]


def test_a_sheet_is_a_page_under_its_name(tmp_path: Path) -> None:
    found = read(files.make_xlsx(tmp_path / "rates.xlsx"))
    assert [page.number for page in found.pages] == [1, 2]
    assert found.pages[0].text == ("# Rates\n\n| Country | Rate |\n| --- | --- |\n| France | 60 |\n| Germany | 55.5 |")
    assert found.pages[1].text == "# Contacts\n\n| Office | Room |\n| --- | --- |\n| R&D <North> | B.12 |"


def test_html_gives_headings_lists_and_tables_without_its_furniture(tmp_path: Path) -> None:
    page = """<!DOCTYPE html><html lang="de-DE"><head><title>Reisen &amp; Spesen</title><style>p{}</style></head><body>
    <nav>Home <a href="/">Start</a></nav><h1>Reisen</h1><p>Ein <b>kurzer</b> Satz.<br>Noch einer.</p>
    <ul><li>eins<ul><li>darin</li></ul></li><li>zwei</li></ul><ol><li>erst</li><li>dann</li></ol>
    <table><tr><th>Land</th><th>Satz</th></tr><tr><td>Frankreich</td><td>60&nbsp;EUR</td></tr></table>
    <script>alert("x")</script><footer>Impressum</footer></body></html>"""
    found = read(write(tmp_path / "reisen.html", page))
    assert (found.mime_type, found.title, found.language) == ("text/html", "Reisen & Spesen", "de")
    assert found.pages[0].text == (
        "# Reisen\n\nEin kurzer Satz.\nNoch einer.\n\n- eins\n  - darin\n- zwei\n\n1. erst\n2. dann\n\n"
        "| Land | Satz |\n| --- | --- |\n| Frankreich | 60 EUR |"
    )


def test_fifty_thousand_nested_elements_are_no_trouble(tmp_path: Path) -> None:
    page = "<html><body>" + "<div>" * 50_000 + "deep" + "</div>" * 50_000
    assert read(write(tmp_path / "deep.html", page)).pages[0].text == "deep"


def test_markdown_loses_front_matter_tags_comments_and_inline_markup(tmp_path: Path) -> None:
    text = """---
title: "Travel: the guide"
lang: en
redirect_from:
  - /old/
---

<!-- internal note -->
Book **early**, see [the _travel_ page]({% page "/travel/" %}) and {% slack_channel "travel" %}.

{% comment %}hidden{% endcomment %}
{% alert "Heads up!" %}
Ask first
{% endalert %}

Receipts
--------

* One `{% raw %}`
* ![a picture](x.png) &amp; R\\&D

```
# not a heading {% page "x" %}
```
"""
    found = read(write(tmp_path / "guide.md", text))
    assert (found.mime_type, found.title, found.language) == ("text/markdown", "Travel: the guide", "en")
    body = found.pages[0].text
    assert body.startswith("Book early, see the travel page and #travel.")
    assert "Heads up!\nAsk first" in body
    assert "## Receipts" in body
    assert "* a picture & R&D" in body
    assert '```\n# not a heading {% page "x" %}\n```' in body
    assert "hidden" not in body
    assert "internal note" not in body


def test_the_title_of_markdown_without_front_matter_is_its_first_heading(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.md", "# Library hours\n\nOpen from nine.")).title == "Library hours"


def test_csv_becomes_a_table_whatever_its_delimiter(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.csv", 'Office;Room\n"R;D";B.12\n'))
    assert found.pages[0].text == "| Office | Room |\n| --- | --- |\n| R;D | B.12 |"


def test_mail_gives_subject_people_and_text(tmp_path: Path) -> None:
    mail = (
        "From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: =?utf-8?q?B=C3=BCcher?=\r\n"
        "Content-Type: text/html; charset=utf-8\r\n\r\n<p>The books are <b>here</b>.</p>"
    )
    found = read(write(tmp_path / "a.eml", mail))
    assert found.title == "Bücher"
    assert "From: Ann <ann@example.org>" in found.pages[0].text
    assert found.pages[0].text.endswith("The books are here.")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Die Bibliothek öffnet früh.", "utf-8-sig"),
        ("Die Bibliothek öffnet früh.", "utf-16"),
        ("Die Bibliothek öffnet früh.", "utf-16-le"),
        ("Die Bibliothek öffnet früh.", "utf-32"),
        ("Die Bibliothek öffnet früh – für „alle“.", "cp1252"),
        ("图书馆每天早上九点开放，晚上十点关闭。请携带学生证。周末开放时间较短。", "gb18030"),
        ("図書館は毎日午前九時に開きます。学生証をお持ちください。", "shift_jis"),
        ("Библиотека открыта каждый день с девяти часов утра до десяти вечера.", "koi8-r"),
        ("Η βιβλιοθήκη είναι ανοιχτή κάθε μέρα από τις εννέα το πρωί.", "iso-8859-7"),
        ("المكتبة مفتوحة كل يوم من الساعة التاسعة صباحا حتى العاشرة مساء.", "cp1256"),
    ],
)
def test_text_is_read_in_any_usual_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    assert read(write(tmp_path / "a.txt", text.encode(encoding))).pages[0].text == text


def test_text_is_cleaned_and_composed(tmp_path: Path) -> None:
    found = read(
        write(tmp_path / "a.txt", "Cafe\u0301\x00 a\u200bb\x07\u202ec\ufeff\r\nnext  \r\n\r\n\r\n\r\nend".encode())
    )
    assert found.pages[0].text == "Café abc\nnext\n\nend"


def test_bytes_that_are_no_text_do_not_reach_the_database(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.txt", b"Good text, then \xed\xa0\x80 a lone surrogate and \xff\xfe bytes."))
    assert found.pages[0].text.encode("utf-8")
    assert "\x00" not in found.pages[0].text


def test_the_type_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    assert read(files.make_pdf(tmp_path / "wrong.txt", 1)).mime_type == "application/pdf"
    assert read(files.make_xlsx(tmp_path / "wrong.docx")).mime_type.endswith("spreadsheetml.sheet")


# Refusals


def test_a_password_protected_pdf_is_encrypted(tmp_path: Path) -> None:
    error = refusal(files.make_encrypted_pdf(tmp_path / "a.pdf"))
    assert error.reason == "encrypted"
    assert "password" in str(error)


@pytest.mark.parametrize("name", ["a.pdf", "a.docx", "a.txt"])
def test_a_file_of_no_bytes_is_empty(tmp_path: Path, name: str) -> None:
    assert refusal(write(tmp_path / name, b"")).reason == "empty"


def test_files_without_text_are_empty(tmp_path: Path) -> None:
    assert refusal(files.make_empty_pdf(tmp_path / "a.pdf")).reason == "empty"
    assert refusal(files.make_empty_xlsx(tmp_path / "a.xlsx")).reason == "empty"
    assert refusal(write(tmp_path / "a.txt", " \n\t \n")).reason == "empty"
    assert refusal(write(tmp_path / "a.html", "<html><body><img src=x></body></html>")).reason == "empty"


def test_damaged_files_are_broken(tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "a.pdf", b"%PDF-1.7\nrubbish")).reason == "broken"
    whole = files.make_docx(tmp_path / "whole.docx").read_bytes()
    assert refusal(write(tmp_path / "cut.docx", whole[: len(whole) // 2])).reason == "broken"
    assert refusal(files.make_word_package(tmp_path / "bad.docx", "<w:document><unclosed")).reason == "broken"


def test_a_web_page_called_pdf_is_explained(tmp_path: Path) -> None:
    error = refusal(write(tmp_path / "a.pdf", "<!DOCTYPE html><html><body>Please sign in</body></html>"))
    assert error.reason == "broken"
    assert "web page" in str(error)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.exe", b"MZ" + bytes(200)), ("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(50)), ("a.bin", bytes(range(32)) * 9)],
)
def test_other_kinds_are_unsupported_and_the_supported_ones_named(tmp_path: Path, name: str, content: bytes) -> None:
    error = refusal(write(tmp_path / name, content))
    assert error.reason == "unsupported"
    assert "PDF, Word, PowerPoint, Excel" in str(error)


# Limits


def test_a_file_above_the_size_limit_is_not_even_read(tmp_path: Path) -> None:
    error = refusal(write(tmp_path / "a.txt", b"x" * 2000), replace(DEFAULT_LIMITS, file_bytes=1000))
    assert error.reason == "too_large"


def test_a_document_of_too_many_pages_or_characters_is_too_large(tmp_path: Path) -> None:
    path = files.make_pdf(tmp_path / "a.pdf", pages=5)
    assert refusal(path, replace(DEFAULT_LIMITS, pages=4)).reason == "too_large"
    assert refusal(path, replace(DEFAULT_LIMITS, characters=100)).reason == "too_large"


def test_an_answer_above_the_output_limit_is_too_large(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "word " * 100_000)
    assert refusal(path, replace(DEFAULT_LIMITS, output_bytes=100_000)).reason == "too_large"


def test_a_zip_bomb_is_too_large_without_being_unpacked(tmp_path: Path) -> None:
    paragraph = "<w:p><w:r><w:t>aaaaaaaaaaaaaaaaaaaa</w:t></w:r></w:p>"
    path = files.make_word_package(tmp_path / "a.docx", files.word_xml(paragraph * 3_000_000))
    started = time.monotonic()
    assert refusal(path).reason == "too_large"
    assert time.monotonic() - started < 5


def test_declarations_in_office_files_are_refused(tmp_path: Path) -> None:
    entities = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    late = f"<!--{' ' * 10_000}-->{entities}"
    for number, prologue in enumerate((entities, late)):
        text = files.word_xml("<w:p><w:r><w:t>&b;</w:t></w:r></w:p>", prologue)
        assert refusal(files.make_word_package(tmp_path / f"{number}.docx", text)).reason == "broken"


def test_a_slow_child_is_ended_in_time(tmp_path: Path) -> None:
    started = time.monotonic()
    error = refusal(files.make_pdf(tmp_path / "a.pdf", 40), replace(DEFAULT_LIMITS, seconds=0.02))
    assert error.reason == "timeout"
    assert time.monotonic() - started < 3


def test_a_child_that_uses_up_its_processor_time_is_a_timeout(tmp_path: Path) -> None:
    path = write(tmp_path / "a.html", "<p>word " * 2_000_000)
    assert refusal(path, replace(DEFAULT_LIMITS, cpu_seconds=1)).reason == "timeout"


def test_a_child_that_wants_too_much_memory_is_a_memory_failure(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "word " * 20_000_000)
    limits = replace(DEFAULT_LIMITS, memory_bytes=160 * 1024 * 1024)
    assert refusal(path, limits).reason == "memory"


def test_nothing_stays_behind_after_a_killed_child(tmp_path: Path) -> None:
    path = files.make_pdf(tmp_path / "a.pdf", 40)
    refusal(path, replace(DEFAULT_LIMITS, seconds=0.02))
    commands: list[bytes] = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        # Processes come and go meanwhile.
        with suppress(OSError):
            commands.append(command.read_bytes())
    assert not [command for command in commands if bytes(path) in command]


@pytest.mark.parametrize(
    "name", ["a\0b.txt", "../../etc/passwd.txt", "x" * 300 + ".txt", "\udcff\ud800.txt", "-m.txt", ""]
)
def test_a_name_of_any_kind_is_harmless(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "stored", "Library hours")
    assert extract(path, file_name=name).pages[0].text == "Library hours"


def test_the_child_imports_no_django_and_for_text_no_extraction_library() -> None:
    code = "import sys, ingestion.extraction_child, ingestion.extraction_plain; print(*sys.modules)"
    root = Path(__file__).resolve().parents[2]
    modules = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert not {"django", "kreuzberg", "chardet", "numpy"} & set(modules.split())


def test_the_child_gets_none_of_the_worker_s_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingestion.extraction_process import environment

    monkeypatch.setenv("SECRET_KEY", "hidden")
    monkeypatch.setenv("DATABASE_URL", "postgres://hidden")
    assert not {"SECRET_KEY", "DATABASE_URL"} & set(environment(str(tmp_path)))
