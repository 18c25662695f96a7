"""What is mine, in a browser: saving and being told, with and without JavaScript, by keyboard, for everyone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from portal.tests.browser.conftest import START_SECONDS, Arrive, Visitor
from portal.tests.browser.test_accessibility import RULES

pytestmark = pytest.mark.timeout(START_SECONDS + 120)

PAGES = {
    "/mine/": "New for me",
    "/mine/searches/": "Saved searches",
    "/mine/searches/new/?q=library+opening+hours&language=en": "Save this search",
    "/mine/documents/": "Saved documents",
    "/mine/history/": "Search history",
    "/accounts/profile/": "What I see and prefer",
    "/mine/data/": "My data",
}


def _forget_everything(visitor: Visitor) -> None:
    """A clean table: the tests share one person."""
    page = visitor.visit("/mine/data/")
    page.get_by_label("Yes, erase what is mine").check()
    page.get_by_role("button", name="Erase my data").click()
    expect(page.get_by_role("status")).to_contain_text("erased")


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_search_and_a_document_are_saved_found_again_and_removed(
    arrive: Arrive, width: int, javascript: bool
) -> None:
    visitor = arrive(width=width, javascript=javascript)
    visitor.sign_in("student")
    _forget_everything(visitor)
    page = visitor.visit("/search/?q=library")
    title = visitor.titles()[0]
    hit = page.locator(".hit").first
    hit.get_by_role("button", name=f"Save {title}", exact=True).click()
    expect(page.locator(".hit").first.locator(".keep button")).to_contain_text("Saved")
    page.get_by_role("link", name="Save this search").click()
    page.get_by_label("Name").fill("All about the library")
    page.get_by_label("here, in Cloister").check()
    page.get_by_label("every Monday").check()
    page.get_by_role("main").get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".mine-list")).to_contain_text("All about the library")
    expect(page.locator(".mine-list")).to_contain_text("here, in Cloister, every Monday")
    page.get_by_role("main").get_by_role("link", name="All about the library", exact=True).click()
    expect(page.locator(".hit").first).to_be_visible()
    visitor.visit("/mine/documents/")
    expect(page.get_by_role("heading", level=2)).to_have_text([title])
    page.get_by_role("heading", level=2).get_by_role("link").click()
    page.locator(".keep button").click()
    expect(page.locator(".keep button")).to_contain_text("Save")
    visitor.visit("/mine/documents/")
    expect(page.get_by_role("main")).to_contain_text("You have saved no document yet")
    visitor.visit("/mine/searches/")
    page.get_by_role("button", name="Remove All about the library").click()
    expect(page.get_by_role("main")).to_contain_text("You have saved no search yet")


def test_the_menu_leads_to_the_history_by_keyboard_which_is_forgotten_there(arrive: Arrive) -> None:
    visitor = arrive()
    visitor.sign_in("student")
    _forget_everything(visitor)
    visitor.visit("/")
    visitor.search("library opening hours")
    page = visitor.page
    page.get_by_role("button", name="Mine").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#mine-list")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#mine-list")).to_be_hidden()
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Search history")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".mine-list")).to_contain_text("library opening hours")
    page.get_by_role("button", name="Forget library opening hours").press("Enter")
    expect(page.locator(".mine-list")).to_have_count(0)
    page.get_by_role("button", name="Do not keep my searches").click()
    visitor.visit("/search/?q=password")
    visitor.visit("/mine/history/")
    expect(page.get_by_role("main")).to_contain_text("Your searches are not kept")
    expect(page.locator(".mine-list")).to_have_count(0)
    page.get_by_role("button", name="Keep my searches").click()


def test_the_export_is_a_file(arrive: Arrive, tmp_path: Path) -> None:
    visitor = arrive()
    visitor.sign_in("student")
    page = visitor.visit("/mine/data/")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download my data").click()
    downloading.value.save_as(tmp_path / "data.json")
    data = json.loads((tmp_path / "data.json").read_text(encoding="utf-8"))
    assert data["account"]["user_name"] == "student"


def test_no_page_of_mine_has_a_barrier(arrive: Arrive, width: int, theme: str) -> None:
    visitor = arrive(width=width, theme=theme)
    visitor.sign_in("student")
    visitor.visit("/search/?q=library")
    visitor.page.locator(".hit .keep button").first.click()
    for address, heading in PAGES.items():
        page = visitor.visit(address)
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
        assert found.violations_count == 0, f"{address}: {found.generate_report()}"
        spilled = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert spilled <= 0, f"{address} is {spilled} px wider than the window"
    page.get_by_role("button", name="Mine").click()
    found = Axe().run(page, context="#mine-list", options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, found.generate_report()
