"""What a librarian does with many files: drops them, watches them arrive, and mends what failed."""

from __future__ import annotations

import re
import uuid

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from portal.tests.browser.conftest import START_SECONDS, Arrive
from portal.tests.browser.test_accessibility import RULES

# The first test of a run waits until the instance stands.
pytestmark = pytest.mark.timeout(START_SECONDS + 180)

READY_SECONDS = 240
"""The demo's own documents may stand in the queue before them."""

DROP = """(files) => {
    const carried = new DataTransfer();
    for (const [name, text] of files) carried.items.add(new File([text], name));
    for (const type of ["dragover", "drop"]) {
        const event = new DragEvent(type, { dataTransfer: carried, bubbles: true, cancelable: true });
        document.querySelector("#upload-form").dispatchEvent(event);
    }
}"""


def _has_no_barrier(page: Page) -> None:
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"
    spilled = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert spilled <= 0, f"{page.url} is {spilled} px wider than the window"


def test_a_librarian_drops_files_watches_them_and_replaces_the_broken_one(arrive: Arrive, width: int) -> None:
    word = f"vanadium{uuid.uuid4().hex[:8]}"
    librarian = arrive(width=width, theme="dark" if width < 600 else "light")
    librarian.sign_in("librarian")
    page = librarian.visit("/admin/ingestion/document/upload/")
    files = [
        (f"{word}-one.md", f"# First {word}\n\nOne lamp."),
        (f"{word}-two.md", f"# Second {word}\n\nTwo lamps."),
        (f"{word}-broken.pdf", f"%PDF-1.4 {word}"),
        (f"{word}-empty.txt", ""),
        ("Thumbs.db", "litter"),
    ]
    page.evaluate(DROP, files)
    expect(page.locator("#chosen-summary")).to_contain_text("4 files")
    expect(page.locator("#chosen-summary")).to_contain_text("1 file of no use left out")
    page.get_by_label("Type").select_option(label="Guide")
    page.get_by_label("Title").fill("One title for all")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("One title cannot be given to several files")).to_be_visible()
    _has_no_barrier(page)
    page.get_by_label("Title").fill("")

    # One request is lost on the way: it costs this file alone, until it is sent again.
    lost = iter([True])
    page.route("**/file/", lambda route: route.abort() if next(lost, False) else route.continue_())
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("#sending-summary")).to_have_text("2 of 4 taken in, 1 not taken in, 1 not sent.")
    expect(page.locator("#troubled-files")).to_contain_text("is empty. Check the file")
    _has_no_barrier(page)
    page.get_by_role("button", name="Send 1 again").click()
    expect(page.locator("#sending-summary")).to_have_text("3 of 4 taken in, 1 not taken in.")
    page.unroute("**/file/")
    assert any("ERR_FAILED" in complaint for complaint in librarian.complaints)
    librarian.complaints.clear()

    page.get_by_role("link", name="See how they are read").click()
    upload = page.url
    expect(page.locator("#upload-ended")).to_be_visible(timeout=READY_SECONDS * 1000)
    expect(page.locator("#upload-summary")).to_have_text("2 of 3 ready, 1 failed.")
    _has_no_barrier(page)

    page.get_by_role("link", name="What went wrong").click()
    expect(page.get_by_role("heading", name="Damaged")).to_be_visible()
    _has_no_barrier(page)
    page.get_by_role("link", name="Replace file").click()
    page.locator("input[type=file]").set_input_files(
        {"name": f"{word}-mended.md", "mimeType": "text/markdown", "buffer": f"# Third {word}".encode()}
    )
    page.get_by_role("button", name="Replace the file").click()
    expect(page.get_by_text("The new file is queued.")).to_be_visible()
    page.goto(upload)
    expect(page.locator("#upload-summary")).to_have_text("3 of 3 ready.", timeout=READY_SECONDS * 1000)

    page.get_by_role("link", name=f"Third {word}").click()
    page.get_by_role("link", name="See all passages").click()
    expect(page.locator("#passage-0")).to_contain_text(f"Third {word}")
    _has_no_barrier(page)
    for name in ("uploads", "collection"):
        librarian.visit(f"/admin/ingestion/document/{name}/")
        _has_no_barrier(page)


