"""Looking as somebody else, and the question before who sees a document changes: in a browser, for everyone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from portal.tests.browser.conftest import START_SECONDS, Arrive, Visitor
from portal.tests.browser.test_accessibility import RULES

# The first test of a run waits until the instance stands.
pytestmark = pytest.mark.timeout(START_SECONDS + 120)

BORROWING = "library borrowing rules"


def _look_as(visitor: Visitor, role: str, *departments: str) -> None:
    page = visitor.visit("/see-as/")
    page.get_by_label(role, exact=True).check()
    for department in departments:
        page.get_by_label(department, exact=True).check()
    page.get_by_role("button", name="See Cloister as this").click()
    expect(page.locator(".seeing")).to_be_visible()


def _desk_page(visitor: Visitor) -> Page:
    """The desk's page of the library's borrowing rules."""
    visitor.visit("/")
    visitor.search(BORROWING)
    visitor.page.locator(".hit h2 a").first.click()
    visitor.page.get_by_role("link", name="Edit in the admin").click()
    expect(visitor.page.get_by_role("heading", name="Who can see it")).to_be_visible()
    return visitor.page


def _form(visitor: Visitor) -> None:
    visitor.sign_in("librarian")
    visitor.visit("/see-as/")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("See as somebody else")


def _person(visitor: Visitor) -> None:
    visitor.sign_in("admin")
    visitor.visit("/see-as/")
    visitor.page.get_by_role("link", name="Choose a person").click()
    visitor.page.get_by_label("Name or user name").fill("student")
    visitor.page.get_by_role("button", name="Look").click()
    expect(visitor.page.locator(".people li").first).to_be_visible()


def _looking(visitor: Visitor) -> None:
    visitor.sign_in("librarian")
    _look_as(visitor, "academic", "Library", "HR")
    visitor.search(BORROWING)
    expect(visitor.page.locator(".hit").first).to_be_visible()


def _looking_document(visitor: Visitor) -> None:
    _looking(visitor)
    visitor.page.locator(".hit h2 a").first.click()
    expect(visitor.page.locator(".reading, #viewer[data-ready]").locator("visible=true").first).to_be_visible()


def _closed_desk(visitor: Visitor) -> None:
    visitor.sign_in("librarian")
    _look_as(visitor, "student")
    visitor.visit("/admin/")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("You are looking as somebody else")


def _refused(visitor: Visitor) -> None:
    visitor.sign_in("librarian")
    other = visitor.context.new_page()
    other.goto(visitor.portal.address("/see-as/"))
    _look_as(visitor, "student")
    other.get_by_role("button", name="See Cloister as this").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("You are only looking")
    visitor.page = other


def _curated(visitor: Visitor) -> None:
    visitor.sign_in("librarian")
    visitor.search(BORROWING)
    visitor.page.locator(".hit h2 a").first.click()
    expect(visitor.page.locator(".curator")).to_contain_text("Who can see it")


PORTAL_PAGES = [_form, _person, _looking, _looking_document, _closed_desk, _refused, _curated]


def _desk_document(visitor: Visitor) -> None:
    visitor.sign_in("librarian")
    _desk_page(visitor)


def _desk_readers(visitor: Visitor) -> None:
    visitor.sign_in("admin")
    page = _desk_page(visitor)
    page.get_by_label("Can a certain person see it?").fill("student")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name=re.compile("^Yes, "))).to_be_visible()


def _desk_question(visitor: Visitor) -> None:
    visitor.sign_in("librarian")
    page = _desk_page(visitor)
    page.get_by_label("Clearance", exact=False).first.select_option("3")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("button", name="Yes, change it")).to_be_visible()


DESK_PAGES = [_desk_document, _desk_readers, _desk_question]


@pytest.mark.parametrize("go", PORTAL_PAGES + DESK_PAGES, ids=lambda go: go.__name__.strip("_"))
def test_no_page_has_a_barrier(arrive: Arrive, width: int, theme: str, go: Callable[[Visitor], None]) -> None:
    visitor = arrive(width=width, theme=theme)
    go(visitor)
    found = Axe().run(visitor.page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, found.generate_report()
    spilled = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert spilled <= 0, f"the page is {spilled} px wider than the window"
    # As it was sent: what PDF.js draws has styles of its own, given through the DOM, which the policy allows.
    sent = visitor.context.request.get(visitor.page.url).text()
    assert not re.search(r"<style|<[^>]*\sstyle=|<script(?![^>]*\ssrc=)", sent) or go in DESK_PAGES


def test_a_keyboard_alone_begins_and_ends_it(arrive: Arrive) -> None:
    visitor = arrive()
    visitor.sign_in("librarian")
    page = visitor.visit("/see-as/")
    page.get_by_label("student", exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.get_by_role("button", name="See Cloister as this").focus()
    page.keyboard.press("Enter")
    status = page.locator(".seeing").get_by_role("status")
    expect(status).to_contain_text("You are looking at Cloister as staff without a department.")
    page.get_by_role("button", name="Be yourself again").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".seeing")).to_have_count(0)


def test_what_is_found_is_what_the_other_finds_and_typing_on_stays_so(arrive: Arrive) -> None:
    visitor = arrive()
    visitor.sign_in("librarian")
    _look_as(visitor, "somebody who is not signed in")
    visitor.search("travel expenses")
    seen = visitor.titles()
    somebody = arrive()
    somebody.visit("/")
    somebody.search("travel expenses")
    assert seen == somebody.titles()
    # It ends in another window: what is typed here then makes the whole page anew, without the banner.
    other = visitor.context.new_page()
    other.goto(visitor.portal.address("/"))
    other.get_by_role("button", name="Be yourself again").click()
    expect(other.locator(".seeing")).to_have_count(0)
    visitor.page.locator("#q").fill("borrowing")
    expect(visitor.page.locator(".seeing")).to_have_count(0)
    expect(visitor.page.locator("#q")).to_have_value("borrowing")


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_a_change_is_asked_about_and_taken_back_with_nothing_lost(arrive: Arrive, javascript: bool) -> None:
    visitor = arrive(javascript=javascript)
    visitor.sign_in("librarian")
    page = _desk_page(visitor)
    title = page.get_by_label("Title").input_value()
    page.get_by_label("Title").fill(f"{title}, typed")
    page.locator("#id_clearance").select_option("3")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Change who sees it?", exact=True)).to_be_visible()
    page.get_by_role("button", name="Back to the form").click()
    expect(page.get_by_label("Title")).to_have_value(f"{title}, typed")
    expect(page.locator("#id_clearance")).to_have_value("3")
    visitor.visit("/search/?q=" + BORROWING.replace(" ", "+"))
    assert title in visitor.titles()
