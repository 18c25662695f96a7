"""`/api/v1/search/`, `suggest/`, `similar/` and `feedback/`, as the contract writes them (DESIGN, section 5)."""

from __future__ import annotations

import json
import uuid
from datetime import date, datetime
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import Campus, Department, User
from ingestion.models import Document
from search.models import Feedback, SearchEvent
from search.tests.corpus import count_statistics, serve

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"

PAGE = {
    "query": str, "search_id": str, "mode": str, "degraded": list, "count": int, "page": int, "page_size": int,
    "results": list, "facets": dict, "did_you_mean": type(None), "response_time": float, "from_cache": bool,
    "request_id": str, "timestamp": str,
}  # fmt: skip
PASSAGE = {
    "chunk_id": int, "page_number": int, "section_title": str, "text": str, "snippet": str, "similarity": float,
    "url": str,
}  # fmt: skip
HIT = {"document": dict, **PASSAGE, "combined_score": float, "passages": list}
DOCUMENT = {
    "id": str, "title": str, "department": str, "campus": str, "doc_type": str, "clearance": int, "language": str,
    "priority": int, "last_reviewed": (str, type(None)),
}  # fmt: skip


def check(value: dict[str, Any], shape: dict[str, Any]) -> None:
    """The keys and types of a JSON object, in the contract's order."""
    assert list(value) == list(shape)
    for name, kind in shape.items():
        assert isinstance(value[name], kind), name
        assert kind is not int or not isinstance(value[name], bool), name


@pytest.fixture
def ada(finance: Department) -> User:
    user = User.objects.create_user("ada", password=PASSWORD, role="staff")
    user.departments.add(finance)
    return user


def bearer(client: Client, user: User) -> dict[str, str]:
    answer = client.post(
        "/api/v1/token/", {"username": user.username, "password": PASSWORD}, content_type="application/json"
    )
    return {"Authorization": f"Bearer {answer.json()['access']}"}


