"""What the filter on system calls holds by itself, on kernels whose Landlock is older than this one's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from ingestion import extraction_filter
if not extraction_filter.install():
    sys.exit("no filter")
with open(sys.argv[1], "r+b") as own:
    own.truncate(5)
try:
    os.truncate(sys.argv[2], 0)
except PermissionError:
    print("refused")
"""


def test_no_file_is_emptied_by_its_path(tmp_path: Path) -> None:
    own, original = tmp_path / "own", tmp_path / "original"
    for path in (own, original):
        path.write_bytes(b"everything")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, own, original],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if "no filter" in done.stderr:
        pytest.skip("this kernel has no filter on system calls")

    assert done.stdout == "refused\n", done.stderr
    assert original.read_bytes() == b"everything"
    assert own.read_bytes() == b"every", "what it has open to write it may shorten"
