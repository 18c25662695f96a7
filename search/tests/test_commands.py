"""The search from the command line: the same answer as that person's, and a warm cache."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command

from accounts.models import Department, User
from ingestion.models import Document
from search.models import SearchEvent
from search.tests.corpus import serve

pytestmark = pytest.mark.django_db


def run(*arguments: str, **options: Any) -> str:
    written = StringIO()
    call_command(*arguments, stdout=written, **options)
    return written.getvalue()


def test_search_shows_what_that_person_would_see(corpus: dict[str, Document], finance: Department) -> None:
    User.objects.create_user("ada", role="staff").departments.add(finance)
    serve("Staff travel", "Staff claim travel expenses.", department=finance, clearance=3)
    assert "Staff travel" in run("search", "travel expenses", name="ada")
    shown = run("search", "travel expenses", name="anonymous")
    assert "1. Travel expenses  [Finance, guide, clearance 1, en]" in shown
    assert "Staff travel" not in shown
    assert "<mark>" not in shown
    page = json.loads(run("search", "travel expenses", name="anonymous", mode="keyword", page_size=1, json=True))
    assert (page["mode"], len(page["results"]), page["count"]) == ("keyword", 1, 1)
    assert page["results"][0]["document"]["title"] == "Travel expenses"


def test_search_says_what_a_score_is_made_of(corpus: dict[str, Document]) -> None:
    shown = run("search", "travel expenses", name="anonymous", explain=True)
    score = float(re.search(r"1\. Travel expenses  .*\]  (\S+)", shown)[1])  # type: ignore[index]
    parts = re.search(r"similarity .*", shown)[0].split(", ")  # type: ignore[index]
    assert sum(float(part.rpartition(" ")[2]) for part in parts) == pytest.approx(score, abs=0.001)
    assert [part.rpartition(" ")[0] for part in parts][:3] == ["similarity", "language bias", "words"]
    assert "similarity" not in run("search", "travel expenses", name="anonymous")


@pytest.mark.parametrize(
    ("query", "name", "reason"), [("?!", "anonymous", "no word"), ("loans", "eve", "no user 'eve'")]
)
def test_search_says_what_is_wrong(db: None, query: str, name: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("search", query, name=name)


def test_the_most_frequent_queries_need_no_node_afterwards(corpus: dict[str, Document], settings: Any) -> None:
    for query, times, mode in (
        ("books", 3, "hybrid"),
        ("loans", 2, "semantic"),
        ("fees", 1, "hybrid"),
        ("x", 9, "keyword"),
    ):
        for _ in range(times):
            SearchEvent.objects.create(query=query, role="student", mode=mode, count=1, duration_ms=1)
    cache.clear()
    assert run("warm_cache", queries=2) == "2 query vectors and 0 answers are in the cache.\n"
    settings.OLLAMA_URLS = ["http://127.0.0.1:1"]
    assert json.loads(run("search", "loans", name="anonymous", json=True))["degraded"] == []
    assert json.loads(run("search", "fees", name="anonymous", json=True))["degraded"] == ["embedding_unavailable"]
    with pytest.raises(CommandError, match="Start an embedding node"):
        run("warm_cache")
