"""Every page for everyone: axe finds nothing, nothing spills over the edge, and the policy against scripts holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from portal.tests.browser.conftest import START_SECONDS, Arrive, Visitor

# The first test of a run waits until the instance stands.
pytestmark = pytest.mark.timeout(START_SECONDS + 120)

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def _start(visitor: Visitor) -> None:
    visitor.visit("/")


def _results(visitor: Visitor) -> None:
    visitor.sign_in("student")
    visitor.search("library")
    expect(visitor.page.locator(".hit").first).to_be_visible()
    if visitor.page.locator(".facets-fold > summary").is_visible():
        visitor.page.locator(".facets-fold > summary").click()
    for fold in visitor.page.locator(".more-passages > summary, .cite > summary, .tips > summary").all():
        fold.click()


def _filtered(visitor: Visitor) -> None:
    visitor.visit("/search/?q=password&language=en&doc_type=guide")
    expect(visitor.page.locator(".chip").first).to_be_visible()


def _nothing(visitor: Visitor) -> None:
    visitor.visit("/search/?q=password&language=xx&campus=Nowhere")


def _invalid(visitor: Visitor) -> None:
    visitor.visit("/search/?q=%3F")


def _document(visitor: Visitor) -> None:
    visitor.sign_in("student")
    visitor.search("lecture recording policy")
    visitor.page.locator(".hit h2 a").first.click()
    expect(visitor.page.locator(".viewer-marks div").first).to_be_visible()
    visitor.page.get_by_role("link", name="Read as text").click()
    expect(visitor.page.locator(".opened-passage")).to_be_visible()


def _table(visitor: Visitor) -> None:
    visitor.visit("/search/?q=key+dates+academic+year")
    visitor.page.locator(".hit h2 a").first.click()
    expect(visitor.page.locator(".reading")).to_be_visible()


def _curated(visitor: Visitor) -> None:
    visitor.sign_in("librarian")
    visitor.search("library borrowing rules")
    visitor.page.locator(".hit h2 a").first.click()
    expect(visitor.page.locator(".curator")).to_be_visible()


def _sign_in(visitor: Visitor) -> None:
    visitor.visit("/accounts/login/")


def _refused(visitor: Visitor) -> None:
    page = visitor.visit("/accounts/login/")
    page.get_by_label("User name", exact=True).fill("nobody")
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _unknown(visitor: Visitor) -> None:
    visitor.visit("/no/such/page/")


PAGES = [_start, _results, _filtered, _nothing, _invalid, _document, _table, _curated, _sign_in, _refused, _unknown]


@pytest.mark.parametrize("go", PAGES, ids=lambda go: go.__name__.strip("_"))
def test_no_page_has_a_barrier(arrive: Arrive, width: int, theme: str, go: Callable[[Visitor], None]) -> None:
    visitor = arrive(width=width, theme=theme)
    go(visitor)
    found = Axe().run(visitor.page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, found.generate_report()
    spilled = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert spilled <= 0, f"the page is {spilled} px wider than the window"


def test_pages_carry_a_strict_policy_and_no_inline_code(arrive: Arrive) -> None:
    visitor = arrive()
    for path in ("/", "/search/?q=password", "/accounts/login/", "/no/such/page/"):
        answer = visitor.page.goto(visitor.portal.address(path))
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" not in policy, "scripts run by the nonce of their answer alone"
        assert ("script-src 'nonce-" in policy) == bool(visitor.page.locator("script").count())
        assert "unsafe" not in policy
        assert visitor.page.locator("script:not([src]), style, [style]").count() == 0