class TestSearch:
    def test_the_answer_has_exactly_the_contracts_keys_and_types(
        self, client: Client, corpus: dict[str, Document], library: Department
    ) -> None:
        corpus["loans"].campus = Campus.objects.create(name="King's Buildings")
        corpus["loans"].last_reviewed = date(2025, 8, 15)
        corpus["loans"].save()
        answer = client.get("/api/v1/search/", {"q": "borrow books", "page_size": 3})
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/json"
        page = answer.json()
        check(page, PAGE)
        assert (page["query"], page["mode"], page["page"], page["page_size"]) == ("borrow books", "hybrid", 1, 3)
        assert (page["degraded"], page["from_cache"], page["did_you_mean"]) == ([], False, None)
        assert page["count"] == 7
        assert len(page["results"]) == 3
        assert page["request_id"] == answer["X-Request-ID"]
        assert datetime.fromisoformat(page["timestamp"]).tzinfo
        uuid.UUID(page["search_id"])
        for hit in page["results"]:
            check(hit, HIT)
            check(hit["document"], DOCUMENT)
            for passage in hit["passages"]:
                check(passage, PASSAGE)
            assert {name: hit[name] for name in PASSAGE} == hit["passages"][0]
            assert hit["url"] == f"/documents/{hit['document']['id']}/?page={hit['page_number']}"
            assert 0 < hit["similarity"] <= 1
        assert list(page["facets"]) == ["department", "campus", "doc_type", "language"]
        assert page["facets"]["department"] == [{"value": "Library", "count": 4}, {"value": "Finance", "count": 3}]
        assert page["facets"]["campus"] == [{"value": "King's Buildings", "count": 1}]
        best = page["results"][0]
        assert best["document"] | {"id": ""} == {
            "id": "", "title": "Borrowing from the library", "department": "Library", "campus": "King's Buildings",
            "doc_type": "guide", "clearance": 1, "language": "en", "priority": 3, "last_reviewed": "2025-08-15",
        }  # fmt: skip
        assert "<mark>borrow</mark>" in best["snippet"]

    def test_get_and_post_answer_the_same_to_anonymous_session_and_token(
        self, client: Client, corpus: dict[str, Document], finance: Department, ada: User
    ) -> None:
        serve("Staff travel", "Staff claim travel expenses.", department=finance, clearance=3)
        answers = {}
        for who in ("anonymous", "session", "token"):
            one = Client()
            headers = bearer(one, ada) if who == "token" else {}
            if who == "session":
                one.force_login(ada)
            got = one.get("/api/v1/search/", {"q": "travel", "department": "Finance", "page_size": 5}, headers=headers)
            body = {"query": "travel", "filters": {"department": ["Finance"]}, "page_size": 5}
            posted = one.post("/api/v1/search/", body, content_type="application/json", headers=headers)
            assert (got.status_code, posted.status_code) == (200, 200)
            answers[who] = steady(got.json())
            assert steady(posted.json()) == answers[who]
        assert answers["session"] == answers["token"] != answers["anonymous"]
        seen = {who: {hit["document"]["title"] for hit in page["results"]} for who, page in answers.items()}
        assert "Staff travel" in seen["token"]
        assert "Staff travel" not in seen["anonymous"]

    def test_filters_mode_and_page_are_taken_by_query_string_and_body(
        self, client: Client, corpus: dict[str, Document]
    ) -> None:
        query = (
            "q=books&department=Library&department=Finance&language=en&mode=keyword&min_priority=2&page=2&page_size=1"
        )
        body = {
            "query": "books",
            "filters": {"department": ["Library", "Finance"], "language": ["en"], "min_priority": 2},
            "mode": "keyword",
            "page": 2,
            "page_size": 1,
        }
        got = client.get(f"/api/v1/search/?{query}").json()
        posted = client.post("/api/v1/search/", body, content_type="application/json").json()
        assert steady(got) == steady(posted)
        assert (got["count"], got["page"], got["page_size"], got["mode"]) == (2, 2, 1, "keyword")
        assert len(got["results"]) == 1

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("", "q"), ("q=", "q"), ("q=%00%00", "q"), ("q=%3F%21", "q"), ("q=" + "a" * 501, "q"),
            ("q=a&page=0", "page"), ("q=a&page=1001", "page"), ("q=a&page_size=51", "page_size"),
            ("q=a&page_size=x", "page_size"),
            ("q=a&mode=fuzzy", "mode"), ("q=a&min_priority=9", "min_priority"),
            ("q=a&reviewed_after=1.1.25", "reviewed_after"),
        ],
    )  # fmt: skip
    def test_a_wrong_parameter_is_a_problem_that_names_it(
        self, client: Client, db: None, query: str, field: str
    ) -> None:
        answer = client.get(f"/api/v1/search/?{query}")
        assert answer.status_code == 400
        assert answer["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["title"], problem["status"]) == ("Bad Request", 400)
        assert list(problem["errors"]) == [field]
        assert problem["errors"][field][0]
        assert field in problem["detail"]
        assert problem["request_id"] == answer["X-Request-ID"]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ("[]", "non_field_errors"), ("null", "non_field_errors"), ("7", "non_field_errors"), ("{}", "query"),
            ('{"query": 7}', "query"), ('{"query": "a", "page": "x"}', "page"),
            ('{"query": "a", "page": 1e999}', "page"),
            ('{"query": "a", "filters": []}', "filters"), ('{"query": "a", "colour": 1}', "colour"),
            ('{"query": "a", "filters": {"reviewed_after": 5}}', "filters.reviewed_after"),
            ('{"query": "a", "filters": {"department": [{}]}}', "filters.department"),
        ],
    )  # fmt: skip
    def test_a_wrong_body_is_a_problem_that_names_the_field(
        self, client: Client, db: None, body: str, field: str
    ) -> None:
        answer = client.post("/api/v1/search/", body, content_type="application/json")
        assert answer.status_code == 400, answer.content
        assert list(answer.json()["errors"]) == [field]

    @pytest.mark.parametrize("body", ["{", '{"query": NaN}', "\x00", "[" * 50_000, '{"query": 1' + "0" * 5000])
    def test_what_is_no_json_is_a_400(self, client: Client, db: None, body: str) -> None:
        answer = client.post("/api/v1/search/", body, content_type="application/json")
        assert answer.status_code == 400
        assert answer.json()["detail"]

    @pytest.mark.parametrize(
        "text",
        [
            "'; DROP TABLE search_searchevent; --",
            "<script>alert(1)</script>",
            "update my address",
            "😀",
            "a",
            "x" * 500,
        ],
    )
    def test_odd_queries_are_answered_and_echoed(self, client: Client, corpus: dict[str, Document], text: str) -> None:
        answer = client.get("/api/v1/search/", {"q": text})
        assert answer.status_code == 200
        assert answer.json()["query"] == text
        assert SearchEvent.objects.filter(query=text).count() == 1

    def test_a_far_page_and_an_unknown_filter_are_empty_and_no_errors(
        self, client: Client, corpus: dict[str, Document]
    ) -> None:
        far = client.get("/api/v1/search/", {"q": "books", "page": 1000}).json()
        assert (far["count"], far["results"]) == (7, [])
        unknown = client.get("/api/v1/search/", {"q": "books", "department": "Nowhere"}).json()
        assert (unknown["count"], unknown["results"]) == (0, [])

    def test_with_public_search_off_only_the_signed_in_search(
        self, client: Client, corpus: dict[str, Document], ada: User, settings: Settings
    ) -> None:
        settings.PUBLIC_SEARCH = False
        for address in ("search/?q=books", "suggest/?q=bo", f"documents/{corpus['loans'].pk}/similar/"):
            assert client.get(f"/api/v1/{address}").status_code == 401
        client.force_login(ada)
        assert client.get("/api/v1/search/?q=books").status_code == 200


