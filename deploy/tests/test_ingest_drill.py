"""What `./cloister drill ingest` and `./cloister bench ingest` stand on: that they notice what they look for."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from dataclasses import replace

import pytest

from deploy.bench._ingest_documents import mixed
from deploy.bench._ingest_model import DIMENSIONS, vector_json
from deploy.drill._ingest_outcome import Look, Outcome, differences
from deploy.drill.ingest import KILLS_OF_EACH, SPOKEN, planned

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
    assert [fault.at for fault in plan] == sorted(fault.at for fault in plan)
    assert plan == again
    assert plan != other


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
