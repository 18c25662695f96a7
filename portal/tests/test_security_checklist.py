"""docs/asvs.md names every requirement of ASVS 5.0.0, levels 1 and 2, once, and only tests that exist; and every line
that a security checker is told to pass over says why."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "asvs.md"
STATES = {"met", "operator", "n/a", "not met"}
LINE = re.compile(
    r"\| V(?P<number>[\d.]+) \| (?P<level>[12]) \| (?P<asked>[^|]+) \| (?P<state>[^|]+) \| (?P<shown>.+) \|"
)
TEST = re.compile(r"`((?:\w+/)+test_\w+\.py)::([\w:]+)`")

REQUIRED = {
    "1.1": "1-2", "1.2": "1-9", "1.3": "1-11", "1.4": "1-3", "1.5": "1-2",
    "2.1": "1-3", "2.2": "1-3", "2.3": "1-4", "2.4": "1",
    "3.2": "1-2", "3.3": "1-4", "3.4": "1-6", "3.5": "1-5", "3.7": "1-2",
    "4.1": "1-3", "4.2": "1", "4.3": "1-2", "4.4": "1-4",
    "5.1": "1", "5.2": "1-3", "5.3": "1-2", "5.4": "1-3",
    "6.1": "1-3", "6.2": "1-12", "6.3": "1-4", "6.4": "1-4", "6.5": "1-5", "6.6": "1-3", "6.8": "1-4",
    "7.1": "1-3", "7.2": "1-4", "7.3": "1-2", "7.4": "1-5", "7.5": "1-2", "7.6": "1-2",
    "8.1": "1-2", "8.2": "1-3", "8.3": "1", "8.4": "1",
    "9.1": "1-3", "9.2": "1-4",
    "10.1": "1-2", "10.2": "1-2", "10.3": "1-4", "10.4": "1-11", "10.5": "1-5", "10.6": "1-2", "10.7": "1-3",
    "11.1": "1-2", "11.2": "1-3", "11.3": "1-3", "11.4": "1-4", "11.5": "1", "11.6": "1",
    "12.1": "1-3", "12.2": "1-2", "12.3": "1-4",
    "13.1": "1", "13.2": "1-5", "13.3": "1-2", "13.4": "1-5",
    "14.1": "1-2", "14.2": "1-4", "14.3": "1-3",
    "15.1": "1-3", "15.2": "1-3", "15.3": "1-7",
    "16.1": "1", "16.2": "1-5", "16.3": "1-4", "16.4": "1-3", "16.5": "1-3",
    "17.1": "1", "17.2": "1-4", "17.3": "1-2",
}  # fmt: skip
"""The requirements of levels 1 and 2 in each section of ASVS 5.0.0 (its CSV): 70 of level 1 and 183 of level 2."""

SECOND_LEVEL_AND_FIRST = 253


def required() -> list[str]:
    """The number of each requirement."""
    numbers = []
    for section, span in REQUIRED.items():
        first, _, last = span.partition("-")
        numbers += [f"{section}.{number}" for number in range(int(first), int(last or first) + 1)]
    return numbers


def lines() -> list[dict[str, str]]:
    """What the page says of each requirement."""
    written = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| V")]
    found = [match.groupdict() for line in written if (match := LINE.fullmatch(line))]
    assert len(found) == len(written), "a line of a table is not like the others"
    return found


@cache
def named_in(path: str) -> frozenset[str]:
    """`test_x` and `TestX::test_y` of a file."""
    found = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return frozenset(found)


def test_every_requirement_stands_there_once() -> None:
    assert len(required()) == SECOND_LEVEL_AND_FIRST
    counted = Counter(line["number"] for line in lines())
    assert {number for number, times in counted.items() if times > 1} == set()
    assert set(required()) - set(counted) == set()
    assert set(counted) - set(required()) == set()


def test_each_has_a_state_and_an_answer() -> None:
    for line in lines():
        assert line["state"] in STATES, line
        assert len(line["shown"]) > 5, line
    counted = Counter(line["state"] for line in lines())
    summary = f"{counted['met']} met, {counted['operator']} operator, {counted['n/a']} not applicable, "
    assert f"{summary}{counted['not met']} not met" in PAGE.read_text(encoding="utf-8")


def test_every_test_that_is_named_exists() -> None:
    named = [found for line in lines() for found in TEST.findall(line["shown"])]
    assert len(named) > 150
    for path, name in named:
        assert (ROOT / path).exists(), path
        assert name in named_in(path), f"{path}::{name}"


@pytest.mark.parametrize("page", ["docs/asvs.md", "docs/security.md", "SECURITY.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        file = folder / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


def test_every_exception_for_a_security_checker_has_its_code_and_a_reason() -> None:
    good = re.compile(r"# nosec B\d{3}( B\d{3})*  # \S.+")
    for room in ("accounts", "ingestion", "search", "portal", "deploy", ".ci"):
        for file in (ROOT / room).rglob("*.py"):
            if not {"tests", "migrations"}.intersection(file.parts):
                for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                    assert "# nosec" not in line or good.search(line), f"{file}:{number}"
