"""What was withdrawn does not show for one more request: the drill in short, and that the drill notices."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from deploy.drill._stale_changes import CHANGES
from deploy.drill._stale_doors import KEY, SESSION, TOKEN, Answer
from deploy.drill.stale import Tally
from portal.tests.processes import ROOT

ANSWERS = 300


# Half a minute on two idle cores; longer where others work.
@pytest.mark.timeout(600)
def test_two_web_servers_show_nothing_stale_after_any_change() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "deploy.drill.stale", "--json", "--answers", str(ANSWERS)],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.stdout, done.stderr[-2000:]
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["ok"], outcome
    assert outcome["figures"]["answers_after_a_change"] >= ANSWERS
    assert outcome["figures"]["answers_that_had_to_show_it"] >= ANSWERS
    assert set(outcome["figures"]["answers_by_change"]) == {change.name for change in CHANGES}


def _tally(answer: Answer) -> Tally:
    tally = Tally()
    tally.note(CHANGES[0], [answer], ended=frozenset((SESSION, TOKEN)))
    return tally


def test_the_drill_counts_what_still_shows_as_stale() -> None:
    tally = _tally(Answer(SESSION, 1, "search page", 200, shown=True))
    assert (tally.withdrawn, tally.stale.total()) == (1, 1)


def test_the_drill_counts_what_does_not_show_though_it_should() -> None:
    tally = _tally(Answer(KEY, 0, "API search", 200, shown=False))
    assert (tally.granted, tally.hidden.total(), tally.stale.total()) == (1, 1, 0)


def test_the_drill_takes_an_error_for_no_answer_at_all() -> None:
    tally = _tally(Answer(TOKEN, 0, "API search", 500, shown=False))
    assert (tally.withdrawn, tally.broken.total()) == (0, 1)
