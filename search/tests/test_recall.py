"""Recall sampled in production: which searches are compared, what is kept of them, and what operators see."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.clearance import PUBLIC_VIEWER
from accounts.models import User
from ingestion.models import Document
from search import nearest, recall, service
from search.models import RecallSample, SearchEvent
from search.query import Mode, SearchQuery

pytestmark = pytest.mark.django_db

LOW, HIGH = uuid.UUID(int=1), uuid.UUID(int=2**128 - 2)


@pytest.fixture
def through_index(corpus: dict[str, Document], monkeypatch: pytest.MonkeyPatch) -> dict[str, Document]:
    """The corpus, which is taken for one of which more is visible than is compared one by one."""
    monkeypatch.setattr(nearest, "EXACT_UP_TO", -1)
    return corpus


def noted(pk: uuid.UUID = LOW, **more: Any) -> SearchEvent:
    said = {"role": "anonymous", "query": "borrow books", "mode": "hybrid", "count": 1, "duration_ms": 1} | more
    return SearchEvent.objects.create(id=pk, **said)


def test_a_search_through_the_index_is_compared_once_and_its_role_kept(
    through_index: dict[str, Document], settings: Any, client: Client
) -> None:
    settings.RECALL_SAMPLE_SHARE = 1
    student = User.objects.create_user("student", role="student")
    noted()
    noted(HIGH, user=student, role="student", filters={"language": ["en"]})
    assert recall.sample() == 2
    assert recall.sample() == 0
    assert recall.figures() == {"anonymous": (1.0, 1), "student": (1.0, 1)}
    RecallSample.objects.filter(role="student").update(recall=0.5)
    told = client.get("/metrics").content.decode()
    assert 'search_recall{role="student"} 0.5' in told
    assert 'search_recall_samples{role="anonymous"} 1.0' in told
    assert "borrow" not in told


def test_a_search_that_was_compared_chunk_by_chunk_is_no_sample(corpus: dict[str, Document], settings: Any) -> None:
    settings.RECALL_SAMPLE_SHARE = 1
    noted()
    assert recall.sample() == 0
    assert recall.figures() == {}


@pytest.mark.parametrize(
    "unlike",
    [
        {"pk": HIGH},
        {"mode": "keyword"},
        {"query": ""},
        {"query": '"twenty books"'},
        {"seen_as": "student"},
        {"role": "staff"},  # whoever it was, is gone
    ],
    ids=str,
)
def test_other_searches_are_left_alone(
    through_index: dict[str, Document], settings: Any, unlike: dict[str, Any]
) -> None:
    settings.RECALL_SAMPLE_SHARE = 0.5
    noted(**unlike)
    assert recall.sample() == 0


def test_a_share_of_nothing_and_old_searches_are_left_alone(through_index: dict[str, Document], settings: Any) -> None:
    settings.RECALL_SAMPLE_SHARE = 1
    noted(at=timezone.now() - recall.LOOKED_BACK)
    assert recall.sample() == 0
    noted(uuid.uuid4())
    settings.RECALL_SAMPLE_SHARE = 0
    assert recall.sample() == 0


def test_what_the_index_missed_counts(through_index: dict[str, Document], settings: Any,
                                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """An index that hands over one chunk of the eight that there are."""
    settings.RECALL_SAMPLE_SHARE = 1
    monkeypatch.setattr(nearest, "_THROUGH_INDEX", nearest._THROUGH_INDEX.replace("LIMIT %s", "LIMIT %s - 99"))
    monkeypatch.setattr(nearest, "SMALL_LANGUAGES_UP_TO", -1)
    noted()
    assert recall.sample() == 1
    assert recall.figures() == {"anonymous": (pytest.approx(1 / 8), 1)}


@pytest.mark.parametrize(
    ("found", "there", "expected"),
    [
        ([0.9, 0.8], [0.9, 0.8], 1.0),
        ([0.9, 0.7], [0.9, 0.8], 0.5),
        ([0.8], [0.9, 0.8], 0.5),
        ([], [0.9], 0.0),
        ([], [], None),
        ([0.9] * 3 + [0.5] * 9, [0.9] * 5 + [0.6] * 20, 0.3),
        ([0.9] * 20, [0.9] * 20, 1.0),
    ],
)
def test_recall_is_the_share_of_the_nearest_ten(found: list[float], there: list[float], expected: float | None) -> None:
    assert recall.recall_of(found, there) == (None if expected is None else pytest.approx(expected))


def test_a_search_itself_does_nothing_for_it(through_index: dict[str, Document], settings: Any) -> None:
    settings.RECALL_SAMPLE_SHARE, settings.SEARCH_CACHE_SECONDS = 1, 0
    service.search(SearchQuery("borrow books", mode=Mode.SEMANTIC), viewer=PUBLIC_VIEWER)
    assert SearchEvent.objects.filter(at__gt=timezone.now() - timedelta(minutes=1)).count() == 1
    assert not RecallSample.objects.exists()
