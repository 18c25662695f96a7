"""The data of text recognition (Tesseract) for the tests: found, or installed, or else the command that would do it."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.local.console import Console
from deploy.local.debian import how_to_install, install_commands, run_logged
from deploy.local.home import Home

PACKAGES = ("tesseract-ocr-eng", "tesseract-ocr-osd")
FOLDERS = ("usr/share/tesseract-ocr/*/tessdata", "usr/share/tessdata", "usr/local/share/tessdata")


def has_ocr() -> bool:
    """Whether data for English is here: in TESSDATA_PREFIX, or where Debian and others put it."""
    named = os.environ.get("TESSDATA_PREFIX")
    folders = [Path(named), Path(named, "tessdata")] if named else []
    for pattern in FOLDERS:
        folders += Path("/").glob(pattern)
    return any((folder / "eng.traineddata").is_file() for folder in folders)


def ensure_ocr(home: Home, console: Console) -> bool:
    """Have the data, installed if need be. False where there is none to be had, which skips the tests that need it."""
    if has_ocr():
        return True
    commands = install_commands(*PACKAGES)
    if commands:
        console.say("Installing the data of text recognition for the tests…")
    for command in commands:
        if run_logged(command, home, "ocr") and has_ocr():
            return True
    console.say(
        "No data of text recognition could be installed, so its tests are skipped. What mends it: "
        + how_to_install(*PACKAGES)
    )
    return False
