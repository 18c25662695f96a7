"""Searching several times in one request, and on behalf of a person."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import Department, User
from accounts.tests.keys import make, send
from portal.tests.conftest import MakePerson
from search.models import SearchEvent
from search.tests.corpus import count_statistics, serve

pytestmark = pytest.mark.django_db

SEARCH, BATCH = "/api/v1/search/", "/api/v1/search/batch/"


@pytest.fixture(autouse=True)
def apart(settings: Settings) -> None:
    settings.THROTTLE_FACTOR = 1000
    cache.clear()


@pytest.fixture
def assistant(person: MakePerson, finance: Department) -> User:
    """The service desk's assistant: staff of Finance."""
    return person("staff", departments=(finance,), is_service=True)


@pytest.fixture
def corpus(finance: Department, library: Department) -> None:
    for title, department, clearance in (
        ("Travel for all", library, 1),
        ("Travel of staff", library, 3),
        ("Travel of finance", finance, 3),
        ("Travel of professors", library, 4),
    ):
        serve(title, f"{title}: the travel expenses are paid.", department=department, clearance=clearance)
    count_statistics()


def found(answer: Any) -> set[str]:
    assert answer.status_code == 200, answer.content
    return {hit["document"]["title"] for hit in answer.json()["results"]}


def ask(key: str, body: dict[str, Any], path: str = SEARCH) -> Any:
    return send(key, path, "post", data=body, content_type="application/json")


@pytest.mark.usefixtures("corpus")
class TestActing:
    def test_it_sees_what_both_may_see(self, assistant: User, person: MakePerson, library: Department) -> None:
        _, key = make(assistant, "read", "act")
        student = person("student")
        professor = person("academic", departments=(library,))
        assert "Travel of finance" in found(ask(key, {"query": "travel"}))
        assert found(ask(key, {"query": "travel", "acting_for": student.username})) == {"Travel for all"}
        both = found(ask(key, {"query": "travel", "acting_for": professor.username}))
        assert "Travel of professors" not in both
        assert "Travel of staff" in both
        by_address = send(key, f"{SEARCH}?q=travel&acting_for={student.username}")
        assert found(by_address) == {"Travel for all"}

    def test_it_is_in_the_trail(self, assistant: User, person: MakePerson) -> None:
        _, key = make(assistant, "read", "act")
        student = person("student")
        ask(key, {"query": "travel", "acting_for": student.username})
        event = SearchEvent.objects.get()
        assert (event.user, student.username in event.seen_as) == (assistant, True)

    def test_without_the_scope_or_a_key_nobody_acts(self, assistant: User, person: MakePerson, client: Client) -> None:
        _, key = make(assistant, "read", "upload")
        body = {"query": "travel", "acting_for": person("student").username}
        refused = ask(key, body)
        assert (refused.status_code, refused.json()["required"], refused.json()["current"]) == (
            403, "act", ["read", "upload"],
        )  # fmt: skip
        client.force_login(person("admin"))
        assert client.post(SEARCH, body, content_type="application/json").status_code == 403
        assert not SearchEvent.objects.exists()

    @pytest.mark.parametrize("name", ["nobody", "a\0b", "", ["x"]])
    def test_nobody_of_that_name(self, assistant: User, name: Any) -> None:
        _, key = make(assistant, "read", "act")
        by_body = ask(key, {"query": "travel", "acting_for": name})
        by_address = send(key, f"{SEARCH}?{urlencode({'q': 'travel', 'acting_for': name}, doseq=True)}")
        several = ask(key, {"searches": [{"query": "travel"}], "acting_for": name}, BATCH)
        for answer in (by_body, several, by_address):
            assert (answer.status_code, list(answer.json()["errors"])) == (400, ["acting_for"])

    @pytest.mark.parametrize("path", [SEARCH, BATCH])
    def test_a_name_in_the_address_of_a_body_is_no_name_that_is_passed_over(self, assistant: User, path: str) -> None:
        _, key = make(assistant, "read", "act")
        body = {"query": "travel"} if path == SEARCH else {"searches": [{"query": "travel"}]}
        assert ask(key, body, f"{path}?acting_for=student").status_code == 400
        assert not SearchEvent.objects.exists()

    def test_whoever_may_not_sign_in_any_more_is_nobody(self, assistant: User, person: MakePerson) -> None:
        _, key = make(assistant, "read", "act")
        gone = person("student", is_active=False)
        assert ask(key, {"query": "travel", "acting_for": gone.username}).status_code == 400


@pytest.mark.usefixtures("corpus")
class TestBatch:
    def test_answers_come_in_order_and_each_is_in_the_trail(self, client: Client) -> None:
        searches = [{"query": "travel"}, {"query": "expenses", "mode": "keyword"}, {"query": "zzz", "mode": "keyword"}]
        answer = client.post(BATCH, {"searches": searches}, content_type="application/json")
        assert answer.status_code == 200, answer.content
        results = answer.json()["results"]
        assert [(one["query"], one["count"] > 0) for one in results] == [
            ("travel", True), ("expenses", True), ("zzz", False),
        ]  # fmt: skip
        single = client.post(SEARCH, searches[1], content_type="application/json").json()
        volatile = {"search_id", "response_time", "timestamp", "request_id", "from_cache"}
        assert {k: v for k, v in results[1].items() if k not in volatile} == {
            k: v for k, v in single.items() if k not in volatile
        }
        assert SearchEvent.objects.count() == 4

    def test_every_fault_is_named_and_nothing_is_asked(self, client: Client) -> None:
        searches = [{"query": "travel"}, {"query": ""}, {"query": "x", "mode": "guess"}]
        answer = client.post(BATCH, {"searches": searches}, content_type="application/json")
        assert answer.status_code == 400
        assert set(answer.json()["errors"]) == {"searches[1].query", "searches[2].mode"}
        assert not SearchEvent.objects.exists()

    @pytest.mark.parametrize(
        "body", [{}, {"searches": []}, {"searches": [{"query": "a"}] * 21}, {"searches": "a"}, [], {"searches": [[]]},
                 {"searches": [{"query": "a"}], "more": 1}]
    )  # fmt: skip
    def test_what_is_no_batch_is_refused(self, client: Client, body: Any) -> None:
        assert client.post(BATCH, body, content_type="application/json").status_code == 400

    def test_each_search_counts_as_a_request(self, client: Client, settings: Settings) -> None:
        settings.THROTTLE_FACTOR = 0.5  # ten a minute for whoever is not signed in
        eight = {"searches": [{"query": "travel", "mode": "keyword"}] * 8}
        assert client.post(BATCH, eight, content_type="application/json").status_code == 200
        refused = client.post(BATCH, eight, content_type="application/json")
        assert (refused.status_code, refused["RateLimit-Limit"]) == (429, "10")

    def test_all_of_them_for_a_person(self, assistant: User, person: MakePerson) -> None:
        _, key = make(assistant, "read", "act")
        body = {"searches": [{"query": "travel"}] * 2, "acting_for": person("student").username}
        answer = ask(key, body, BATCH)
        assert [len(one["results"]) for one in answer.json()["results"]] == [1, 1]
