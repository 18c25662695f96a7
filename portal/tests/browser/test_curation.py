"""Best bets, synonyms and the parts of a score in a browser, from the search page to the desk and back."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from portal.tests.browser.conftest import START_SECONDS, Arrive
from portal.tests.browser.test_golden import _has_no_barrier

# The first test of a run waits until the instance stands.
pytestmark = pytest.mark.timeout(START_SECONDS + 120)


def test_a_librarian_pins_a_hit_and_readers_see_it_first(arrive: Arrive, width: int) -> None:
    desk, reader = arrive(width=width), arrive(width=width, theme="dark")
    desk.sign_in("librarian")
    # The instance may be one that was here before.
    asked = f"borrowing books {uuid.uuid4().hex[:8]}"
    desk.search(asked)
    second = desk.page.locator(".hit").nth(1)
    title = second.locator("h2").inner_text()
    _has_no_barrier(desk.page)
    second.get_by_role("link", name="Pin for this search").click()
    expect(desk.page.get_by_label("Queries")).to_have_value(asked)
    _has_no_barrier(desk.page)
    desk.page.get_by_role("button", name="Save", exact=True).click()
    expect(desk.page.locator("#result_list")).to_contain_text(asked)
    _has_no_barrier(desk.page)

    reader.visit("/")
    reader.search(f"Borrowing  Books, {asked.split()[-1]}!")
    first = reader.page.locator(".hit").first
    expect(first.locator("h2")).to_have_text(title)
    expect(first.locator(".chosen")).to_have_text("Chosen by the library")
    expect(reader.page.locator(".chosen")).to_have_count(1)
    expect(reader.page.get_by_role("link", name="Pin for this search")).to_have_count(0)
    _has_no_barrier(reader.page)

    _delete(desk.visit("/admin/search/bestbet/"), asked)
    reader.search(asked)
    expect(reader.page.locator(".chosen")).to_have_count(0)


def test_a_librarian_writes_synonyms_and_tries_them(arrive: Arrive, width: int) -> None:
    visitor = arrive(width=width)
    visitor.sign_in("librarian")
    word = f"zz{uuid.uuid4().hex[:8]}"
    page = visitor.visit("/admin/search/synonymgroup/add/")
    page.get_by_label("Words").fill(f"{word}\nlecture recording")
    _has_no_barrier(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#result_list")).to_contain_text(f"{word} = lecture recording")
    _has_no_barrier(page)
    page.get_by_role("link", name="Try a query").first.click()
    page.get_by_role("textbox", name="Query").fill(f"where is the {word}?")
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.get_by_role("heading", name="It is given lecture recording")).to_be_visible()
    _has_no_barrier(page)

    visitor.visit(f"/search/?mode=keyword&q={word}")
    expect(page.locator(".hit").first).to_be_visible()
    expect(page.locator(".hit mark").first).to_be_visible()
    _delete(visitor.visit("/admin/search/synonymgroup/"), word)
    visitor.visit(f"/search/?mode=keyword&q={word}")
    expect(page.locator(".hit")).to_have_count(0)


def test_an_administrator_opens_the_parts_of_a_score(arrive: Arrive, width: int, theme: str) -> None:
    visitor = arrive(width=width, theme=theme)
    visitor.sign_in("admin")
    visitor.search("how many books may I borrow")
    hit = visitor.page.locator(".hit").first
    hit.get_by_text("Why is this here?").click()
    expect(hit.get_by_role("rowheader", name="Meaning")).to_be_visible()
    expect(hit.locator("tfoot")).to_contain_text("0.")
    assert "/search/why/" not in visitor.page.url, "the page stays what it was"
    _has_no_barrier(visitor.page)

    plain = arrive(width=width, theme=theme, javascript=False)
    plain.sign_in("admin")
    plain.visit("/search/?q=how+many+books+may+I+borrow")
    plain.page.get_by_text("Why is this here?").first.click()
    plain.page.get_by_role("link", name="The parts of its score").first.click()
    expect(plain.page.get_by_role("rowheader", name="Meaning")).to_be_visible()


def test_a_list_goes_out_and_comes_in_again(arrive: Arrive, width: int, tmp_path: Path) -> None:
    visitor = arrive(width=width)
    visitor.sign_in("librarian")
    word = f"zz{uuid.uuid4().hex[:8]}"
    table = tmp_path / "synonyms.csv"
    table.write_text(f"words,one_way,note\n{word} | lecture recording,no,\n", encoding="utf-8")
    page = visitor.visit("/admin/search/synonymgroup/import/")
    _has_no_barrier(page)
    page.get_by_role("button", name="File").set_input_files(table)
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("heading", name="1 line would be imported")).to_be_visible()
    _has_no_barrier(page)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator("#result_list")).to_contain_text(word)
    _delete(page, word)


def _delete(page: Page, name: str) -> None:
    page.locator("#result_list").get_by_role("link", name=name).first.click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Yes, I’m sure").click()
    expect(page.get_by_text("successfully")).to_be_visible()
