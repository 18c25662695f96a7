"""Queues as operators see them: what waits, since when, and canaries that pass through."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
from celery.contrib.testing.worker import start_worker
from django.conf import settings as project
from pytest_django.fixtures import Settings

from ingestion.tasks import reconcile
from portal import queues, tasks
from portal.celery import app


@pytest.fixture(autouse=True)
def broker() -> Iterator[redis.Redis]:
    """The real broker, with none of our queues in it."""
    with redis.Redis.from_url(project.CELERY_BROKER_URL) as server:
        server.delete(queues.NOTES, *queues.QUEUES)
        yield server
        server.delete(queues.NOTES, *queues.QUEUES)


def test_what_waits_is_counted_with_its_age(broker: redis.Redis) -> None:
    assert queues.states()["maintenance"].waiting == 0
    assert queues.states()["maintenance"].oldest is None
    reconcile.apply_async(headers={queues.SENT_AT: time.time() - 90})
    reconcile.delay()
    state = queues.states()["maintenance"]
    assert state.waiting == 2
    assert 90 <= (state.oldest or 0) < 100
    assert state.trouble == ""


def test_a_queue_that_nobody_empties_is_stuck() -> None:
    reconcile.apply_async(headers={queues.SENT_AT: time.time() - 2000})
    assert "1 tasks wait, the first for 2000 s" in queues.states()["maintenance"].trouble


def test_a_queue_that_moved_is_not_stuck_and_one_that_moved_long_ago_is(broker: redis.Redis) -> None:
    queues.note_moved("ingestion")
    assert queues.states()["ingestion"].trouble == ""
    broker.hset(queues.NOTES, "moved:ingestion", time.time() - 3000)
    assert "nothing was begun for 3000 s" in queues.states()["ingestion"].trouble


def test_one_canary_waits_in_each_queue_and_counts_for_no_document(broker: redis.Redis) -> None:
    for _ in range(3):
        tasks.send_canaries()
    assert [broker.llen(queue) for queue in queues.QUEUES] == [1, 1, 1]
    assert [state.waiting for state in queues.states().values()] == [0, 0, 0]


def test_a_canary_that_was_lost_with_its_queue_is_sent_again(broker: redis.Redis) -> None:
    tasks.send_canaries()
    broker.delete("reembed")
    broker.hset(queues.NOTES, "sent:reembed", time.time() - queues.LOST_SECONDS - 1)
    tasks.send_canaries()
    assert [broker.llen(queue) for queue in queues.QUEUES] == [1, 1, 1]


@pytest.mark.django_db
def test_a_worker_lets_canaries_through_each_queue() -> None:
    tasks.send_canaries()
    app.amqp.queues.select(queues.QUEUES)
    try:
        with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=20):
            deadline = time.monotonic() + 20
            while any(state.since_canary is None for state in queues.states().values()):
                assert time.monotonic() < deadline, queues.states()
                time.sleep(0.05)
    finally:
        app.amqp._queues = None
    for state in queues.states().values():
        assert state.since_moved is not None
        assert state.since_moved < 20
        assert state.waiting == 0
        assert state.trouble == ""


def test_a_broker_of_another_kind_has_no_states(settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    assert queues.states() == {}
    assert queues.without_canary() == []
    queues.note_moved("ingestion")
