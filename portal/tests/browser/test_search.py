"""What a student does: sign in, ask, narrow, open the passage. On phone and desktop, with and without scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from portal.tests.browser.conftest import START_SECONDS, Arrive

# The first test of a run waits until the instance stands.
pytestmark = pytest.mark.timeout(START_SECONDS + 120)


def test_a_student_signs_in_searches_and_opens_a_hit_at_its_page(arrive: Arrive, width: int) -> None:
    student = arrive(width=width)
    student.sign_in("student")
    expect(student.page.locator(".who-sees")).to_have_text("student · level 2")

    page = student.search("Who may see the recording of my lecture?")
    expect(page.locator("#result-count")).to_contain_text("document")
    first = page.locator(".hit").filter(has=page.get_by_role("link", name="Lecture Recording Policy")).first
    expect(first.locator("mark").first).to_be_visible()
    place = first.locator(".place a").first
    number = re.search(r"Page (\d+)", place.inner_text())
    assert number is not None
    first.get_by_role("link", name="Lecture Recording Policy").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Lecture Recording Policy")
    expect(page).to_have_url(re.compile(rf"/documents/[0-9a-f-]+/\?page={number[1]}&"))
    page.get_by_role("link", name="Read as text").click()
    passage = page.locator(".opened-passage")
    expect(passage).to_be_in_viewport()
    expect(page.locator(f"#page-{number[1]}").locator(".opened-passage")).to_have_count(1)
    expect(passage.locator("mark").first).to_be_visible()

    page.get_by_role("link", name="Back to the results").click()
    expect(page.locator("#q")).to_have_value("Who may see the recording of my lecture?")


def test_everything_works_without_scripts(arrive: Arrive, width: int) -> None:
    student = arrive(width=width, javascript=False)
    student.sign_in("student")
    page = student.search("library loan")
    before = int(page.locator("#result-count strong").inner_text())
    if width < 900:
        page.locator(".facets-fold > summary").click()
    page.locator("#facet-department ~ ul").get_by_role("link", name=re.compile(r"^Library")).click()
    expect(page.locator(".chip")).to_contain_text("Library")
    assert int(page.locator("#result-count strong").inner_text()) <= before
    expect(page.locator("#q")).to_have_value("library loan")

    page.locator(".chip").click()
    expect(page.locator(".chip")).to_have_count(0)
    page.locator(".hit h2 a").first.click()
    expect(page.locator(".reading .page").first).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("banner").get_by_role("link", name="Sign in")).to_be_visible()


def test_results_come_while_one_types_and_the_address_can_be_shared(arrive: Arrive) -> None:
    student = arrive()
    student.sign_in("student")
    page = student.visit("/")
    page.locator("#q").press_sequentially("eduroam", delay=30)
    expect(page.locator(".hit").first).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?q=eduroam$"))
    expect(page).to_have_title("eduroam – Cloister")
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#announcement")).to_contain_text("found for eduroam")
    titles = student.titles()

    page.reload()
    assert student.titles() == titles


def test_what_is_typed_is_completed_by_keyboard_or_pointer(arrive: Arrive, width: int) -> None:
    student = arrive(width=width)
    student.sign_in("student")
    page = student.visit("/")
    field = page.get_by_role("combobox", name="Search the documents")
    offered = page.get_by_role("listbox", name="Suggestions")
    title = "Lecture Recording Policy"
    field.press_sequentially("lecture rec", delay=20)
    expect(offered.get_by_role("option", name=title, exact=True)).to_be_visible()
    expect(field).to_have_attribute("aria-expanded", "true")
    box = offered.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width

    field.press("ArrowDown")
    first = offered.get_by_role("option").first
    expect(first).to_have_attribute("aria-selected", "true")
    assert field.get_attribute("aria-activedescendant") == first.get_attribute("id")
    field.press("Escape")
    expect(offered).to_be_hidden()
    expect(field).to_have_value("lecture rec")
    expect(field).not_to_have_attribute("aria-activedescendant", re.compile("."))

    field.press_sequentially("o")
    expect(offered).to_be_visible()
    field.press("ArrowDown")
    chosen = first.inner_text()
    field.press("Enter")
    expect(field).to_have_value(chosen)
    expect(offered).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_contain_text(chosen)

    field.fill("lecture rec")
    offered.get_by_role("option", name=title, exact=True).click()
    expect(field).to_have_value(title)
    expect(field).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_contain_text(title)


def test_filters_narrow_without_a_new_page_and_back_undoes_them(arrive: Arrive) -> None:
    student = arrive()
    student.sign_in("student")
    page = student.search("library")
    page.evaluate("window.notReloaded = true")
    page.locator("#facet-campus ~ ul").get_by_role("link").first.click()
    expect(page.locator(".chip")).to_have_count(1)
    assert page.evaluate("window.notReloaded"), "a filter loaded the whole page"
    page.locator("#q").fill("borrowing")
    expect(page).to_have_url(re.compile(r"q=borrowing&campus="))
    page.locator("#q").press("Escape")
    expect(page.locator(".chip")).to_have_count(1)
    page.locator(".chip").click()
    expect(page).to_have_url(re.compile(r"q=borrowing$"))
    page.go_back()
    expect(page.locator(".chip")).to_have_count(1)


def test_the_keyboard_alone_is_enough(arrive: Arrive) -> None:
    student = arrive()
    student.sign_in("student")
    page = student.search("password")
    page.locator(".hit h2 a").first.focus()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.goto(student.portal.address("/search/?q=password"))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.hit h2 a')"):
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    expect(page.locator(".opened-passage, .viewer-marks div").locator("visible=true").first).to_be_in_viewport()


@pytest.mark.parametrize(
    "question", ["图书馆 借阅", "حماية البيانات", "Vorlesung aufzeichnen", "prêt de la bibliothèque"]
)
def test_other_scripts_and_languages_are_found_and_shown_in_their_direction(arrive: Arrive, question: str) -> None:
    student = arrive()
    student.sign_in("student")
    page = student.search(question)
    expect(page.locator(".hit").first).to_be_visible()
    if question == "حماية البيانات":
        title = page.locator('.hit h2 a[lang="ar"]').first
        assert title.evaluate("element => getComputedStyle(element).direction") == "rtl"


def test_a_student_never_sees_what_is_for_staff_or_restricted(arrive: Arrive) -> None:
    asked = [
        "travel expenses",
        "whistleblowing investigation",
        "incident response plan",
        "salary negotiation",
        "annual leave",
    ]
    student = arrive()
    student.sign_in("student")
    for words in asked:
        page = student.search(words)
        assert page.locator(".badge.level-3, .badge.level-4").count() == 0, words

    staff = arrive()
    staff.sign_in("staff")
    staff.search("travel expenses policy")
    title = "Travel and Expenses Policy"
    assert title in staff.titles()
    staff.page.get_by_role("link", name=title).first.click()
    path = re.sub(r"^https?://[^/]+|\?.*$", "", staff.page.url)

    for hidden in (path, f"{path}file"):
        answer = student.page.goto(student.portal.address(hidden))
        assert answer is not None
        assert answer.status == 404
        expect(student.page.get_by_role("heading", level=1)).to_have_text("There is nothing here for you")


def test_nothing_found_helps_further(arrive: Arrive, width: int) -> None:
    visitor = arrive(width=width)
    page = visitor.visit("/search/?q=password&language=xx")
    expect(page.get_by_role("heading", name="Nothing that you may see answers")).to_be_visible()
    expect(page.locator(".advice").get_by_role("link", name="Sign in")).to_be_visible()
    page.locator(".advice").get_by_role("link", name=re.compile("Search without the filter")).click()
    expect(page.locator(".hit").first).to_be_visible()


def test_what_cannot_be_searched_for_is_said_in_words(arrive: Arrive) -> None:
    visitor = arrive()
    page = visitor.visit("/search/?q=%3F%3F%3F")
    expect(page.locator("#search-error")).to_contain_text("There is no word in this query")
    expect(page.locator("#q")).to_have_attribute("aria-invalid", "true")


def test_markup_in_a_query_stays_text(arrive: Arrive) -> None:
    visitor = arrive()
    page = visitor.visit("/")
    page.locator("#q").fill("<script>alert(1)</script> password")
    page.locator("#q").press("Enter")
    expect(page.locator(".hit").first).to_be_visible()
    assert page.locator("main script").count() == 0
