"""Refusals are limited as well: whoever may not is counted like whoever may, and wrong keys end before the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken

from accounts.api_keys import issue, revoke
from accounts.models import Department, Phase, User
from portal.tests.conftest import MakeDocument

pytestmark = pytest.mark.django_db

ME = "/api/v1/me/"
SUGGEST = "/api/v1/suggest/?q=a"
DOCUMENTS = "/api/v1/documents/"
NOWHERE = "00000000-0000-4000-8000-000000000000"

Statements = Callable[[int], Any]


@pytest.fixture(autouse=True)
def patience(settings: Any) -> None:
    """A busy machine that answers late must not make these tests count by themselves."""
    options = {**settings.CACHES["default"]["OPTIONS"], "SOCKET_TIMEOUT": 10, "SOCKET_CONNECT_TIMEOUT": 10}
    settings.CACHES = {"default": {**settings.CACHES["default"], "OPTIONS": options}}


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password="correct-horse-battery", role="student")


@pytest.fixture
def robot() -> User:
    return User.objects.create_user("robot", role="student", is_service=True)


def signed_in(user: User, **more: Any) -> Client:
    client = Client(**more)
    client.force_login(user)
    return client


def key_of(robot: User, scope: str = "read") -> str:
    until = timezone.now() + timedelta(days=1)
    return issue(robot, name="box", scopes=[scope], expires_at=until, created_by=None)[1]


def revoked_key(robot: User) -> str:
    until = timezone.now() + timedelta(days=1)
    kept, text = issue(robot, name="old", scopes=["read"], expires_at=until, created_by=None)
    revoke(kept)
    return text


def codes(client: Client, times: int, path: str = ME, **headers: str) -> list[int]:
    return [client.get(path, headers=headers).status_code for _ in range(times)]


@pytest.fixture
def closed(robot: User) -> None:
    """A roll-out that admits only the service account."""
    phase = Phase.objects.create(name="Pilot", starts_at=timezone.now() - timedelta(days=1))
    phase.people.add(robot)


class TestWrongCredentials:
    @pytest.mark.parametrize("kind", ["unknown key", "revoked key", "no key", "bad token", "ended token"])
    def test_two_hundred_a_minute_are_looked_at_and_no_more(
        self, kind: str, ada: User, robot: User, settings: Any, django_assert_num_queries: Statements
    ) -> None:
        settings.THROTTLE_FACTOR = 0.02
        ended = f"Bearer {AccessToken.for_user(ada)}"
        User.objects.filter(pk=ada.pk).update(sign_in_epoch=7)
        sent = {
            "unknown key": f"Api-Key clst_{'0' * 12}_{'x' * 43}",
            "revoked key": f"Api-Key {revoked_key(robot)}",
            "no key": "Api-Key nonsense",
            "bad token": "Bearer x.y.z",
            "ended token": ended,
        }[kind]
        assert codes(Client(), 4, SUGGEST, Authorization=sent) == [401] * 4
        with django_assert_num_queries(0):
            refused = Client().get(SUGGEST, headers={"Authorization": sent})
        assert refused.status_code == 429
        assert refused["Content-Type"] == "application/problem+json"
        wait = int(refused["Retry-After"])
        assert 50 <= wait <= 60
        assert refused.json()["detail"] == (
            f"Too many requests: 4 a minute are let through. Expected available in {wait} seconds."
        )
        assert (refused["RateLimit-Limit"], refused["RateLimit-Reset"]) == ("4", str(wait))

    def test_the_limit_is_ten_times_that_of_people_who_are_not_signed_in(self) -> None:
        assert codes(Client(), 202, Authorization="Api-Key nonsense") == [401] * 200 + [429] * 2

    def test_people_at_the_same_address_without_a_key_go_on_and_so_does_everybody_elsewhere(
        self, ada: User, robot: User, settings: Any
    ) -> None:
        settings.THROTTLE_FACTOR = 0.1
        assert codes(Client(), 21, Authorization="Api-Key nonsense") == [401] * 20 + [429]
        assert signed_in(ada).get(SUGGEST).status_code == 200
        assert Client().get(SUGGEST).status_code == 200
        key = {"Authorization": f"Api-Key {key_of(robot)}"}
        assert Client().get(SUGGEST, headers=key).status_code == 429
        assert Client(REMOTE_ADDR="192.0.2.7").get(SUGGEST, headers=key).status_code == 200

    def test_keys_that_hold_are_not_counted_as_wrong(self, robot: User, settings: Any) -> None:
        settings.THROTTLE_FACTOR = 0.1
        User.objects.filter(pk=robot.pk).update(role="admin")
        assert codes(Client(), 15, SUGGEST, Authorization=f"Api-Key {key_of(robot)}") == [200] * 15
        assert codes(Client(), 21, SUGGEST, Authorization="Api-Key nonsense") == [401] * 20 + [429]

    def test_with_a_factor_of_0_all_are_looked_at(self, settings: Any) -> None:
        settings.THROTTLE_FACTOR = 0
        assert set(codes(Client(), 210, Authorization="Api-Key nonsense")) == {401}


class TestWhoMayNot:
    """They are counted as whoever they are, before anything is refused."""

    def test_people_whom_the_roll_out_does_not_admit(self, ada: User, robot: User, closed: None) -> None:
        assert codes(signed_in(ada), 32, SUGGEST) == [403] * 30 + [429] * 2
        neighbour = {"Authorization": f"Api-Key {key_of(robot)}"}
        assert Client().get(SUGGEST, headers=neighbour).status_code == 200

    def test_people_who_do_not_curate(self, ada: User) -> None:
        client = signed_in(ada)
        answers = [client.delete(f"{DOCUMENTS}{NOWHERE}/") for _ in range(31)]
        assert [one.status_code for one in answers] == [403] * 30 + [429]
        assert int(answers[-1]["Retry-After"]) > 0

    def test_keys_without_the_scope(self, robot: User) -> None:
        key = key_of(robot, "upload")
        assert codes(Client(), 31, SUGGEST, Authorization=f"Api-Key {key}") == [403] * 30 + [429]

    def test_browsers_without_a_csrf_token(self, ada: User) -> None:
        client = signed_in(ada, enforce_csrf_checks=True)
        answers = [client.post("/api/v1/search/", {"query": "a"}, content_type="application/json") for _ in range(31)]
        assert [one.status_code for one in answers] == [403] * 30 + [429]

    @pytest.mark.parametrize("door", ["me", "roll-out", "not public"])
    def test_people_who_are_not_signed_in(self, door: str, robot: User, settings: Any) -> None:
        settings.PUBLIC_SEARCH = door != "not public"
        if door == "roll-out":
            Phase.objects.create(name="Pilot", starts_at=timezone.now())
        assert codes(Client(), 22, ME if door == "me" else SUGGEST) == [401] * 20 + [429] * 2

    def test_a_request_counts_once_whether_it_is_refused_or_answered(self, ada: User) -> None:
        client = signed_in(ada)
        for _ in range(15):
            assert client.get(SUGGEST).status_code == 200
            assert client.delete(f"{DOCUMENTS}{NOWHERE}/").status_code == 403
        assert client.get(SUGGEST).status_code == 429

    def test_with_a_factor_of_0_none_is_counted(self, ada: User, settings: Any) -> None:
        settings.THROTTLE_FACTOR = 0
        client = signed_in(ada)
        assert {client.delete(f"{DOCUMENTS}{NOWHERE}/").status_code for _ in range(40)} == {403}


def test_an_address_at_its_ceiling_is_refused_before_anybody_asks_who_it_is(
    ada: User, robot: User, settings: Any, django_assert_num_queries: Statements
) -> None:
    settings.ADDRESS_REQUESTS_A_MINUTE = 3
    browser, key = signed_in(ada), {"Authorization": f"Api-Key {key_of(robot)}"}
    assert codes(browser, 3, SUGGEST) == [200] * 3
    with django_assert_num_queries(0):
        answers = [browser.get(SUGGEST), Client().get(SUGGEST, headers=key), Client().get(ME)]
    assert [(one.status_code, one["RateLimit-Limit"]) for one in answers] == [(429, "3")] * 3


def test_what_is_hidden_counts_and_answers_as_what_does_not_exist(ada: User, document: MakeDocument) -> None:
    finance = Department.objects.create(name="Finance")
    hidden = document("Minutes", department=finance, clearance=4, audience="department")
    client = signed_in(ada, headers={"X-Request-ID": "the-same-id"})
    for _ in range(15):
        there, nowhere = (client.get(f"{DOCUMENTS}{pk}/") for pk in (hidden.pk, NOWHERE))
        assert there.status_code == nowhere.status_code == 404
        assert (there.content, dict(there.headers)) == (nowhere.content, dict(nowhere.headers))
    assert [client.get(f"{DOCUMENTS}{pk}/").status_code for pk in (hidden.pk, NOWHERE)] == [429, 429]
