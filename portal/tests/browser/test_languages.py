"""The switch of languages in a real browser, and German's long words on a phone."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from portal.tests.browser.conftest import START_SECONDS, Arrive
from portal.tests.browser.test_accessibility import RULES

# The first test of a run waits until the instance stands.
pytestmark = pytest.mark.timeout(START_SECONDS + 120)

GERMAN_PAGES = (
    "/",
    "/search/?q=password&language=en&doc_type=guide",
    "/search/?q=password&language=xx",
    "/accounts/login/",
)


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
def test_whoever_chooses_a_language_stays_where_they_are_and_keeps_it(arrive: Arrive, javascript: bool) -> None:
    visitor = arrive(width=360, javascript=javascript)
    page = visitor.visit("/search/?q=password")
    button = page.get_by_role("button", name="Gàidhlig")
    button.focus()
    button.press("Enter")
    expect(page.locator("html")).to_have_attribute("lang", "gd")
    expect(page.locator("#q")).to_have_value("password")
    assert page.url.endswith("/search/?q=password")
    visitor.visit("/")
    expect(page.get_by_role("button", name="Lorg", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Gàidhlig")).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Search", exact=True)).to_be_visible()


def test_german_fits_on_a_phone_and_is_for_everyone(arrive: Arrive, theme: str) -> None:
    visitor = arrive(width=360, theme=theme)
    page = visitor.visit("/")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("button", name="Suchen", exact=True)).to_be_visible()
    for path in GERMAN_PAGES:
        visitor.visit(path)
        expect(page.locator("html")).to_have_attribute("lang", "de")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
        assert found.violations_count == 0, found.generate_report()
