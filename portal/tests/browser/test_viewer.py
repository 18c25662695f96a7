"""The viewer of PDFs: at the passage, by keyboard, in a long document; and the text where there is no viewer."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from portal.tests.browser.conftest import START_SECONDS, Arrive, Portal, Visitor, wait_until
from portal.tests.browser.test_accessibility import RULES

# The first test of a run waits until the instance stands.
pytestmark = pytest.mark.timeout(START_SECONDS + 120)

LONG = 619
"""Pages of the long document."""

PAYLOAD = "<img src=x onerror=alert(1)><script>alert(1)</script>"
ELSEWHERE = "https://elsewhere.example/"


def pdf(pages: list[str], *, catalog: str = "", page: str = "", info: str = "") -> bytes:
    """A PDF with a line of text a page, and what else is written into its catalogue, pages and description."""
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>".encode(),
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< {info} >>".encode(),
    ]
    for number, text in enumerate(pages):
        escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        stream = zlib.compress(f"BT /F 14 Tf 60 780 Td ({escaped}) Tj ET".encode())
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {6 + 2 * number} 0 R "
            f"/Resources << /Font << /F 3 0 R >> >> {page} >>".encode()
        )
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(stream), stream))
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        len(out),
    )
    return out + b"xref\n0 %d\n0000000000 65535 f \n%b%b" % (len(objects) + 1, table, trailer)


Upload = Callable[..., str]


@dataclass
class Library:
    """What the librarian uploaded in this run: name -> id. Each file is taken in once."""

    portal: Portal
    kept: dict[str, str] = field(default_factory=dict)

    def add(self, visitor: Visitor, name: str, content: bytes, title: str = "") -> str:
        """The id of the document, once it can be read."""
        if name in self.kept:
            return self.kept[name]
        request = visitor.context.request
        visitor.visit("/accounts/login/")
        password = visitor.page.locator("#demo-password").inner_text()
        signed_in = request.post(
            self.portal.address("/api/v1/token/"), data={"username": "librarian", "password": password}
        )
        bearer = {"Authorization": f"Bearer {signed_in.json()['access']}"}
        said = {
            "department": "Library",
            "doc_type": "guide",
            "clearance": "1",
            "audience": "institution",
            "language": "en",
        }
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        taken = request.post(
            self.portal.address("/api/v1/documents/"), multipart={**said, "title": title, "file": file}, headers=bearer
        )
        # 409: an instance at CLOISTER_TEST_URL has it from an earlier run.
        assert taken.status in (202, 409), taken.text()
        self.kept[name] = taken.json().get("existing") or taken.json()["id"]
        address = self.portal.address(f"/api/v1/documents/{self.kept[name]}/")

        def readable() -> bool:
            state: dict[str, Any] = request.get(address, headers=bearer).json()
            assert state["status"] != "failed", state["error"]
            return state["chunk_count"] > 0 and request.get(address).ok

        wait_until(readable, seconds=120, what=f"reading {name}")
        return self.kept[name]


@pytest.fixture(scope="package")
def library(portal: Portal) -> Library:
    return Library(portal)


@pytest.fixture
def long_document(arrive: Arrive, library: Library) -> str:
    pages = [f"Page {number} of the long report is about drawer {number}." for number in range(1, LONG + 1)]
    return library.add(arrive(), "long.pdf", pdf(pages), "The long report")


def shown_page(page: Page) -> str:
    """The number in the viewer's field."""
    return page.locator("#page-number").input_value()


def drawn(page: Page) -> int:
    """How many pages are drawn."""
    return page.locator(".viewer-page.drawn").count()


def test_a_hit_opens_the_pdf_at_its_page_with_the_passage_marked(arrive: Arrive, width: int) -> None:
    student = arrive(width=width)
    student.sign_in("student")
    page = student.search("Who may see the recording of my lecture?")
    page.locator(".hit").get_by_role("link", name="Lecture Recording Policy").first.click()
    expect(page.locator("#viewer[data-ready]")).to_be_visible()
    number = re.search(r"[?&]page=(\d+)", page.url)
    assert number is not None
    marks = page.locator(f'.viewer-page[data-number="{number[1]}"] .viewer-marks div')
    expect(marks.first).to_be_in_viewport()
    expect(page.locator(".reading")).to_be_hidden()
    expect(page.locator("#viewer-status")).to_contain_text(f"Page {number[1]} / ")
    # What is marked is the passage: its words stand in the text that is selected there.
    expect(page.locator(f'.viewer-page[data-number="{number[1]}"] .textLayer')).to_contain_text("recording")

    page.get_by_role("link", name="Read as text").click()
    expect(page.locator(".opened-passage")).to_be_in_viewport()
    page.get_by_role("link", name="See the pages").click()
    expect(marks.first).to_be_in_viewport()


