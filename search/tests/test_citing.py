"""Citations: what they say, and that no title or name can break out of its field."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.citing import Source, bibtex, plain, ris, source_of

RIS_TAGS = ("TY", "TI", "AU", "PB", "M3", "LA", "UR", "Y2", "ER")
SEEN = date(2026, 11, 24)


@dataclass
class Paper:
    """A document as far as citing needs it."""

    title: str = "Lecture Recording Policy"
    authors: list[str] = field(default_factory=list)
    written_on: date | None = None
    last_reviewed: date | None = None
    language: str = "en"

    def __str__(self) -> str:
        return self.title


def _source(**more: object) -> Source:
    paper = Paper(**more)  # type: ignore[arg-type]
    url = "https://search.example/documents/1/"
    return source_of(paper, publisher="IT Services", kind="Policy", url=url, seen_on=SEEN)


def test_bibtex_names_authors_department_date_and_address() -> None:
    cited = bibtex(_source(authors=["Ada Byron", "Émile Zola"], written_on=date(2024, 3, 5)))
    assert cited.startswith("@techreport{byron2024lecture,\n")
    assert "  title       = {{Lecture Recording Policy}},\n" in cited
    assert "  author      = {Ada Byron and Émile Zola},\n" in cited
    assert "  institution = {IT Services},\n" in cited
    assert "  year        = {2024},\n" in cited
    assert "  url         = {https://search.example/documents/1/},\n" in cited
    assert cited.endswith("  urldate     = {2026-11-24},\n}\n")


def test_without_authors_the_department_stands_for_them() -> None:
    assert "author      = {{IT Services}}," in bibtex(_source())
    assert "AU  - IT Services\r\n" in ris(_source())
    assert plain(_source()).startswith("IT Services (n.d.). Lecture Recording Policy. Policy. https://")


def test_a_name_that_bibtex_would_take_apart_stays_whole() -> None:
    assert "author      = {{Brown and Sons} and Ada Byron}" in bibtex(_source(authors=["Brown and Sons", "Ada Byron"]))


def test_ris_is_one_tag_a_line_and_ends() -> None:
    cited = ris(_source(authors=["Ada Byron"], last_reviewed=date(2025, 8, 15)))
    assert cited.startswith("TY  - RPRT\r\nTI  - Lecture Recording Policy\r\nAU  - Ada Byron\r\n")
    assert "PY  - 2025\r\nDA  - 2025/08/15\r\n" in cited
    assert cited.endswith("ER  - \r\n")


def test_plain_text_is_a_line_for_a_list() -> None:
    cited = plain(_source(authors=["Ada Byron"], written_on=date(2024, 3, 5)))
    assert cited == (
        "Ada Byron (2024). Lecture Recording Policy. Policy. IT Services. "
        "https://search.example/documents/1/ (seen 2026-11-24)\n"
    )


@pytest.mark.parametrize("title", ["留学生签证", "تأشيرة الطالب", "Prüfung?"])
def test_titles_in_any_script_are_kept(title: str) -> None:
    for write in (bibtex, ris, plain):
        assert title in write(_source(title=title))


@given(title=st.text(min_size=1), author=st.text(min_size=1))
def test_nothing_in_a_title_or_a_name_begins_a_field_of_its_own(title: str, author: str) -> None:
    source = _source(title=title, authors=[author])
    lines = ris(source).split("\r\n")[:-1]
    assert [line[:6] for line in lines] == [f"{tag}  - " for tag in RIS_TAGS]
    assert "\n" not in plain(source).rstrip("\n")
    inner = re.sub(r"\\[{}]|\\text\w+\{\}", "", bibtex(source))
    assert inner.count("{") == inner.count("}")
    assert len(bibtex(source).splitlines()) == 2 + 7
