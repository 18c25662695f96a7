"""A complete instance with the demo, started by the launcher, and a real Chromium in front of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 600
"""A first start installs everything; a later one takes seconds."""

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)
NO_CHROMIUM = (
    "There is no Chromium for the browser tests. Install it with `apt-get install chromium` (as root) or "
    "`.venv/bin/playwright install chromium`, or name one in CLOISTER_CHROMIUM."
)
# What the tests' own stack is told must not reach the instance that the browser looks at.
KEPT_VARIABLES = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR")
KEPT_PREFIXES = ("PIP_", "UV_", "HTTP_", "HTTPS_", "http_", "https_", "SSL_", "REQUESTS_", "NO_PROXY", "no_proxy")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Portal:
    """A running instance."""

    url: str

    def address(self, path: str) -> str:
        """The full address of a path."""
        return f"{self.url}{path}"


@pytest.fixture(scope="package")
def portal() -> Iterator[Portal]:
    """A fresh instance with the demo, gone afterwards; or the one at CLOISTER_TEST_URL, to save time at work."""
    if given := os.environ.get("CLOISTER_TEST_URL"):
        yield Portal(given.rstrip("/"))
        return
    home = Path(tempfile.mkdtemp(prefix="cloister-browser-"))
    home.chmod(0o755)  # the database's own user passes through when the tests run as root
    kept = {
        name: value for name, value in os.environ.items() if name in KEPT_VARIABLES or name.startswith(KEPT_PREFIXES)
    }
    # All of these tests come from one address, without a pause, and most of them without signing in.
    environment = {**kept, "CLOISTER_HOME": str(home), "THROTTLE_FACTOR": "0"}
    port = _free_port()
    launcher = str(ROOT / "cloister")
    try:
        started = subprocess.run(
            [launcher, "up", "--detach", "--port", str(port)],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS, check=False,
        )  # fmt: skip
        assert started.returncode == 0, (
            f"The instance did not start:\n{started.stdout[-4000:]}\n{started.stderr[-4000:]}"
        )
        running = Portal(f"http://localhost:{port}")
        with urlopen(running.address("/health/ready"), timeout=10) as answer:
            assert answer.status == 200
        yield running
    finally:
        subprocess.run([launcher, "down"], env=environment, cwd=ROOT, capture_output=True, timeout=120, check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this folder.

    Playwright runs an event loop in this thread, in which Django refuses its database: it must not outlive the folder.
    """
    programs = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CLOISTER_CHROMIUM") or next(filter(None, map(shutil.which, programs)), None)
    with sync_playwright() as playwright:
        path = path or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.fail(NO_CHROMIUM, pytrace=False)
        chromium = playwright.chromium.launch(executable_path=path, args=[*CHROMIUM_FLAGS])
        yield chromium
        chromium.close()


@dataclass
class Visitor:
    """Somebody with a browser window. `complaints` gathers what the browser had to say against the pages."""

    portal: Portal
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    def visit(self, path: str) -> Page:
        """Open a path; answers the page."""
        self.page.goto(self.portal.address(path))
        return self.page

    def sign_in(self, username: str) -> None:
        """Sign in with the demo's password, as the sign-in page shows it."""
        page = self.visit("/accounts/login/")
        password = page.locator("#demo-password").inner_text()
        page.get_by_label("User name", exact=True).fill(username)
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        expect(page.locator(".who")).to_be_visible()

    def search(self, words: str) -> Page:
        """Type words into the field and press Enter; answers the page once the answer is there."""
        self.page.locator("#q").fill(words)
        self.page.locator("#q").press("Enter")
        expect(self.page.get_by_role("heading", level=1)).to_contain_text(words)
        return self.page

    def titles(self) -> list[str]:
        """The titles of the hits, in order."""
        return self.page.locator(".hit h2").all_inner_texts()


Arrive = Callable[..., Visitor]


@pytest.fixture
def arrive(browser: Browser, portal: Portal) -> Iterator[Arrive]:
    """Open a window: `arrive(width=360, theme="dark", javascript=False)`. No page may make the browser complain."""
    visitors: list[Visitor] = []

    def open_window(*, width: int = 1280, theme: str = "light", javascript: bool = True) -> Visitor:
        context = browser.new_context(
            viewport={"width": width, "height": 800 if width > 600 else 740},
            color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=javascript,
            locale="en-GB",
        )
        context.set_default_timeout(20_000)
        visitor = Visitor(portal, context, context.new_page())

        def note(message: ConsoleMessage) -> None:
            # The status of a page is what the page says; Chromium repeats it as an error of its own.
            if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
                visitor.complaints.append(f"{visitor.page.url}: {message.text}")

        visitor.page.on("console", note)
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(f"{visitor.page.url}: {error}"))
        visitors.append(visitor)
        return visitor

    yield open_window
    complaints = [one for visitor in visitors for one in visitor.complaints]
    for visitor in visitors:
        visitor.context.close()
    assert not complaints, complaints


@pytest.fixture(params=[360, 1280], ids=["phone", "desktop"])
def width(request: pytest.FixtureRequest) -> int:
    """Both widths that every page must suit."""
    return int(request.param)


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    """Both themes."""
    return str(request.param)


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Ask again and again until it holds; fails with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(1)
