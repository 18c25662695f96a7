"""Why is this here: what administrators are told of a hit's place, and that nobody else is."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from django.test import Client

from accounts.clearance import viewer_for
from accounts.models import User
from ingestion.models import Document
from search import service
from search.models import BestBet, SearchEvent
from search.query import SearchQuery
from search.ranking import PRIORITIES_FROM_USUAL, Candidate, Preference, explained
from search.why import PARTS

pytestmark = pytest.mark.django_db

ASKED = "library fines"


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_user("admin", role="admin")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_an_administrator_sees_parts_that_sum_to_the_score(corpus: dict[str, Document], admin: User) -> None:
    client = signed_in(admin)
    page = client.get("/search/", {"q": ASKED}).content.decode()
    address = re.findall(r'hx-get="(/search/why/[^"]+)"', page)[0].replace("&amp;", "&")
    assert str(corpus["fines"].pk) in address
    searches = SearchEvent.objects.count()
    told = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in told
    *parts, score = [float(one) for one in re.findall(r"<td>([-\d.]+)</td>", told)]
    assert len(parts) >= 3
    assert sum(parts) == pytest.approx(score, abs=0.0005)
    hit = service.search(SearchQuery(text=ASKED), viewer=viewer_for(admin)).hits[0]
    assert score == pytest.approx(hit.combined_score, abs=0.0002)
    assert SearchEvent.objects.count() == searches + 1, "only the search itself is noted"
    whole = client.get(address).content.decode()
    assert "<h1>" in whole
    assert f"/search/?q={ASKED.replace(' ', '+')}" in whole


def test_filters_are_those_of_the_search(corpus: dict[str, Document], admin: User) -> None:
    asked = {"q": ASKED, "department": "Finance", "document": str(corpus["fines"].pk)}
    told = signed_in(admin).get("/search/why/", asked).content.decode()
    assert "below those that are scored" in told, "it is no hit of this search"


def test_every_part_of_a_score_has_a_name() -> None:
    candidate = Candidate(1, UUID(int=1), 0.8, 0.1, 1.0, 1.0, 1, 1, 5, "en", None, 0.3)
    preference = Preference(1, frozenset({1}), frozenset({"en"}), None, {UUID(int=1): 0.5})
    parts = explained(candidate, preference)
    assert PRIORITIES_FROM_USUAL
    assert set(parts) | {"recency"} == set(PARTS)


@pytest.mark.parametrize("role", ["anonymous", "student", "academic"])
def test_nobody_else_is_told(corpus: dict[str, Document], role: str) -> None:
    client = Client() if role == "anonymous" else signed_in(User.objects.create_user("somebody", role=role))
    assert "/search/why/" not in client.get("/search/", {"q": ASKED}).content.decode()
    asked = {"q": ASKED, "document": str(corpus["fines"].pk)}
    assert client.get("/search/why/", asked).status_code == 404


def test_not_while_they_look_as_somebody_else(corpus: dict[str, Document], admin: User) -> None:
    client = signed_in(admin)
    client.post("/see-as/", {"role": "student"})
    assert "Why is this here?" not in client.get("/search/", {"q": ASKED}).content.decode()
    assert client.get("/search/why/", {"q": ASKED, "document": str(corpus["fines"].pk)}).status_code == 404


@pytest.mark.parametrize("asked", [{}, {"q": ASKED}, {"q": ASKED, "document": "x"}, {"document": str(UUID(int=7))}])
def test_an_address_that_names_no_hit_is_not_found(
    corpus: dict[str, Document], admin: User, asked: dict[str, str]
) -> None:
    assert signed_in(admin).get("/search/why/", asked).status_code == 404


def test_a_hit_that_was_chosen_has_a_score_as_well(corpus: dict[str, Document], admin: User) -> None:
    BestBet.objects.create(queries=[ASKED], document=corpus["parking"])
    told = signed_in(admin).get("/search/why/", {"q": ASKED, "document": str(corpus["parking"].pk)}).content.decode()
    assert "Chosen by the library" in told
    assert "Meaning" in told