def steady(page: dict[str, Any]) -> dict[str, Any]:
    """An answer without what belongs to the one request."""
    return {
        name: value
        for name, value in page.items()
        if name not in ("search_id", "from_cache", "response_time", "request_id", "timestamp")
    }


class TestSuggest:
    def suggestions(self, client: Client, typed: str) -> list[str]:
        answer = client.get("/api/v1/suggest/", {"q": typed})
        assert answer.status_code == 200
        assert list(answer.json()) == ["suggestions"]
        return answer.json()["suggestions"]

    def test_titles_are_completed_from_the_beginning_of_their_words(
        self, client: Client, corpus: dict[str, Document]
    ) -> None:
        assert self.suggestions(client, "lib")[:2] == ["Library fines", "Borrowing from the library"]
        assert self.suggestions(client, "TRAVEL e") == ["Travel expenses"]
        assert self.suggestions(client, "图书") == ["图书馆借书规则"]
        assert self.suggestions(client, "brary") == []

    def test_only_what_the_viewer_may_see_is_suggested(
        self, client: Client, corpus: dict[str, Document], finance: Department, ada: User
    ) -> None:
        serve("Travel budget", "Secret.", department=finance, clearance=3, embedded=False)
        assert self.suggestions(client, "travel ") == ["Travel expenses"]
        client.force_login(ada)
        assert self.suggestions(client, "travel ") == ["Travel budget", "Travel expenses"]

    @pytest.mark.parametrize("typed", ["", " ", "\x00\x00", "%", "_", "%%", "__", "\\", "'; --", "x" * 5000, "\ud800"])
    def test_nothing_and_odd_input_suggest_nothing(
        self, client: Client, corpus: dict[str, Document], typed: str
    ) -> None:
        assert self.suggestions(client, typed.encode("utf-8", "replace").decode()) == []

    def test_at_most_eight_each_once(self, client: Client, library: Department) -> None:
        for number in range(12):
            serve(f"Guide {number % 10:02}", "Text.", department=library, embedded=False)
        found = self.suggestions(client, "guide")
        assert len(found) == len(set(found)) == 8


