"""Errors of the API: RFC 9457 problems everywhere, with the request's id (DESIGN, section 5)."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django.fixtures import Settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from accounts.models import Campus, Department, User
from accounts.throttling import REQUESTS_A_MINUTE
from portal.tests.conftest import MakePerson
from portal.tests.processes import away, run

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"


@pytest.fixture(autouse=True)
def patient_cache(settings: Settings) -> None:
    """All the requests of a minute, and none of them forgotten because a busy machine answered late."""
    options = {**settings.CACHES["default"]["OPTIONS"], "SOCKET_TIMEOUT": 10, "SOCKET_CONNECT_TIMEOUT": 10}
    settings.CACHES = {"default": {**settings.CACHES["default"], "OPTIONS": options}}
    cache.clear()


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem that an answer must be."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert list(body)[:5] == ["type", "title", "status", "detail", "request_id"]
    assert body["status"] == status
    assert body["request_id"] == answer["X-Request-ID"]
    return body


def token(client: Client, user: User, password: str = PASSWORD) -> Any:
    given = {"username": user.username, "password": password}
    return client.post("/api/v1/token/", given, content_type="application/json")


class TestTokens:
    def test_a_token_is_valid_for_eight_hours_and_says_only_who(self, client: Client, person: MakePerson) -> None:
        user = person("staff")
        answer = token(client, user)
        assert answer.status_code == 200
        assert set(answer.json()) == {"access", "refresh"}
        access = AccessToken(answer.json()["access"])
        # The two are read from the clock one after the other.
        assert abs(access["exp"] - access["iat"] - timedelta(hours=8).total_seconds()) <= 1
        who = {"token_type", "exp", "iat", "jti", "iss", "user_id", "hash_password", "epoch", "grant", "began"}
        assert set(access.payload) == who
        headers = {"Authorization": f"Bearer {answer.json()['access']}"}
        assert client.get("/api/v1/me/", headers=headers).json()["username"] == user.username
        renewed = client.post(
            "/api/v1/token/refresh/", {"refresh": answer.json()["refresh"]}, content_type="application/json"
        )
        assert renewed.status_code == 200
        assert client.get("/api/v1/me/", headers={"Authorization": f"Bearer {renewed.json()['access']}"}).json()

    def test_wrong_password_unknown_and_disabled_people_are_alike(self, client: Client, person: MakePerson) -> None:
        disabled = person("staff", is_active=False)
        answers = [
            token(client, person("staff"), "wrong"), token(client, User(username="nobody")), token(client, disabled),
        ]  # fmt: skip
        bodies = [problem(answer, 401) | {"request_id": ""} for answer in answers]
        assert bodies[0] == bodies[1] == bodies[2]

    @pytest.mark.parametrize(
        "body", [{}, {"username": "a"}, {"username": 5, "password": []}, {"username": "a\0", "password": "b"}]
    )
    def test_what_is_missing_is_named(self, client: Client, db: None, body: dict[str, object]) -> None:
        assert problem(client.post("/api/v1/token/", body, content_type="application/json"), 400)["errors"]

    @pytest.mark.parametrize("given", ["rubbish", "a.b.c", "", "ÿ", "x" * 5000])
    def test_a_token_that_is_none_is_a_401_even_where_no_one_need_sign_in(self, client: Client, given: str) -> None:
        answer = client.get("/api/v1/search/?q=books&mode=keyword", headers={"Authorization": f"Bearer {given}"})
        problem(answer, 401)
        assert answer["WWW-Authenticate"].startswith("Bearer")

    def test_a_refresh_token_or_one_without_signature_opens_nothing(self, client: Client, person: MakePerson) -> None:
        user = person("admin")
        head, payload, _ = str(AccessToken.for_user(user)).split(".")
        unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
        expired = AccessToken.for_user(user)
        expired.set_exp(lifetime=-timedelta(seconds=1))
        for given in (RefreshToken.for_user(user), f"{unsigned}.{payload}.", f"{head}.{payload}.AAAA", expired):
            problem(client.get("/api/v1/me/", headers={"Authorization": f"Bearer {given}"}), 401)

    def test_a_disabled_person_a_deleted_one_and_a_changed_role_hold_from_the_next_request(
        self, client: Client, person: MakePerson, finance: Department
    ) -> None:
        user = person("academic", departments=(finance,))
        both = token(client, user).json()
        headers = {"Authorization": f"Bearer {both['access']}"}
        assert client.get("/api/v1/me/", headers=headers).json()["clearance"] == 4
        User.objects.filter(pk=user.pk).update(role="student")
        assert client.get("/api/v1/me/", headers=headers).json()["clearance"] == 2
        User.objects.filter(pk=user.pk).update(is_active=False)
        problem(client.get("/api/v1/me/", headers=headers), 401)
        refresh = {"refresh": both["refresh"]}
        problem(client.post("/api/v1/token/refresh/", refresh, content_type="application/json"), 401)
        user.delete()
        problem(client.get("/api/v1/me/", headers=headers), 401)
        problem(client.post("/api/v1/token/refresh/", refresh, content_type="application/json"), 401)


def test_me_says_who_and_what_they_may_see_now(client: Client, person: MakePerson, finance: Department) -> None:
    campus = Campus.objects.create(name="Main")
    client.force_login(person("academic", departments=(finance,), campus=campus, first_name="Ada", last_name="L."))
    body = client.get("/api/v1/me/").json()
    assert body | {"username": ""} == {
        "username": "", "name": "Ada L.", "role": "academic", "clearance": 4, "departments": ["Finance"],
        "campus": "Main", "librarian": False, "curates": [], "admitted": True, "phase": "",
    }  # fmt: skip
    client.force_login(person("staff"))
    assert client.get("/api/v1/me/").json()["clearance"] == 2  # no department: 3 is out of reach
    problem(Client().get("/api/v1/me/"), 401)


class TestRequestId:
    def test_a_good_one_comes_back_and_others_are_replaced(self, client: Client, db: None) -> None:
        assert client.get("/health/live", headers={"X-Request-ID": "abc-123.X_y"})["X-Request-ID"] == "abc-123.X_y"
        for bad in ("short", "x" * 65, 'a"b<script>', "new\nline-aaaa", "äöüäöüäöü", ""):
            given = client.get("/health/live", headers={"X-Request-ID": bad})["X-Request-ID"]
            assert given != bad
            assert uuid.UUID(given)

    def test_every_answer_has_its_own(self, client: Client, db: None) -> None:
        assert client.get("/health/live")["X-Request-ID"] != client.get("/health/live")["X-Request-ID"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/api/v1/nowhere/", 404), ("get", "/api/", 404), ("get", "/api/v1/documents/not-a-uuid/", 404),
        ("get", f"/api/v1/documents/{uuid.UUID(int=5)}/", 404), ("get", "/api/v1/documents/%00/", 404),
        ("put", "/api/v1/search/", 405), ("delete", "/api/v1/suggest/", 405), ("get", "/api/v1/feedback/", 405),
        ("get", "/api/v1/token/", 405),
    ],
)  # fmt: skip
def test_unknown_addresses_and_methods(client: Client, db: None, method: str, path: str, status: int) -> None:
    problem(getattr(client, method)(path), status)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "rubbish"])
def test_other_kinds_of_body_are_a_415(client: Client, db: None, kind: str) -> None:
    problem(client.post("/api/v1/search/", b"query=a", content_type=kind), 415)


def test_a_body_that_is_too_long_is_a_413(client: Client, db: None) -> None:
    body = json.dumps({"query": "a" * 1_100_000})
    for address in ("/api/v1/search/", "/api/v1/feedback/", "/api/v1/token/"):
        assert "at most" in problem(client.post(address, body, content_type="application/json"), 413)["detail"]


def test_only_json_can_be_asked_for(client: Client, db: None) -> None:
    problem(client.get("/api/v1/search/?q=a", headers={"Accept": "text/csv"}), 406)


def test_a_request_for_another_host_is_a_400(client: Client, db: None) -> None:
    problem(client.get("/api/v1/search/?q=a", headers={"Host": "evil.example"}), 400)


def test_a_session_writes_only_with_its_csrf_token(person: MakePerson) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("admin"))
    problem(client.post("/api/v1/search/", {"query": "books"}, content_type="application/json"), 403)


class TestThrottle:
    @pytest.mark.parametrize("role", ["anonymous", "student"])
    def test_each_role_has_its_requests_a_minute(self, client: Client, person: MakePerson, role: str) -> None:
        if role != "anonymous":
            client.force_login(person(role))
        for _ in range(REQUESTS_A_MINUTE[role]):
            assert client.get("/api/v1/suggest/?q=b").status_code == 200
        answer = client.get("/api/v1/suggest/?q=b")
        problem(answer, 429)
        assert 0 < int(answer["Retry-After"]) <= 60

    def test_the_rates_are_those_of_the_design(self) -> None:
        assert REQUESTS_A_MINUTE == {"anonymous": 20, "student": 30, "staff": 60, "academic": 100, "admin": 200}

    def test_another_address_and_a_signed_in_person_are_counted_apart(self, client: Client, person: MakePerson) -> None:
        for _ in range(21):
            last = client.get("/api/v1/suggest/?q=b")
        assert last.status_code == 429
        assert client.get("/api/v1/suggest/?q=b", REMOTE_ADDR="192.0.2.7").status_code == 200
        client.force_login(person("student"))
        assert client.get("/api/v1/suggest/?q=b").status_code == 200

    def test_a_made_up_forwarding_header_gives_no_fresh_count(self, client: Client, db: None) -> None:
        for number in range(21):
            last = client.get("/api/v1/suggest/?q=b", headers={"X-Forwarded-For": f"192.0.2.{number}"})
        assert last.status_code == 429

    def test_guessing_passwords_is_throttled(self, client: Client, db: None) -> None:
        for _ in range(21):
            last = client.post("/api/v1/token/", {}, content_type="application/json")
        problem(last, 429)


def test_without_a_database_the_api_says_503_and_when_to_come_back() -> None:
    answer = run(
        "print(json.dumps(ask('/api/v1/search/?q=books&mode=keyword', headers={'X-Request-ID': 'request-1234'})))",
        **away(),
    )
    assert answer["status"] == 503
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert answer["headers"]["Retry-After"] == "5"
    body = json.loads(answer["body"])
    assert (body["status"], body["title"], body["request_id"]) == (503, "Service Unavailable", "request-1234")
    assert answer["seconds"] < 10
