"""Golden queries in a browser: one is added, asked now, and its figures come by themselves."""

from __future__ import annotations

import uuid

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from portal.tests.browser.conftest import START_SECONDS, Arrive
from portal.tests.browser.test_accessibility import RULES

# The first test of a run waits until the instance stands.
pytestmark = pytest.mark.timeout(START_SECONDS + 120)

RUN_MILLISECONDS = 30_000
"""A worker of a busy machine takes up a run within seconds."""


def test_a_golden_query_is_added_and_asked_at_once(arrive: Arrive, width: int) -> None:
    visitor = arrive(width=width)
    visitor.sign_in("admin")
    page = visitor.visit("/admin/search/goldenquery/add/")
    # The instance may be one that was here before.
    query = f"borrowing rules {uuid.uuid4().hex[:8]}"
    page.get_by_label("Query").fill(query)
    page.locator(".field-expected .select2-selection").click()
    page.keyboard.type("borrowing")
    page.locator(".select2-results__option", has_text="orrowing").first.click()
    _has_no_barrier(visitor.page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#result_list")).to_contain_text(query)

    page = visitor.visit("/admin/search/goldenquery/runs/")
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_role("heading", name="How the search does")).to_be_visible(timeout=RUN_MILLISECONDS)
    expect(page.get_by_role("button", name="Run now")).to_be_visible(timeout=RUN_MILLISECONDS)
    expect(page.get_by_role("region", name="Figures of the runs").locator("tbody tr").first).to_contain_text(".")
    _has_no_barrier(visitor.page)

    # A second run makes a line of two points.
    page.get_by_role("button", name="Run now").click()
    expect(page.locator(".history-chart")).to_be_visible(timeout=RUN_MILLISECONDS)
    expect(page.get_by_role("button", name="Run now")).to_be_visible(timeout=RUN_MILLISECONDS)
    _has_no_barrier(visitor.page)


def _has_no_barrier(page: Page) -> None:
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, found.generate_report()
    spilled = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert spilled <= 0, f"the page is {spilled} px wider than the window"