class TestSimilar:
    def test_visible_documents_nearest_first(self, client: Client, corpus: dict[str, Document]) -> None:
        answer = client.get(f"/api/v1/documents/{corpus['travel'].pk}/similar/")
        results = answer.json()["results"]
        assert list(answer.json()) == ["results"]
        assert results[0]["title"] == "Reisekosten"
        assert len(results) == 6
        for one in results:
            check(one, DOCUMENT)

    def test_hidden_and_unknown_are_alike(
        self, client: Client, corpus: dict[str, Document], finance: Department
    ) -> None:
        hidden = serve("Hidden", "Secret.", department=finance, clearance=2, embedded=False)
        answers = [client.get(f"/api/v1/documents/{pk}/similar/") for pk in (hidden.pk, uuid.uuid4())]
        assert [answer.status_code for answer in answers] == [404, 404]
        bodies = [json.loads(answer.content) | {"request_id": ""} for answer in answers]
        assert bodies[0] == bodies[1]


class TestFeedback:
    @pytest.fixture
    def searched(self, client: Client, corpus: dict[str, Document], ada: User) -> str:
        client.force_login(ada)
        return str(client.get("/api/v1/search/", {"q": "books"}).json()["search_id"])

    def say(self, client: Client, **given: Any) -> Any:
        return client.post("/api/v1/feedback/", given, content_type="application/json")

    def test_a_verdict_is_noted_and_a_later_one_replaces_it(
        self, client: Client, searched: str, corpus: dict[str, Document], ada: User
    ) -> None:
        document_id = str(corpus["loans"].pk)
        for verdict in ("helpful", "unhelpful"):
            answer = self.say(client, search_id=searched, document_id=document_id, verdict=verdict)
            assert (answer.status_code, answer.content) == (204, b"")
        noted = Feedback.objects.get()
        assert (noted.verdict, noted.user, str(noted.search_id)) == ("unhelpful", ada, searched)

    @pytest.mark.parametrize("field", ["search_id", "document_id", "verdict"])
    @pytest.mark.parametrize("value", [None, "", "x", 1.5, [], {}])
    def test_a_wrong_field_is_named(
        self, client: Client, searched: str, corpus: dict[str, Document], field: str, value: object
    ) -> None:
        given = {"search_id": searched, "document_id": str(corpus["loans"].pk), "verdict": "helpful"} | {field: value}
        answer = self.say(client, **given)
        assert answer.status_code == 400
        assert list(answer.json()["errors"]) == [field]

    def test_anothers_search_and_a_hidden_document_do_not_exist(
        self, client: Client, searched: str, corpus: dict[str, Document], library: Department
    ) -> None:
        hidden = serve("Hidden", "Secret.", department=library, clearance=4, embedded=False)
        visible = str(corpus["loans"].pk)
        bodies = []
        for search_id, document_id in (
            (searched, str(hidden.pk)), (searched, str(uuid.uuid4())), (str(uuid.uuid4()), visible),
        ):  # fmt: skip
            answer = self.say(client, search_id=search_id, document_id=document_id, verdict="helpful")
            assert answer.status_code == 404
            bodies.append(answer.json() | {"request_id": ""})
        assert bodies[0] == bodies[1] == bodies[2]
        other = Client()
        other.force_login(User.objects.create_user("eve", role="admin"))
        assert self.say(other, search_id=searched, document_id=visible, verdict="helpful").status_code == 404
        assert self.say(Client(), search_id=searched, document_id=visible, verdict="helpful").status_code == 404
        assert not Feedback.objects.exists()

    def test_the_anonymous_may_speak_of_their_own_search(self, corpus: dict[str, Document]) -> None:
        client = Client()
        search_id = client.get("/api/v1/search/", {"q": "books"}).json()["search_id"]
        answer = self.say(client, search_id=search_id, document_id=str(corpus["loans"].pk), verdict="helpful")
        assert answer.status_code == 204
        assert Feedback.objects.get().user is None


def test_a_document_that_is_not_embedded_yet_is_in_the_answer(client: Client, library: Department) -> None:
    serve("Gym", "The gymnasium opens at six.", department=library, embedded=False)
    count_statistics()
    page = client.get("/api/v1/search/", {"q": "gymnasium"}).json()
    assert [hit["document"]["title"] for hit in page["results"]] == ["Gym"]
    assert page["results"][0]["similarity"] == 0.0
