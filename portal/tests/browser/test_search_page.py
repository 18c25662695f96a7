"""What the search page offers beside its field: order, dates, tips, keys, and what can be done with a hit."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from portal.tests.browser.conftest import START_SECONDS, Arrive

# The first test of a run waits until the instance stands.
pytestmark = pytest.mark.timeout(START_SECONDS + 120)


def days(page: Page) -> list[str]:
    """When the hits were last reviewed, in their order."""
    return [one.get_attribute("datetime") or "" for one in page.locator(".hit .meta time").all()]


def unfold(page: Page, width: int) -> None:
    if width < 900:
        page.locator(".facets-fold > summary").click()


def test_keys_alone_lead_to_tips_to_a_hit_and_into_it(arrive: Arrive) -> None:
    page = arrive().visit("/search/?q=library")
    page.locator("body").press("?")
    expect(page.locator("#search-tips")).to_have_attribute("open", "")
    expect(page.locator("#search-tips summary")).to_be_focused()
    expect(page.get_by_text("Go to the next or the previous result")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#search-tips")).not_to_have_attribute("open", "")
    expect(page.locator("#q")).to_be_focused()

    page.evaluate("document.activeElement.blur()")
    titles = page.locator(".hit h2 a")
    page.keyboard.press("ArrowDown")
    expect(titles.nth(0)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(titles.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#q")).to_be_focused()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowDown")
    wanted = titles.nth(0).inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(wanted)


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_the_order_and_the_dates_can_be_chosen_and_shared(arrive: Arrive, width: int, javascript: bool) -> None:
    visitor = arrive(width=width, javascript=javascript)
    page = visitor.visit("/search/?q=policy")
    page.get_by_role("link", name="Newest first").click()
    expect(page).to_have_url(re.compile("sort=newest"))
    expect(page.locator(".sorts [aria-current]")).to_have_text("Newest first")
    assert days(page) == sorted(days(page), reverse=True)

    unfold(page, width)
    page.get_by_role("link", name="In the last two years").click()
    expect(page.locator(".chip")).to_contain_text("from ")
    assert min(days(page)) >= (datetime.now(UTC).date() - timedelta(days=732)).isoformat()
    shared = page.url
    titles = visitor.titles()
    another = arrive(width=width, javascript=javascript)
    another.page.goto(shared)
    assert another.titles() == titles

    unfold(page, width)
    page.get_by_text("Between two days").click()
    page.get_by_label("From").fill("2026-01-01")
    page.get_by_label("Before", exact=True).fill("2026-07-01")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".chip")).to_have_count(2)
    expect(page).to_have_url(re.compile("sort=newest"))
    assert all("2026-01-01" <= day < "2026-07-01" for day in days(page))


def test_a_campus_that_is_preferred_is_told_and_can_be_all_there_is(arrive: Arrive) -> None:
    student = arrive()
    student.sign_in("student")
    page = student.search("laboratory safety")
    expect(page.locator(".nearby")).to_contain_text("King's Buildings")
    page.locator(".nearby").get_by_role("link", name="Only these").click()
    expect(page.locator(".chip")).to_contain_text("King's Buildings")
    expect(page.locator(".nearby")).to_have_count(0)


def test_the_counts_of_facets_hold_when_they_are_chosen(arrive: Arrive) -> None:
    page = arrive().visit("/search/?q=library+book&mode=keyword")
    facet = page.locator("#facet-doc_type ~ ul .facet-value")
    promised = [int(one.inner_text().split()[0]) for one in facet.locator(".facet-count").all()]
    facet.nth(0).click()
    expect(page.locator("#result-count strong")).to_have_text(str(promised[0]))
    # The other values stay, and add to it.
    facet.nth(1).click()
    expect(page.locator("#result-count strong")).to_have_text(str(promised[0] + promised[1]))


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_a_hit_can_be_cited_and_judged(arrive: Arrive, width: int, javascript: bool) -> None:
    student = arrive(width=width, javascript=javascript)
    student.sign_in("student")
    page = student.search("lecture recording policy")
    hit = page.locator(".hit").first
    hit.get_by_role("button", name="Yes").click()
    said = page.get_by_text("Thank you.")
    expect(said.first).to_be_visible()
    expect(page.locator("#q")).to_have_value("lecture recording policy")
    page.locator(".hit .cite > summary").nth(1).click()
    expect(page.locator(".hit .cite").nth(1).get_by_role("link", name="BibTeX")).to_be_visible()


def test_the_link_of_a_hit_is_copied(arrive: Arrive) -> None:
    visitor = arrive()
    visitor.context.grant_permissions(["clipboard-write"])
    page = visitor.visit("/")
    visitor.search("lecture recording policy")
    page.locator(".hit").first.get_by_role("button", name="Copy the link").click()
    expect(page.locator("#announcement")).to_have_text("Copied")
    # Pages may not read what was copied, so it is pasted.
    page.locator("#q").fill("")
    page.locator("#q").press("Control+v")
    expect(page.locator("#q")).to_have_value(re.compile(rf"^{re.escape(visitor.portal.url)}/documents/[0-9a-f-]+/$"))
