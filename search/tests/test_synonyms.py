"""Synonyms: what is found by them, what they leave as it is, and who may write them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.clearance import LIBRARIANS, PUBLIC_VIEWER
from accounts.models import AuditEvent, Department, User
from ingestion.models import Document
from search import curation, service
from search.models import SynonymGroup
from search.query import Mode, SearchQuery
from search.synonyms import MOST_SYNONYMS, Synonym
from search.tests.corpus import count_statistics, serve
from search.words import Proposal, QueryWords, Word

pytestmark = pytest.mark.django_db


def mean_the_same(*terms: str, **more: Any) -> SynonymGroup:
    group = SynonymGroup(terms=[*terms], **more)
    curation.settle(group)
    return group


def given(text: str, **more: Any) -> tuple[str, ...]:
    return curation.curated(SearchQuery(text=text, **more)).synonyms


def found(text: str, mode: Mode = Mode.KEYWORD) -> list[str]:
    page = service.search(SearchQuery(text=text, mode=mode), viewer=PUBLIC_VIEWER)
    return [hit.document.title for hit in page.hits]


@pytest.fixture
def cards(library: Department) -> dict[str, Document]:
    made = {
        "smart": serve("Smart card", "Renew your smart card at the desk.", department=library),
        "phone": serve("Smart phones", "A smart phone is no card of ours.", department=library),
        "student": serve("Student card", "The student card opens doors.", department=library),
        "catalogue": serve("Searching", "The library catalogue lists all books.", department=library),
        "fines": serve("Library fines", "For each day we charge 20 pence.", department=library),
    }
    count_statistics()
    return made


def test_who_asks_for_one_finds_the_others(cards: dict[str, Document]) -> None:
    assert found("opac") == []
    mean_the_same("OPAC", "library catalogue")
    assert found("opac") == ["Searching"]
    assert found("where is the OPAC?")[0] == "Searching"
    page = service.search(SearchQuery(text="opac", mode=Mode.KEYWORD), viewer=PUBLIC_VIEWER)
    assert "<mark>" in page.hits[0].best.snippet, "what it was found by is marked"
    assert page.words_found
    assert page.did_you_mean is None


def test_a_phrase_is_looked_for_as_a_phrase_and_in_all_its_endings(cards: dict[str, Document]) -> None:
    mean_the_same("student card", "smart card")
    assert found("student card")[0] == "Student card", "what was typed comes first"
    assert "Smart card" in found("lost student cards")
    assert given("student cards") == ("smart card",)
    assert given("cards for a student") == ()
    assert given("smart cards") == ("student card",)
    both = curation.curated(SearchQuery(text="student card")).words.words
    assert all("(('smart') <-> ('card'))" in word.match for word in both)


def test_words_of_the_phrase_apart_are_no_match_and_cover_nothing(cards: dict[str, Document]) -> None:
    mean_the_same("badge", "smart card")
    assert found("badge") == ["Smart card"]


def test_one_way_leads_from_the_first_to_the_others_only() -> None:
    mean_the_same("wifi", "wireless network", "eduroam", one_way=True)
    assert given("the wifi is slow") == ("wireless network", "eduroam")
    assert given("eduroam") == ()


@pytest.mark.parametrize(
    "text",
    [
        '"student card" renewal',
        "+opac",
        "books -opac",
        '"the opac"',
        "student renewal card",
        "opaque",
        'student "late books" card',
    ],
)
def test_what_is_marked_or_something_else_stays_as_it_is(text: str) -> None:
    mean_the_same("student card", "smart card")
    mean_the_same("opac", "catalogue")
    assert given(text) == ()


def test_what_is_not_marked_beside_it_is_given_its_synonyms() -> None:
    mean_the_same("opac", "catalogue")
    assert given('"student card" opac') == ("catalogue",)


def test_a_longer_term_goes_before_a_shorter_one_within_it() -> None:
    mean_the_same("student card", "smart card")
    mean_the_same("card", "map")
    assert given("student card") == ("smart card",)
    assert given("card") == ("map",)


def test_no_query_is_given_more_than_a_few() -> None:
    for number in range(4):
        mean_the_same(f"word{number}", *(f"other{number} {letter}" for letter in "abcd"))
    assert len(given("word0 word1 word2 word3")) == MOST_SYNONYMS
    assert given("word0 word1 word2 word3")[0] == "other0 a"


def test_a_language_says_how_the_words_are_inflected(settings: Any) -> None:
    settings.SEARCH_LANGUAGES = ["en", "de"]
    mean_the_same("Ausweis", "Karte", language="de")
    assert given("Ausweise") == ("Karte",)
    group = mean_the_same("universal", "general", language="de")
    assert given("universe") == (), "the same only to who knows English endings"
    group.language = ""
    curation.settle(group)
    assert given("universe") == ("general",)


def test_other_scripts_have_synonyms_too(corpus: dict[str, Document]) -> None:
    mean_the_same("借阅证", "图书证")
    assert given("如何申请借阅证") == ("图书证",)
    assert found("借阅证") == ["图书馆借书规则"]


def test_accents_and_case_do_not_matter() -> None:
    mean_the_same("Prêt", "Leihe")
    assert given("PRET") == ("Leihe",)


def test_a_search_by_meaning_alone_knows_none(cards: dict[str, Document]) -> None:
    mean_the_same("opac", "catalogue")
    assert given("opac", mode=Mode.SEMANTIC) == ()
    assert service.search(SearchQuery(text="opac", mode=Mode.SEMANTIC), viewer=PUBLIC_VIEWER).count


def test_they_hold_at_once_and_for_kept_answers_too(cards: dict[str, Document]) -> None:
    assert found("opac") == found("opac") == []
    group = mean_the_same("opac", "catalogue")
    assert found("opac") == ["Searching"]
    group.is_active = False
    curation.settle(group)
    assert found("opac") == []


def test_a_rare_word_is_looked_for_though_it_means_the_same_as_a_common_one() -> None:
    common, rare = (
        Synonym(text, f"'{text}'", share, {2: 1.0}, (2,)) for text, share in (("book", 0.4), ("tome", 0.01))
    )
    word = Word(("codex",), (1,), 5.0, also=(common, rare))
    asked = QueryWords((word,))
    assert asked.proposal(1000, alone=False) == Proposal("'codex' | ('tome') | ('book')")
    assert asked.proposal(50_000, alone=False) == Proposal("'codex' | ('tome')"), "so many are not scored"
    unknown = QueryWords((replace(word, known=False),))
    assert unknown.proposal(50_000, alone=True) == Proposal("('codex' | ('book') | ('tome'))", newest=True)
    assert asked.one_hot == ["{1:1,2:1}/1000000000"], "what holds a synonym covers the word"


# --- Librarians --------------------------------------------------------------------------------------------------

ADD = "/admin/search/synonymgroup/add/"


@pytest.fixture
def desk(library: Department) -> Client:
    user = User.objects.create_user("librarian", role="staff")
    user.groups.add(Group.objects.get_or_create(name=LIBRARIANS)[0])
    client = Client()
    client.force_login(user)
    return client


def form(*terms: str, **more: Any) -> dict[str, Any]:
    return {"terms": "\r\n".join(terms), "is_active": "on", "language": ""} | more


def test_a_librarian_writes_them_and_the_trail_says_so(cards: dict[str, Document], desk: Client) -> None:
    assert desk.post(ADD, form("OPAC", "library  catalogue", "")).status_code == 302
    group = SynonymGroup.objects.get()
    assert group.terms == ["OPAC", "library catalogue"]
    assert found("opac") == ["Searching"]
    change = reverse("admin:search_synonymgroup_change", args=[group.pk])
    assert "OPAC → library catalogue" in desk.get(change).content.decode()
    assert desk.post(change, form("OPAC", "library catalogue", one_way="on")).status_code == 302
    desk.post(reverse("admin:search_synonymgroup_delete", args=[group.pk]), {"post": "yes"})
    made, changed, deleted = AuditEvent.objects.filter(action="synonyms_changed").order_by("pk")
    assert (made.details["before"], made.details["after"]["terms"]) == (None, ["OPAC", "library catalogue"])
    assert (changed.details["before"]["one_way"], changed.details["after"]["one_way"]) == (False, True)
    assert deleted.details["after"] is None
    assert found("opac") == []


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (("opac",), "At least two"),
        (("opac", "OPAC!"), "are the same to the search"),
        (("opac", "one two three four five six seven"), "at most 6 words"),
        (("opac", "x" * 101), "at most 6 words and 100 characters"),
        (("opac", "?"), "there is no word in it"),
        (("opac", '"catalogue"'), "without quotation marks"),
        (("opac", "dept:Library books"), "without quotation marks"),
        (tuple(f"word{number}" for number in range(13)), "At most 12 lines"),
    ],
)
def test_what_cannot_be_looked_for_is_told(db: None, desk: Client, terms: tuple[str, ...], said: str) -> None:
    answer = desk.post(ADD, form(*terms))
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not SynonymGroup.objects.exists()


def test_common_words_are_warned_of(db: None, desk: Client) -> None:
    answer = desk.post(ADD, form("it", "information technology"), follow=True)
    assert "So common" in answer.content.decode()
    assert "So common" not in desk.post(ADD, form("opac", "catalogue"), follow=True).content.decode()


def test_the_page_to_try_says_what_a_query_becomes(db: None, desk: Client) -> None:
    mean_the_same("opac", "library catalogue")
    page = desk.get("/admin/search/synonymgroup/try/", {"q": "the opac"}).content.decode()
    assert "It is given library catalogue" in page
    assert "It is given no synonyms" in desk.get("/admin/search/synonymgroup/try/", {"q": "books"}).content.decode()
    assert "no word" in desk.get("/admin/search/synonymgroup/try/", {"q": "?"}).content.decode()


@pytest.mark.parametrize("address", ["", "add/", "try/?q=opac", "1/change/"])
def test_others_have_no_business_with_them(library: Department, address: str) -> None:
    curator = User.objects.create_user("curator", role="staff")
    curator.departments.add(library)
    curator.groups.add(Group.objects.get_or_create(name="Curators")[0])
    curator.curated_departments.add(library)
    client = Client()
    client.force_login(curator)
    assert client.get(f"/admin/search/synonymgroup/{address}").status_code in (302, 403)
    assert "synonymgroup" not in client.get("/admin/").content.decode()
