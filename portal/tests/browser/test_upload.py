"""What a librarian does: upload a file, wait until it is ready, and find it."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from portal.tests.browser.conftest import START_SECONDS, Arrive, wait_until

# The first test of a run waits until the instance stands.
pytestmark = pytest.mark.timeout(START_SECONDS + 120)

READY_SECONDS = 240
"""The demo's own documents may stand in the queue before it."""


def test_a_librarian_uploads_a_file_and_finds_it(arrive: Arrive, width: int) -> None:
    word = f"zirconium{uuid.uuid4().hex[:8]}"
    title = f"Reading room lamps {word}"
    text = f"# {title}\n\n## Borrowing a lamp\n\nA lamp of the kind {word} is lent at the desk of the reading room.\n"
    librarian = arrive(width=width)
    librarian.sign_in("librarian")
    page = librarian.page
    page.get_by_role("link", name="Upload").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "lamps.md", "mimeType": "text/markdown", "buffer": text.encode()}
    )
    page.get_by_label("Type").select_option(label="Guide")
    page.get_by_label("Department", exact=False).first.select_option(label="Library")
    page.get_by_label("Clearance").select_option(value="2")
    page.get_by_label("Audience").select_option(value="institution")
    page.locator("main, #content, form").get_by_role("button", name="Upload").first.click()
    expect(page.locator("#upload-progress")).to_contain_text("lamps.md")

    def found() -> bool:
        librarian.visit(f"/search/?q={word}")
        return title in librarian.titles()

    wait_until(found, seconds=READY_SECONDS, what="Finding the uploaded document")
    page.get_by_role("link", name=title).first.click()
    expect(page.locator(".opened-passage")).to_contain_text("lent at the desk")
    expect(page.locator(".curator")).to_contain_text("State:")

    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download the original").click()
    assert waiting.value.suggested_filename == "lamps.md"
    assert waiting.value.path().read_text(encoding="utf-8") == text

    student = arrive(width=width)
    student.sign_in("student")
    student.visit(f"/search/?q={word}")
    assert title in student.titles()
