"""Random corpora, people, questions and changes: at every moment, for every viewer and every door, the answer is that
of a database from which what the viewer may neither see nor manage was physically deleted.

A case is one moment, one viewer and one door. CLOISTER_LEAK_CASES says how many there must be at least (`./cloister
drill leaks` asks for more), CLOISTER_LEAK_SEED chooses others, and CLOISTER_LEAK_REPORT names a file for the outcome.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from pytest_django.fixtures import Settings

from ingestion import statistics
from portal.tests.noninterference.comparison import DOORS, Browser, Leak, Tally, leaks
from portal.tests.noninterference.stories import Story, apply, stories
from portal.tests.noninterference.world import make
from search.vocabulary import refresh as read_vocabulary

CASES = int(os.environ.get("CLOISTER_LEAK_CASES", "2000"))
SEED = int(os.environ.get("CLOISTER_LEAK_SEED", "20250815"))
REPORT = os.environ.get("CLOISTER_LEAK_REPORT")
STORIES_AT_A_TIME = 15


def tell(story: Story, tally: Tally, django_settings: Settings) -> list[Leak]:
    """Play a story in a transaction that is undone; the leaks of its first bad moment."""
    django_settings.PUBLIC_SEARCH = story.world.public_search
    cache.clear()
    with transaction.atomic():
        world = make(story.world)
        browsers = [Browser(world.people[place]) for place in story.viewers]
        found: list[Leak] = []
        for change in (None, *story.changes):
            if change is not None:
                apply(world, change)
                statistics.refresh()
                read_vocabulary()
            found = [leak for browser in browsers for leak in leaks(world, browser, story.asks, tally)]
            if found:
                break
        transaction.set_rollback(True)
    return found


def some_stories(number: int, tally: Tally, django_settings: Settings) -> None:
    """Tell a handful of stories, always the same ones for a number. A story that betrays something is cut short to the
    least that still does, and raised."""

    @seed(number)
    @hypothesis_settings(
        max_examples=STORIES_AT_A_TIME,
        deadline=None,
        database=None,
        # The drill counts; what it finds is looked at with the tests, from the same seed.
        phases=(Phase.generate,) if REPORT else (Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(stories)
    def told(story: Story) -> None:
        found = tell(story, tally, django_settings)
        assert not found, "\n\n".join(map(str, found))

    told()


@pytest.mark.django_db
@pytest.mark.timeout(6 * 3600)
def test_no_story_betrays_what_is_hidden(settings: Settings) -> None:
    tally, started, rounds, leaked = Tally(), time.monotonic(), 0, True
    try:
        while tally.cases < CASES:
            some_stories(SEED + rounds, tally, settings)
            rounds += 1
        leaked = False
    finally:
        outcome = {
            "cases": tally.cases,
            "leaks": int(leaked),
            "doors": len(tally.doors),
            "seed": SEED,
            "stories": rounds * STORIES_AT_A_TIME,
            "seconds": round(time.monotonic() - started, 1),
        }
        sys.stdout.write(f"\nnon-interference: {json.dumps(outcome)}\n")
        if REPORT:
            Path(REPORT).write_text(json.dumps(outcome), encoding="utf-8")
    if CASES >= 2000:
        assert tally.doors == set(DOORS)
