"""Best bets: what stands first, for whom, and who may say so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.clearance import LIBRARIANS, PUBLIC_VIEWER, viewer_for
from accounts.models import AuditEvent, Department, User
from ingestion.corpusversion import version_for
from ingestion.models import Document, Status
from search import curation, service
from search.api import page_json
from search.models import BestBet
from search.query import Mode, SearchQuery, Sort
from search.tests.corpus import serve

pytestmark = pytest.mark.django_db

ASKED = "What does it cost to keep a book too long?"


def pin(document: Document | None, *queries: str, **more: Any) -> BestBet:
    return BestBet.objects.create(document=document, queries=[*queries] or [ASKED], **more)


def found(text: str = ASKED, **more: Any) -> list[str]:
    page = service.search(SearchQuery(text=text, **more), viewer=PUBLIC_VIEWER)
    return [hit.document.title for hit in page.hits]


@pytest.fixture
def librarian(library: Department) -> User:
    made = User.objects.create_user("librarian", role="staff")
    made.departments.add(library)
    made.groups.add(Group.objects.get_or_create(name=LIBRARIANS)[0])
    return made


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_pinned_document_stands_first_once_and_is_counted(corpus: dict[str, Document]) -> None:
    before = service.search(SearchQuery(text=ASKED), viewer=PUBLIC_VIEWER)
    assert before.hits[0].document.title == "Library fines"
    pin(corpus["parking"])
    page = service.search(SearchQuery(text=ASKED), viewer=PUBLIC_VIEWER)
    assert [hit.document.title for hit in page.hits][:2] == ["Parking permits", "Library fines"]
    assert [hit.chosen for hit in page.hits][:2] == [True, False]
    assert len({hit.document.id for hit in page.hits}) == len(page.hits) == page.count == before.count
    assert sum(one.count for one in page.facets["department"]) == page.count
    assert page_json(page, "")["results"][0].keys() == page_json(before, "")["results"][0].keys(), "an ordinary hit"


def test_it_is_first_on_the_first_page_and_on_no_other(corpus: dict[str, Document]) -> None:
    last = found()[-1]
    pin(next(one for one in corpus.values() if one.title == last))
    pages = [found(page=number, page_size=3) for number in (1, 2, 3)]
    assert pages[0][0] == last
    assert sorted(title for page in pages for title in page) == sorted(found())


def test_what_neither_meaning_nor_words_propose_is_found_all_the_same(
    corpus: dict[str, Document], library: Department
) -> None:
    for number in range(110):
        serve(f"Zebra {number}", "zebra", department=library)
    unlike = serve("Opening hours", "From nine to five.", "Closed on Sundays.", department=library)
    assert "Opening hours" not in found("zebra", page_size=50) + found("zebra", page=2, page_size=50)
    before = service.search(SearchQuery(text="zebra"), viewer=PUBLIC_VIEWER)
    pin(unlike, "zebra")
    page = service.search(SearchQuery(text="zebra"), viewer=PUBLIC_VIEWER)
    assert page.hits[0].document.title == "Opening hours"
    assert page.count == before.count + 1


@pytest.mark.parametrize(
    "text", ["what does it cost to keep a BOOK too long", "  What does it cóst to keep a book, too long?! "]
)
def test_case_accents_and_punctuation_do_not_matter(corpus: dict[str, Document], text: str) -> None:
    pin(corpus["parking"], "something else", ASKED)
    assert found(text)[0] == "Parking permits"


@pytest.mark.parametrize(
    "more",
    [
        {"text": "cost of keeping a book"},
        {"text": f'{ASKED} "library"'},
        {"text": f"{ASKED} -permits"},
        {"mode": Mode.KEYWORD},
        {"mode": Mode.SEMANTIC},
        {"sort": Sort.NEWEST},
        {"departments": ("Library",)},
    ],
)
def test_whoever_asks_otherwise_is_not_given_it_first(corpus: dict[str, Document], more: dict[str, Any]) -> None:
    pin(corpus["parking"])
    query = SearchQuery(**{"text": ASKED} | more)
    assert not any(hit.chosen for hit in service.search(query, viewer=PUBLIC_VIEWER).hits)


def test_its_window_is_counted_in_days(corpus: dict[str, Document]) -> None:
    today, day = timezone.localdate(), timedelta(days=1)
    for starts_on, ends_on, shown in (
        (today, today, True), (today + day, None, False), (None, today - day, False), (today - day, today + day, True)
    ):  # fmt: skip
        bet = pin(corpus["parking"], starts_on=starts_on, ends_on=ends_on)
        assert (found()[0] == "Parking permits") is shown, (starts_on, ends_on)
        bet.delete()
    pin(corpus["parking"], is_active=False)
    assert found()[0] != "Parking permits"


def test_several_stand_in_their_order_and_no_more_than_three(corpus: dict[str, Document]) -> None:
    for place, name in ((3, "travel"), (1, "parking"), (2, "pret"), (4, "reisen")):
        pin(corpus[name], place=place)
    page = service.search(SearchQuery(text=ASKED), viewer=PUBLIC_VIEWER)
    assert [hit.document.title for hit in page.hits if hit.chosen] == [
        "Parking permits", "Prêt de livres", "Travel expenses"
    ]  # fmt: skip


def test_nobody_notices_a_pinned_document_that_they_may_not_see(
    corpus: dict[str, Document], library: Department
) -> None:
    secret = serve("Weeding", "Weeding of periodicals.", department=library, clearance=3)
    mark = version_for(PUBLIC_VIEWER).mark
    kept = service.search(SearchQuery(text=ASKED), viewer=PUBLIC_VIEWER)
    hidden = pin(secret, place=1)
    for place, name in ((2, "parking"), (3, "pret"), (4, "travel")):
        pin(corpus[name], ASKED, place=place, is_active=False)
    again = service.search(SearchQuery(text=ASKED), viewer=PUBLIC_VIEWER)
    assert (again.hits, again.count, again.facets) == (kept.hits, kept.count, kept.facets)
    BestBet.objects.exclude(pk=hidden.pk).update(is_active=True)
    page = service.search(SearchQuery(text=ASKED), viewer=PUBLIC_VIEWER)
    assert sum(hit.chosen for hit in page.hits) == 3, "the hidden one takes nobody's place"
    BestBet.objects.exclude(pk=hidden.pk).delete()
    mark = version_for(PUBLIC_VIEWER).mark
    hidden.delete()
    assert version_for(PUBLIC_VIEWER).mark == mark, "not even kept answers are made anew"


def test_kept_answers_change_at_once(corpus: dict[str, Document]) -> None:
    def asked() -> tuple[str, bool]:
        page = service.search(SearchQuery(text=ASKED), viewer=PUBLIC_VIEWER)
        return page.hits[0].document.title, page.from_cache

    asked()
    assert asked() == ("Library fines", True)
    bet = pin(corpus["parking"])
    assert asked() == ("Parking permits", False)
    assert asked() == ("Parking permits", True)
    bet.document = corpus["pret"]
    bet.save()
    assert asked() == ("Prêt de livres", False)
    bet.delete()
    assert asked()[0] == "Library fines"


# --- Librarians --------------------------------------------------------------------------------------------------

ADD = "/admin/search/bestbet/add/"


def form(document: object, **more: Any) -> dict[str, Any]:
    return {"queries": ASKED, "document": str(document), "place": "1", "is_active": "on"} | more


def test_a_librarian_pins_what_they_see_and_the_trail_says_so(corpus: dict[str, Document], librarian: User) -> None:
    client = signed_in(librarian)
    offered = client.get(ADD, {"document": corpus["travel"].pk, "queries": "journeys"}).content.decode()
    assert str(corpus["travel"].pk) in offered
    assert "journeys" in offered
    address = f"https://search.example.org/documents/{corpus['travel'].pk}/?page=2"
    assert client.post(ADD, form(address, queries=f"{ASKED}\r\n\r\n{ASKED}\r\njourneys")).status_code == 302
    bet = BestBet.objects.get()
    assert (bet.document, bet.queries, bet.made_by) == (corpus["travel"], [ASKED, "journeys"], librarian)
    assert found("Journeys")[0] == "Travel expenses"
    change = reverse("admin:search_bestbet_change", args=[bet.pk])
    assert client.post(change, form(corpus["travel"].pk, note="for May")).status_code == 302
    client.post(reverse("admin:search_bestbet_delete", args=[bet.pk]), {"post": "yes"})
    made, changed, deleted = AuditEvent.objects.filter(action="best_bet_changed").order_by("pk")
    assert made.details["before"] is None
    assert made.details["after"]["document"] == str(corpus["travel"].pk)
    assert (changed.details["before"]["note"], changed.details["after"]["note"]) == ("", "for May")
    assert deleted.details["after"] is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"document": UUID(int=7)}, "no document that you can see"),
        ({"document": "Library fines"}, "no document that you can see"),
        ({"queries": " \n"}, "This field is required"),
        ({"queries": "-"}, "-: There is no word in this query"),
        ({"queries": '"fines"'}, "without filters and marks"),
        ({"queries": "fines dept:Library"}, "without filters and marks"),
        ({"queries": "x" * 501}, "500"),
        ({"starts_on": "2026-05-02", "ends_on": "2026-05-01"}, "before the first"),
        ({"place": "0"}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_a_best_bet_is_told(
    corpus: dict[str, Document], librarian: User, more: dict[str, Any], said: str
) -> None:
    answer = signed_in(librarian).post(ADD, form(corpus["travel"].pk) | more)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not BestBet.objects.exists()


def test_a_hidden_document_answers_like_one_that_never_was(
    corpus: dict[str, Document], finance: Department, librarian: User
) -> None:
    secret = serve("Merger", "Secret.", department=finance, audience="department")
    client = signed_in(librarian)
    there, nowhere = (client.post(ADD, form(pk)).content.decode() for pk in (secret.pk, UUID(int=7)))
    assert "no document that you can see" in there
    assert there.count("Merger") == nowhere.count("Merger") == 0
    hidden = pin(secret)
    assert list(curation.best_bets(viewer_for(librarian))) == []
    change = reverse("admin:search_bestbet_change", args=[hidden.pk])
    assert client.get(change).status_code == client.get(change.replace(str(hidden.pk), "0")).status_code == 302
    # Whoever made it keeps it, and is told no more than that there is nothing to show.
    BestBet.objects.update(made_by=librarian)
    page = client.get(change).content.decode()
    assert "cannot be found any more" in page
    assert "Merger" not in page
    assert str(secret.pk) not in page


@pytest.mark.parametrize(("role", "group"), [("student", ""), ("academic", ""), ("staff", "Curators")])
def test_others_have_no_business_with_them(
    corpus: dict[str, Document], library: Department, role: str, group: str
) -> None:
    person = User.objects.create_user("somebody", role=role)
    person.departments.add(library)
    if group:
        person.groups.add(Group.objects.get_or_create(name=group)[0])
        person.curated_departments.add(library)
    bet = pin(corpus["loans"])
    for address in ("/admin/search/bestbet/", ADD, f"/admin/search/bestbet/{bet.pk}/change/"):
        assert signed_in(person).get(address).status_code in (302, 403)
    assert "Pin for this search" not in signed_in(person).get("/search/", {"q": ASKED}).content.decode()


def test_the_desk_tells_of_pinned_documents_that_are_archived_or_gone(
    corpus: dict[str, Document], librarian: User
) -> None:
    pin(corpus["loans"], "fine as it is")
    pin(corpus["travel"], "put away")
    pin(corpus["fines"], "deleted", made_by=librarian)
    pin(None, "deleted, of somebody else")
    client = signed_in(librarian)
    assert "broken-bets" not in client.get("/admin/").content.decode()
    # Archiving shows through the librarian's own documents.
    Document.objects.filter(pk=corpus["travel"].pk).update(owner=librarian, status=Status.ARCHIVED, is_searchable=False)
    corpus["fines"].delete()
    for address in ("/admin/", "/admin/search/bestbet/"):
        told = client.get(address).content.decode().partition('id="broken-bets"')[2].partition("</section>")[0]
        assert ("put away" in told, ">deleted<" in told) == (True, True), address
        assert "fine as it is" not in told
        assert "somebody else" not in told
    BestBet.objects.filter(queries__contains=["put away"]).update(ends_on=timezone.localdate() - timedelta(days=1))
    assert "put away" not in client.get("/admin/").content.decode(), "it is over anyway"


def test_the_search_page_marks_it_and_leads_librarians_to_pinning(corpus: dict[str, Document], librarian: User) -> None:
    pin(corpus["parking"])
    page = Client().get("/search/", {"q": ASKED}).content.decode()
    assert page.count("Chosen by the library") == 1
    assert page.index("Chosen by the library") < page.index("Library fines")
    assert "Pin for this search" not in page
    page = signed_in(librarian).get("/search/", {"q": "a & b"}).content.decode()
    assert "Pin for this search" in page
    assert f"?document={corpus['loans'].pk}&amp;queries=a%20%26%20b" in page
