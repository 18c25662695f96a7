"""The shared files: 232 from clean to hostile. `chars` counts, without white space, what a careful reader finds."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from ingestion.extraction import Extraction, ExtractionError, extract

SHARED = Path(os.environ.get("CLOISTER_SHARED_DATA", Path(__file__).resolve().parents[2] / ".." / "shared" / "data"))
MESSY = SHARED / "messy"

_SHARE = 0.95
# Damaged files that a tolerant reader repairs; SOURCES.md says that failing cleanly is right too.
_DAMAGED = "failing cleanly is fine too"
# What the manifest cannot say: that there is no text but what tracked changes deleted, or a picture, or no cell.
_WITHOUT_TEXT = frozenset(("files/docx/testWORD_missing_ooxml_bean1.docx", "files/xls/testEXCEL_95.xls"))
# A footer that is drawn five times over itself is counted five times; bytes of two-byte letters instead of letters.
_MISCOUNTED = frozenset(("files/pdf/testPDF_acroform3.pdf", "files/msg/testMSG_chinese.msg"))
# Recognition takes seconds a page; the bench reads these too.
_LARGEST_SCAN_BYTES = 30_000


def messy_files() -> list[dict[str, str]]:
    manifest = MESSY / "manifest.csv"
    if not manifest.exists():
        return []
    with manifest.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [row for row in rows if row["class"] != "scanned" or int(row["bytes"]) < _LARGEST_SCAN_BYTES]


@pytest.mark.skipif(not (MESSY / "manifest.csv").exists(), reason="the shared files (messy) are not there")
@pytest.mark.parametrize("row", messy_files(), ids=lambda row: row["path"].removeprefix("files/"))
def test_messy_file(row: dict[str, str], tmp_path: Path) -> None:
    path = MESSY / row["path"]
    found, reason, sentence = None, "", "."
    try:
        found = extract(path, file_name=path.name, parts_folder=tmp_path)
    except ExtractionError as error:
        reason, sentence = error.reason, str(error)
    assert sentence.endswith(".")
    if found is None:
        assert reason in _allowed_reasons(row), sentence
        return
    assert row["class"] in ("ok", "scanned", "huge", "broken") or found.parts, "text where there should be none"
    if row["class"] == "broken" and not found.parts and not found.pages_without_text:
        assert found.is_damaged
    if row["class"] == "ok" and _DAMAGED not in row["note"]:
        assert not found.is_damaged
    if row["class"] == "ok" and row["chars"] and row["path"] not in _MISCOUNTED:
        assert _characters(found) >= _SHARE * int(row["chars"])


def _characters(found: Extraction) -> int:
    return sum(len("".join(page.text.split())) for page in found.pages)


def _allowed_reasons(row: dict[str, str]) -> set[str]:
    allowed = {
        "ok": set(),
        # Photographs without a word, and writing of languages that are not installed.
        "scanned": {"needs_ocr", "empty"},
        "encrypted": {"encrypted"},
        "broken": {"broken", "empty"},
        "empty": {"empty", "broken"},
        "huge": {"too_large", "broken", "empty", "memory", "timeout"},
    }[row["class"]]
    if _DAMAGED in row["note"]:
        allowed = allowed | {"broken"}
    return allowed | {"empty"} if row["path"] in _WITHOUT_TEXT else allowed
