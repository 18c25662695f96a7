"""Log lines: what they say, what they never say, and how many there are."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.db import IntegrityError, connection
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import Department
from ingestion.tasks import reconcile
from portal import tracing
from portal.celery import app
from portal.logs import JsonFormatter, RequestIdFilter, SampleFilter, levels_from, shares_from, without_secrets

pytestmark = pytest.mark.django_db


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Everything that is logged, at the level at which most is, as the portal writes it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(RequestIdFilter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_no_line_holds_a_query_or_a_password_or_a_token(
    client: Client, stream: io.StringIO, settings: Settings
) -> None:
    settings.LOG_REQUESTS = 1.0
    settings.SLOW_QUERY_SECONDS = 1e-9
    settings.OLLAMA_URLS = ["http://somebody:their-secret@127.0.0.1:1"]
    for mode in ("hybrid", "semantic", "keyword", "wrong"):
        client.get("/search/", {"q": "unmistakable words", "mode": mode})
        client.get("/api/v1/search/", {"q": "unmistakable words", "mode": mode})
        client.post("/api/v1/search/", {"query": "unmistakable words", "mode": mode}, "application/json")
    client.get("/suggest/", {"q": "unmistakable"})
    client.get("/api/v1/me/", headers={"Authorization": "Bearer their-secret-token"})
    client.post("/accounts/login/", {"username": "adalbert", "password": "their-secret-word"})
    client.get("/health")
    said = stream.getvalue()
    assert "without meaning" in said, "there were lines to look at"
    assert "unmistakable" not in said
    assert "their-secret" not in said
    assert "adalbert" not in said


def test_a_refused_value_is_not_repeated(stream: io.StringIO) -> None:
    name = " ".join(["Dr", "Mabuse"])  # apart: a traceback shows the line that failed, as it is written here
    Department.objects.create(name=name)
    try:
        Department.objects.create(name=name)
    except IntegrityError:
        logging.getLogger("portal").exception("it was there already")
    (line,) = [one for one in lines(stream) if one["logger"] == "portal"]
    assert "unique constraint" in line["traceback"]
    assert "Mabuse" not in line["traceback"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot reach redis://user:pass@cache:6379/0", "cannot reach redis://***@cache:6379/0"),
        ("sent Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.x.y", "sent Authorization: Bearer ***"),
        ("password=hunter22 was wrong", "password=*** was wrong"),
        ("no mail for anna.hall@example.ac.uk today", "no mail for (an e-mail address) today"),
        ("token expired; basic rules apply", "token expired; basic rules apply"),
        ("http://127.0.0.1:11434 does not answer", "http://127.0.0.1:11434 does not answer"),
    ],
)
def test_secrets_and_addresses_are_taken_out(text: str, left: str) -> None:
    assert without_secrets(text) == left


@pytest.mark.parametrize("typed", ["a" * 40_000, "x://" + ":" * 40_000])
def test_a_long_path_takes_no_longer_than_its_length(typed: str) -> None:
    began = time.process_time()
    assert without_secrets(typed) == typed
    assert time.process_time() - began < 0.5


def test_both_ways_of_logging_write_the_same_kind_of_line(stream: io.StringIO) -> None:
    structlog.stdlib.get_logger("portal.requests").warning("request", view="search", seconds=1.5, person="Anna")
    logging.getLogger("portal.requests").warning("request", extra={"view": "search", "seconds": 1.5, "person": "Anna"})
    first, second = lines(stream)
    assert list(first) == ["time", "level", "logger", "event", "seconds", "view"]
    assert first | {"time": ""} == second | {"time": ""}


class TestRequests:
    def test_one_that_fails_or_takes_long_has_a_line_and_a_share_of_the_others(
        self, client: Client, stream: io.StringIO, settings: Settings
    ) -> None:
        def about() -> list[dict[str, Any]]:
            return [one for one in lines(stream) if one["logger"] == "portal.requests"]

        client.get("/search/?q=books&mode=keyword")
        assert about() == []
        settings.SLOW_REQUEST_SECONDS = 0.0
        answer = client.get("/search/?q=books&mode=keyword")
        (line,) = about()
        assert line["request_id"] == answer["X-Request-ID"]
        assert (line["method"], line["kind"], line["view"], line["status"]) == ("GET", "page", "search", 200)
        settings.SLOW_REQUEST_SECONDS, settings.LOG_REQUESTS = 100.0, 1.0
        client.generic("BREW\r\nforged", "/")
        assert [one["method"] for one in about()] == ["GET", "other"]


class TestSamples:
    @staticmethod
    def kept(share: float, level: int = logging.INFO, *, ids: int = 400, lines_of_each: int = 3) -> list[int]:
        """Of each request, how many of its lines are kept."""
        sample = SampleFilter({"celery": share})
        found = []
        for number in range(ids):
            record = logging.LogRecord("celery.worker.job", level, "", 1, "said", None, None)
            record.request_id = f"request-{number}"
            found.append(sum(sample.filter(record) for _ in range(lines_of_each)))
        return found

    def test_of_a_request_all_lines_are_kept_or_none(self) -> None:
        kept = self.kept(0.25)
        assert set(kept) == {0, 3}
        assert 60 <= kept.count(3) <= 140

    def test_warnings_are_all_kept(self) -> None:
        assert set(self.kept(0.0, logging.WARNING)) == {3}
        assert set(self.kept(0.0)) == {0}

    def test_others_are_all_kept(self) -> None:
        record = logging.LogRecord("search.service", logging.INFO, "", 1, "said", None, None)
        assert SampleFilter({"celery": 0.0}).filter(record)

    def test_the_settings_are_read(self) -> None:
        assert shares_from("celery=0.1, ingestion=0.5") == {"celery": 0.1, "ingestion": 0.5}
        assert levels_from("search=debug") == {"search": "DEBUG"}
        assert shares_from("") == {}
        with pytest.raises(ValueError, match="LOG_SAMPLE"):
            shares_from("celery")


class TestRequestIds:
    def test_statements_carry_it(self, client: Client) -> None:
        with statements() as seen:
            answer = client.get("/search/?q=books&mode=keyword", headers={"X-Request-ID": "complaint-4711"})
        assert answer["X-Request-ID"] == "complaint-4711"
        assert seen
        assert [sql for sql in seen if not sql.endswith("/*request_id='complaint-4711'*/")] == []

    def test_what_came_in_is_no_part_of_a_statement_unless_it_is_an_id(self, client: Client) -> None:
        with statements() as seen:
            client.get("/search/?q=books&mode=keyword", headers={"X-Request-ID": "*/; DROP TABLE x; /*%s"})
        assert seen
        assert not [sql for sql in seen if "DROP" in sql]

    def test_outside_requests_there_is_none(self) -> None:
        with statements() as seen:
            Department.objects.exists()
        assert not [sql for sql in seen if "/*" in sql]

    def test_tasks_carry_it(self) -> None:
        with app.connection_for_write() as broker:
            token = tracing.request_id.set("complaint-4711")
            try:
                reconcile.apply_async(queue="test-request-ids")
            finally:
                tracing.request_id.reset(token)
            queue = broker.SimpleQueue("test-request-ids")
            try:
                message = queue.get(timeout=5)
                message.ack()
            finally:
                queue.queue.delete()
                queue.close()
        assert message.headers["request_id"] == "complaint-4711"

    def test_what_a_task_says_bears_the_id_of_the_request_that_sent_it(self) -> None:
        seen: list[str] = []

        @app.task(name="test.say")
        def say() -> None:
            seen.append(tracing.request_id.get())

        say.apply(headers={"request_id": "complaint-4711"}, task_id="a-task-0001")
        say.apply(headers={"request_id": "*/ forged"}, task_id="a-task-0002")
        assert seen == ["complaint-4711", "a-task-0002"]
        assert tracing.request_id.get() == ""


class TestSlowStatements:
    def test_one_is_told_with_the_shape_of_its_plan_and_no_value(self, stream: io.StringIO, settings: Settings) -> None:
        tracing._explained.clear()
        settings.SLOW_QUERY_SECONDS = 1e-9
        list(Department.objects.filter(name="unmistakable"))
        (line,) = [one for one in lines(stream) if one["event"] == "slow statement"]
        assert line["level"] == "warning"
        assert line["seconds"] >= 0
        assert "accounts_department" in line["plan"]
        assert "Scan" in line["plan"]
        assert "unmistakable" not in stream.getvalue()
        list(Department.objects.filter(name="another"))
        assert lines(stream)[-1]["plan"] == "told before"

    def test_usual_ones_are_not_told(self, stream: io.StringIO) -> None:
        list(Department.objects.all())
        assert "slow statement" not in stream.getvalue()


class statements:  # noqa: N801  (used like a function)
    """What the database is sent."""

    def __enter__(self) -> list[str]:
        self.seen: list[str] = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
            self.seen.append(sql)
            return execute(sql, params, many, context)

        # Innermost: behind what adds to the statements.
        self.wrapper = note
        connection.ensure_connection()
        connection.execute_wrappers.append(note)
        return self.seen

    def __exit__(self, *_: object) -> None:
        connection.execute_wrappers.remove(self.wrapper)
