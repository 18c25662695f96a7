"""What `./cloister drill ingest` and `./cloister bench ingest` stand on: that they notice what they look for."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from dataclasses import replace
from typing import cast

import pytest

from deploy.bench._ingest_documents import mixed
from deploy.bench._ingest_model import DIMENSIONS, vector_json
from deploy.bench._ingest_parts import NODE, WORKER, Parts
from deploy.drill._ingest_faults import KILLS_OF_EACH, SPOKEN, Fault, Faults, planned
from deploy.drill._ingest_outcome import Look, Outcome, differences

LOOK = Look("ready", "itself", "chunks", 3)
NAMES = (("a.md", "", ""), ("annex.txt", "mail.eml", "annex.txt"))
CALM = Outcome(dict.fromkeys(NAMES, (LOOK,)), 0, 0, 0)


@pytest.mark.parametrize(
    ("looks", "kind"),
    [
        ((), "lost"),
        ((LOOK, LOOK), "doubled"),
        ((replace(LOOK, status="embedding"),), "not_ready"),
        ((replace(LOOK, status="failed", error="why"),), "not_ready"),
        ((replace(LOOK, chunks="others"),), "other_chunks"),
        ((replace(LOOK, chunk_count=4),), "other_chunks"),
        ((replace(LOOK, itself="other"),), "otherwise"),
    ],
)
def test_each_difference_is_told_by_its_kind(looks: tuple[Look, ...], kind: str) -> None:
    disturbed = Outcome({NAMES[0]: (LOOK,), **({NAMES[1]: looks} if looks else {})}, 0, 0, 0)
    found = {name: some for name, some in vars(differences(CALM, disturbed)).items() if some}

    assert list(found) == [kind]
    assert all(text.startswith("annex.txt in mail.eml") for text in found[kind])


def test_a_document_that_nobody_uploaded_is_told() -> None:
    disturbed = Outcome({**CALM.documents, ("stranger.md", "", ""): (LOOK,)}, 0, 0, 0)
    assert differences(CALM, disturbed).strange == ["stranger.md"]


def test_the_same_is_no_difference() -> None:
    assert not any(vars(differences(CALM, CALM)).values())


def test_every_part_is_killed_as_often_as_promised_and_a_seed_repeats_it() -> None:
    plan, again, other = (planned(random.Random(seed)) for seed in (3, 3, 4))  # noqa: S311 (a plan, no secret)

    assert Counter(fault.part for fault in plan) == dict.fromkeys(SPOKEN, KILLS_OF_EACH)
    assert plan == again
    assert plan != other


class Log:
    """Notes what is done to a stack of which every part that is not down is up."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def is_ready(self, name: str) -> bool:
        return True

    def kill(self, name: str) -> None:
        self.done.append(f"killed {name}")

    def start(self, name: str) -> None:
        self.done.append(f"started {name}")


def test_a_kill_waits_for_its_moment_for_documents_in_flight_and_for_work_that_goes_on() -> None:
    log, plan = Log(), [Fault(WORKER, after=2.0, after_ready=3, down_for=1.5), Fault(NODE, 1.0, 5, 0.5)]
    faults = Faults(cast(Parts, log), plan, in_flight=500)

    def at(now: float, *, in_flight: int, ready: int, uploading: bool = True) -> list[str]:
        log.done.clear()
        faults.go_on(now, Counter(queued=in_flight - 2, embedding=2, ready=ready), uploading=uploading)
        return [*log.done]

    assert at(8.0, in_flight=499, ready=50) == []
    assert at(9.0, in_flight=500, ready=60) == [], "its time is counted from here"
    assert at(11.0, in_flight=499, ready=60) == []
    assert at(11.1, in_flight=501, ready=60) == [f"killed {WORKER}"]
    assert (plan[0].at, plan[0].in_flight, plan[0].made_ready) == (11.1, 501, 60)
    assert at(12.2, in_flight=505, ready=64) == [], "five more must be ready"
    assert plan[0].recovered_after == 1.1
    assert at(12.7, in_flight=505, ready=65) == [f"started {WORKER}", f"killed {NODE}"]
    assert (plan[1].made_ready, faults.all_committed, faults.are_over) == (5, True, False)
    assert at(13.3, in_flight=505, ready=65) == [f"started {NODE}"]
    assert faults.are_over


def test_once_uploads_have_ended_nobody_waits_for_more_in_flight() -> None:
    log, plan = Log(), [Fault(WORKER, after=2.0, after_ready=1, down_for=1.0)]
    faults = Faults(cast(Parts, log), plan, in_flight=500)
    for now in (1.0, 4.0):
        faults.go_on(now, Counter(queued=7, ready=3), uploading=False)

    assert (log.done, plan[0].in_flight) == ([f"killed {WORKER}"], 7), "the drill's bar says that these were few"


def test_the_stand_in_makes_unit_vectors_that_are_the_texts_own() -> None:
    one, same, other = (json.loads(vector_json(text)) for text in ("opening hours", "opening hours", "opening hour"))

    assert len(one) == DIMENSIONS
    assert math.isclose(math.hypot(*one), 1, abs_tol=1e-6)
    assert one == same
    assert abs(sum(a * b for a, b in zip(one, other, strict=True))) < 0.3


def test_documents_are_the_same_each_time_and_no_two_alike() -> None:
    made = mixed(40)

    assert made[:5] == mixed(5)
    assert len({one.content for one in made}) == len({one.file_name for one in made}) == 40
    assert {one.file_name.rsplit(".")[-1] for one in made} == {"txt", "md", "html", "docx", "pdf", "eml"}
