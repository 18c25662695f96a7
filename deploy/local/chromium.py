"""The browser for the browser tests: found, or installed, or else the command that would install it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.console import Console
from deploy.local.debian import how_to_install, install_commands, run_logged
from deploy.local.errors import LauncherError
from deploy.local.home import Home

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_ASK_PLAYWRIGHT = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
"""


def find_chromium(python: Path) -> str | None:
    """The path of a browser on this machine: CHROMIUM_PATH, one on PATH, or one that Playwright installed.

    Raises LauncherError when CHROMIUM_PATH names no program.
    """
    named = os.environ.get("CHROMIUM_PATH")
    if named:
        if not os.access(named, os.X_OK):
            raise LauncherError(f"CHROMIUM_PATH={named} is no program: correct it, or unset it to have one found.")
        return named
    for program in PROGRAMS:
        path = shutil.which(program)
        if path:
            return path
    asked = subprocess.run([str(python), "-c", _ASK_PLAYWRIGHT], capture_output=True, text=True, check=False)
    path = asked.stdout.strip()
    return path if asked.returncode == 0 and os.access(path, os.X_OK) else None


def ensure_chromium(python: Path, home: Home, console: Console) -> str | None:
    """A browser, installed if need be; None when there is none to be had, which the browser tests will then say."""
    found = find_chromium(python)
    if found:
        return found
    attempts = [*install_commands("chromium"), [str(python), "-m", "playwright", "install", "chromium"]]
    console.say("Installing Chromium for the browser tests…")
    for command in attempts:
        if run_logged(command, home, "chromium"):
            found = find_chromium(python)
            if found:
                return found
    mend = how_to_install("chromium")
    console.say(f"No Chromium could be installed, so the browser tests will fail. What mends it: {mend}")
    return None