def test_without_scripts_its_text_is_read_by_page(arrive: Arrive, width: int, long_document: str) -> None:
    reader = arrive(width=width, javascript=False)
    page = reader.visit(f"/documents/{long_document}/?page=300#page-300")
    expect(page.locator(".reading")).to_be_visible()
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.get_by_text("about drawer 300.")).to_be_visible()
    page.get_by_label("Find in this document").fill("DRAWER 41")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("#places-heading")).to_contain_text("11 times")
    page.locator("#places a").first.click()
    expect(page.locator(".opened-passage mark").first).to_have_text("drawer 41")


def test_of_a_long_document_only_what_is_read_is_drawn(arrive: Arrive, long_document: str) -> None:
    reader = arrive()
    fetched: list[str] = []
    reader.page.on("response", lambda answer: fetched.append(answer.url) if answer.url.endswith("/file") else None)
    begun = time.monotonic()
    page = reader.visit(f"/documents/{long_document}/?page=300")
    expect(page.locator('.viewer-page[data-number="300"].drawn')).to_be_in_viewport(timeout=30_000)
    took = time.monotonic() - begun
    assert shown_page(page) == "300"
    expect(page.locator(".viewer-page")).to_have_count(LONG)
    assert drawn(page) <= 6, f"{drawn(page)} pages are drawn"
    for _ in range(20):
        page.mouse.wheel(0, 3000)
        page.wait_for_timeout(30)
    expect(page.locator(".viewer-page.drawn").first).to_be_attached()
    assert drawn(page) <= 15, f"{drawn(page)} pages are kept"
    assert int(shown_page(page)) > 310
    assert f"page={shown_page(page)}" in page.url, "the address names the page that is read"
    assert took < 30


def test_by_keyboard_alone(arrive: Arrive, long_document: str) -> None:
    reader = arrive()
    page = reader.visit(f"/documents/{long_document}/")
    expect(page.locator("#viewer[data-ready]")).to_be_visible()
    field = page.get_by_label("Page", exact=True)
    field.focus()
    field.press_sequentially("41")
    field.press("Enter")
    expect(page.locator('.viewer-page[data-number="41"]')).to_be_in_viewport()
    page.get_by_role("button", name="Page after").press("Enter")
    expect(field).to_have_value("42")
    expect(page.locator("#viewer-status")).to_contain_text(f"Page 42 / {LONG}")

    column = page.locator("#viewer-pages")
    column.focus()
    assert column.evaluate("(one) => getComputedStyle(one).outlineStyle") == "solid"
    page.keyboard.press("ArrowRight")
    expect(field).to_have_value("43")
    page.keyboard.press("ArrowLeft")
    expect(field).to_have_value("42")
    before = page.locator(".viewer-page").first.bounding_box()
    page.keyboard.press("+")
    expect(page.get_by_role("button", name="Fit width")).to_have_attribute("aria-pressed", "false")
    after = page.locator(".viewer-page").first.bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] > before["width"]
    expect(field).to_have_value("42")
    page.keyboard.press("0")
    expect(page.get_by_role("button", name="Fit width")).to_have_attribute("aria-pressed", "true")


def test_what_is_looked_for_is_marked_place_after_place(arrive: Arrive, width: int, long_document: str) -> None:
    reader = arrive(width=width)
    page = reader.visit(f"/documents/{long_document}/?page=500")
    expect(page.locator("#viewer[data-ready]")).to_be_visible()
    field = page.get_by_label("Find in this document")
    field.fill("drawer 60")
    field.press("Enter")
    expect(page.locator("#places-heading")).to_contain_text("11 times")
    expect(page.locator('.viewer-page[data-number="600"] .viewer-marks div').first).to_be_in_viewport()
    assert "in=drawer+60" in page.url
    at = page.locator("#found-at").inner_text()
    field.press("Enter")
    expect(page.locator("#found-at")).not_to_have_text(at)
    field.fill("no such words")
    field.press("Enter")
    expect(page.locator("#places-heading")).to_contain_text("does not stand in this document")
    expect(page.locator(".viewer-marks div")).to_have_count(0)


def test_a_file_that_is_broken_for_the_viewer_is_read_as_text(arrive: Arrive, long_document: str) -> None:
    reader = arrive()
    reader.page.route("**/file", lambda route: route.fulfill(body=b"%PDF-1.4 and nothing else", status=200))
    page = reader.visit(f"/documents/{long_document}/?page=300")
    expect(page.locator("#viewer-trouble")).to_contain_text("cannot be shown here")
    expect(page.get_by_text("about drawer 300.")).to_be_in_viewport()
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.get_by_role("button", name="Page after")).to_be_hidden()


def test_nobody_meets_a_barrier_in_the_viewer(arrive: Arrive, width: int, theme: str) -> None:
    reader = arrive(width=width, theme=theme)
    reader.sign_in("student")
    page = reader.visit("/search/?q=lecture+recording+policy")
    address = page.locator(".hit").get_by_role("link", name="Lecture Recording Policy").first.get_attribute("href")
    page = reader.visit(f"{address}".replace("#", "&in=recording#"))
    expect(page.locator(".viewer-page.drawn").first).to_be_attached()
    expect(page.locator(".viewer-marks div").first).to_be_attached()
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, found.generate_report()
    spilled = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert spilled <= 0, f"the page is {spilled} px wider than the window"


