"""One university made by hand: every door, every kind of viewer, before and after what happens to it."""

from __future__ import annotations

import pytest

from ingestion import statistics
from ingestion.models import LanguageCentre, Term
from portal.tests.noninterference.comparison import DOORS, Browser, Tally, leaks
from portal.tests.noninterference.doors import Ask
from portal.tests.noninterference.stories import apply
from portal.tests.noninterference.university import CHANGES, DOCUMENTS, EVERYONE, UNIVERSITY, asks
from portal.tests.noninterference.world import make
from search import nearest

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("viewer", range(len(EVERYONE)), ids=EVERYONE)
def test_every_answer_is_that_of_a_database_without_what_is_hidden(viewer: int) -> None:
    world, tally = make(UNIVERSITY), Tally()
    # A third of the questions for each viewer, another third for the next: every one is asked by three of them.
    browser, asked = Browser(world.people[viewer]), asks(len(DOCUMENTS))[viewer % 3 :: 3]
    found = list(leaks(world, browser, asked, tally))
    for change in CHANGES:
        apply(world, change)
    statistics.refresh()
    found += leaks(world, browser, asked, tally)
    assert not found, "\n\n".join(map(str, found))
    assert tally.cases == 2 * len(asked)


def test_these_questions_are_asked_of_every_door() -> None:
    assert {ask.door for ask in asks(len(DOCUMENTS))} == set(DOORS)


@pytest.mark.parametrize("viewer", [4], ids=[EVERYONE[4]])
def test_the_same_holds_through_the_index(viewer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more visible chunks than are compared one by one; here, for the little that there is."""
    monkeypatch.setattr(nearest, "EXACT_UP_TO", 0)
    monkeypatch.setattr(nearest, "SMALL_LANGUAGES_UP_TO", 0)
    world, tally = make(UNIVERSITY), Tally()
    through = ("search by query string", "search by JSON", "documents like it")
    asked = [Ask(name, document=n, query=n, filters=n, number=n) for name in through for n in range(12)]
    found = list(leaks(world, Browser(world.people[viewer]), asked, tally))
    assert not found, "\n\n".join(map(str, found))
    assert tally.cases == len(asked)


def test_statistics_that_enter_scores_know_only_what_is_public() -> None:
    make(UNIVERSITY)
    hidden = ["zebra", "quagga", "okapi", "iniciados", "hr-13"]
    assert not Term.objects.filter(word__in=hidden).exists()
    assert set(LanguageCentre.objects.values_list("language", flat=True)) == {"", "en", "de", "zh"}