def test_without_scripts_the_form_sends_all_files_at_once(arrive: Arrive) -> None:
    word = uuid.uuid4().hex[:8]
    librarian = arrive(width=360, javascript=False)
    librarian.sign_in("librarian")
    page = librarian.visit("/admin/ingestion/document/upload/")
    texts = {f"{word}-{number}.md": f"# {word} {number}" for number in range(2)}
    page.locator("input.file-drop").set_input_files(
        [{"name": name, "mimeType": "text/markdown", "buffer": text.encode()} for name, text in texts.items()]
    )
    page.get_by_label("Type").select_option(label="Guide")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("#upload-summary")).to_contain_text("of 2 ready")
    for name in texts:
        expect(page.locator("body")).to_contain_text(name)


HIDE = """(is) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => is });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_page_that_nobody_looks_at_rests_until_somebody_does(arrive: Arrive) -> None:
    word = uuid.uuid4().hex[:8]
    librarian = arrive()
    librarian.sign_in("librarian")
    page = librarian.visit("/admin/ingestion/document/upload/")
    page.evaluate(DROP, [(f"{word}-{number}.md", f"# {word} {number}\n\n{'lamp ' * 400}") for number in range(6)])
    page.get_by_label("Type").select_option(label="Guide")
    page.get_by_role("button", name="Upload", exact=True).click()
    # What has been sent leads to the page of the upload by itself.
    expect(page.locator("#upload-summary")).to_contain_text("in progress")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "hx-request" in request.headers else None)
    page.evaluate(HIDE, True)
    page.wait_for_timeout(5000)  # two of its rounds
    assert asked == []
    page.evaluate(HIDE, False)
    expect(page.locator("#upload-summary")).to_have_text("6 of 6 ready.", timeout=READY_SECONDS * 1000)
    assert asked


def test_a_session_that_ends_midway_costs_nothing(arrive: Arrive) -> None:
    word = uuid.uuid4().hex[:8]
    librarian = arrive()
    librarian.sign_in("librarian")
    page = librarian.visit("/admin/ingestion/document/upload/")
    # The first that a stranger sends is so large that it would be refused for its size.
    files = [(f"{word}-{number}.md", f"# {word} {number}") for number in range(5)]
    files[2] = (f"{word}-2.pdf", f"%PDF-1.4 {word}{'x' * 2_000_000}")
    page.evaluate(DROP, files)
    page.get_by_label("Type").select_option(label="Guide")
    sent = iter(range(5))

    def sign_out_after_two(route: Route) -> None:
        if next(sent, 5) == 2:
            librarian.context.clear_cookies()
        route.continue_()

    page.route("**/file/", sign_out_after_two)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("#sending-stopped")).to_contain_text("You are not signed in any more")
    _has_no_barrier(page)
    with librarian.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in in another window").click()
    other = opened.value
    password = other.locator("#demo-password").inner_text()
    other.get_by_label("User name", exact=True).fill("librarian")
    other.get_by_label("Password", exact=True).fill(password)
    other.get_by_role("main").get_by_role("button", name="Sign in").click()
    # Where nobody presses anything: the first window goes on by itself, and leads to the page of the upload.
    expect(page.locator("#upload-summary")).to_contain_text("of 5 ready")


def test_the_page_of_a_document_and_the_home_page_keep_themselves_up_to_date(arrive: Arrive) -> None:
    word = uuid.uuid4().hex[:8]
    librarian = arrive()
    librarian.sign_in("librarian")
    page = librarian.visit("/admin/ingestion/document/upload/")
    # Enough that it is still worked on when the pages have been opened; passages that are alike are embedded once.
    text = " ".join(f"lamp{number}" for number in range(15_000))
    page.locator("input.file-drop").set_input_files(
        {"name": f"{word}.md", "mimeType": "text/markdown", "buffer": f"# {word}\n\n{text}".encode()}
    )
    page.get_by_label("Type").select_option(label="Guide")
    page.get_by_role("button", name="Upload", exact=True).click()
    page.get_by_role("link", name=word).first.click()
    expect(page.locator("#state .state")).to_have_text(re.compile("queued|reading|embedding"))
    document = page.url.split("/")[-3]
    home = librarian.context.new_page()
    home.goto(librarian.portal.address("/admin/"))
    expect(home.locator(f"#working-{document}")).to_be_visible()
    expect(page.get_by_text("Show the page anew")).to_be_visible(timeout=READY_SECONDS * 1000)
    expect(home.locator(f"#working-{document}")).to_have_count(0, timeout=READY_SECONDS * 1000)
    expect(home.locator("#figure-ready")).to_be_visible()