HOSTILE_PDF = pdf(
    [f"{PAYLOAD} harmless words of the page", "and another page"],
    catalog='/OpenAction << /S /JavaScript /JS (app.alert\\(1\\); this.submitForm\\("' + ELSEWHERE + '"\\)) >> '
    "/AA << /WC << /S /JavaScript /JS (app.alert\\(2\\)) >> >> "
    "/Names << /JavaScript << /Names [(x) << /S /JavaScript /JS (app.alert\\(3\\)) >>] >> >>",
    page="/AA << /O << /S /JavaScript /JS (app.alert\\(4\\)) >> >> /Annots ["
    "<< /Type /Annot /Subtype /Link /Rect [50 700 200 760] /A << /S /URI /URI (javascript:alert\\(5\\)) >> >> "
    "<< /Type /Annot /Subtype /Link /Rect [50 600 200 660] /A << /S /JavaScript /JS (app.alert\\(6\\)) >> >> "
    "<< /Type /Annot /Subtype /Link /Rect [50 500 200 560] /A << /S /Launch /F (calc.exe) >> >> "
    "<< /Type /Annot /Subtype /Link /Rect [50 400 200 460] /A << /S /SubmitForm /F (" + ELSEWHERE + ") >> >> "
    "<< /Type /Annot /Subtype /Widget /FT /Btn /T (b) /Rect [50 300 200 360] "
    "/A << /S /JavaScript /JS (app.alert\\(7\\)) >> >>"
    " "
    "<< /Type /Annot /Subtype /Link /Rect [50 200 200 260] /A << /S /URI /URI (" + ELSEWHERE + ") >> >>]",
    info="/Title (" + PAYLOAD.replace("(", "\\(").replace(")", "\\)") + ") /Author (<svg onload=alert\\(8\\)>)",
)
HOSTILE_HTML = (
    f"<html><head><title>{PAYLOAD}</title><meta name=author content='\"><svg onload=alert(1)>'>"
    f"<meta http-equiv=refresh content='0;url={ELSEWHERE}'><base href={ELSEWHERE}></head><body onload=alert(2)>"
    f"<h1>&lt;script&gt;alert(3)&lt;/script&gt;</h1>"
    f"<p>Harmless words &lt;img src={ELSEWHERE}x.png onerror=alert(4)&gt;</p>"
    f"<img src={ELSEWHERE}y.png onerror=alert(5)><iframe src={ELSEWHERE}></iframe><a href=javascript:alert(6)>click</a>"
    f"<form action={ELSEWHERE}><input autofocus onfocus=alert(7)></form><script>alert(8)</script>"
    f"<p>[link](javascript:alert(9)) ![picture]({ELSEWHERE}z.png)</p></body></html>"
).encode()
HOSTILE = {
    "hostile.pdf": HOSTILE_PDF,
    "'\"><svg onload=alert(1)>.html": HOSTILE_HTML,
    "hostile.md": (
        f"# {PAYLOAD}\n\nHarmless words. [x](javascript:alert(1)) ![x]({ELSEWHERE}x.png)\n\n{PAYLOAD}"
    ).encode(),
}


@pytest.mark.parametrize("name", HOSTILE, ids=["pdf", "html", "markdown"])
def test_a_hostile_document_runs_nothing_and_asks_for_nothing_elsewhere(
    arrive: Arrive, library: Library, name: str
) -> None:
    """However it is read: as pages, as text, found, looked through, clicked on, signed in."""
    reader = arrive()
    document = library.add(reader, name, HOSTILE[name], PAYLOAD)
    asked: list[str] = []
    dialogs: list[str] = []
    reader.sign_in("librarian")
    reader.context.on("request", lambda request: asked.append(request.url))
    reader.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for path in (
        f"/documents/{document}/",
        f"/documents/{document}/?view=text",
        f"/documents/{document}/?in=alert&q=%3Cscript%3E",
        "/search/?q=harmless+words",
    ):
        page = reader.visit(path)
        if page.locator("#viewer").count():
            expect(page.locator("#viewer[data-ready]")).to_be_visible()
            expect(page.locator(".viewer-page.drawn").first).to_be_attached()
            links = page.locator(".viewer-links a").evaluate_all("(all) => all.map((one) => one.getAttribute('href'))")
            assert set(links) == {ELSEWHERE}, "of what a PDF can do, links to the web are left"
        page.wait_for_timeout(200)
        assert page.locator("main :is(iframe, img, object, embed, svg)").count() == 0
        assert page.evaluate("document.querySelectorAll('main [onerror], main [onload], main script').length") == 0
    assert not dialogs
    outwards = [address for address in asked if not address.startswith((reader.portal.url, "data:", "blob:"))]
    assert not outwards, json.dumps(outwards)
