"""The content security policy at work in a real browser: what got into a page by mistake runs nothing."""

from __future__ import annotations

import pytest

from portal.tests.browser.conftest import Arrive, Visitor

PAGES = ("/search/?q=library", "/accounts/login/", "/admin/")


@pytest.fixture
def visitor(arrive: Arrive) -> Visitor:
    visitor = arrive()
    visitor.sign_in("librarian")
    return visitor


@pytest.mark.parametrize("path", PAGES)
def test_markup_that_got_in_runs_nothing(visitor: Visitor, path: str) -> None:
    """A handler, a script, one from elsewhere, a timer, a style, a form: each is refused, and the browser says so."""
    page = visitor.visit(path)
    assert visitor.complaints == []
    page.evaluate(
        """() => {
            const attempt = (act) => { try { act(); } catch (refused) { console.error(String(refused)); } };
            const added = (tag) => document.body.appendChild(document.createElement(tag));
            attempt(() => added("img").setAttribute("onerror", "window.ran = 'handler'"));
            attempt(() => { added("div").innerHTML = "<img src='data:,' onerror='window.ran = 1'>"; });
            attempt(() => { added("script").textContent = "window.ran = 'script'"; });
            attempt(() => { added("script").src = "https://elsewhere.example/x.js"; });
            attempt(() => setTimeout("window.ran = 'timer'", 0));
            attempt(() => added("div").setAttribute("style", "position: fixed"));
            const form = added("form");
            form.action = "https://elsewhere.example/";
            form.submit();
        }"""
    )
    page.wait_for_timeout(500)
    assert page.evaluate("window.ran") is None
    assert page.url.startswith(visitor.portal.url)
    refused = " ".join(visitor.complaints)
    for directive in ("TrustedScript", "TrustedScriptURL", "style-src", "form-action"):
        assert directive in refused, (directive, visitor.complaints)
    visitor.complaints.clear()


def test_a_page_that_breaks_the_policy_fails_a_test(visitor: Visitor) -> None:
    """What the browser complains of is gathered: without that the other tests would prove nothing."""
    visitor.visit("/").evaluate("document.body.setAttribute('style', 'color: red')")
    visitor.page.wait_for_timeout(200)
    assert any("Content Security Policy" in complaint for complaint in visitor.complaints)
    visitor.complaints.clear()


def test_the_browser_keeps_nothing_of_a_search(visitor: Visitor) -> None:
    """Once its page is left: nothing that the next person at this computer could find without signing in."""
    visitor.visit("/")
    visitor.search("library")
    page = visitor.visit("/accounts/login/")
    kept = page.evaluate("JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage})")
    assert "library" not in kept.lower()
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("caches.keys().then((names) => names.length).catch(() => 0)") == 0
