"""Whether the embedding model can be changed under searches: none fails, and none mixes the vectors of two models.

    ./cloister drill reembed [--json]

Two web servers, a worker and the clock on a new database, with some 1,500 chunks embedded by the model that the
environment gives. Then, twice, the corpus goes over to another model of a stand-in node (the first has vectors of
another length, the second of the same), while 20 searches a second come over HTTP: the second space is filled, during
which restricted documents are taken in, and in the first pass the worker is killed; it is checked, switched to, rolled
back, switched to again, and the old space cleaned up.

Every answer is compared with what the same question is answered in quiet times, with the one model and with the other:
it must be one of the two, to the last hit and the fourth digit of each similarity.
"""

from __future__ import annotations

import random
import statistics as figures_of
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.bench import Bar, conclude, machine
from deploy.bench._parts import again_with_parts, missing
from deploy.drill._reembed_model import MODELS
from deploy.drill._reembed_parts import Worker, portal, stand_in, wait
from deploy.drill._reembed_searches import Answer, Ranking, Searches, reference
from deploy.drill._stale_servers import database_of_our_own

CHUNKS = 1500
QUESTIONS = 60
SEARCHES_A_SECOND = 20.0
TAKEN_IN_MEANWHILE = 10
SETTLE_SECONDS = 2.0
"""Of searches after each step, before the next."""

PLACES = "library archive laboratory cafeteria gymnasium observatory greenhouse workshop theatre chapel"
THINGS = "key permit poster invoice microscope bicycle locker violin ladder projector camera notebook"
ACTS = "borrow return repair reserve inspect label insure clean store order"
PEOPLE = "students lecturers porters visitors librarians technicians musicians gardeners researchers"
TIMES = "Monday Tuesday Wednesday Thursday Friday spring autumn winter morning evening"


@dataclass
class Passed:
    """What one change of the model was like."""

    old: str
    new: str
    before: dict[str, Ranking]
    after: dict[str, Ranking] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    without_vector: int = 0
    recall: float | None = None
    steps: dict[str, tuple[float, float]] = field(default_factory=dict)
    """When each step began and ended, of the monotonic clock."""

    @property
    def faults(self) -> list[str]:
        """The searches that were not answered, or not by meaning."""
        return [f"{one.phase}: {one.fault}" for one in self.answers if one.fault]

    @property
    def mixed(self) -> list[str]:
        """The answers that are neither the old model's nor the new one's."""
        known = (self.before, self.after)
        return [
            f"{one.phase}: {one.question}"
            for one in self.answers
            if not one.fault and all(one.ranking != ranking[one.question] for ranking in known)
        ]

    def longest_ms(self, *steps: str) -> float:
        """The longest of the searches that were under way during these steps."""
        spans = [self.steps[step] for step in steps]
        met = [
            one.seconds
            for one in self.answers
            if any(one.asked_at <= end and one.asked_at + one.seconds >= begin for begin, end in spans)
        ]
        return round(max(met, default=0.0) * 1000)


def main() -> int:
    """Run the drill, print, and return the exit status."""
    if missing():
        return again_with_parts("deploy.drill.reembed")
    before, started = machine(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cloister-drill-") as name, database_of_our_own():
        folder = Path(name)
        with stand_in(folder) as node, portal(folder, node) as (servers, worker):
            questions = _corpus()
            passes = [_change(servers, worker, questions, MODELS[0], kill=True)]
            passes.append(_change(servers, worker, questions, MODELS[1], kill=False))
    faults = [fault for one in passes for fault in one.faults]
    mixed = [fault for one in passes for fault in one.mixed]
    figures: dict[str, Any] = {"seconds": round(time.monotonic() - started)}
    for number, one in enumerate(passes, start=1):
        seconds = sorted(answer.seconds for answer in one.answers)
        figures |= {
            f"pass_{number}": f"{one.old} to {one.new}",
            f"pass_{number}_searches": len(seconds),
            f"pass_{number}_p50_ms": round(figures_of.median(seconds) * 1000),
            f"pass_{number}_p99_ms": round(seconds[int(len(seconds) * 0.99)] * 1000),
            f"pass_{number}_longest_during_the_switches_ms": one.longest_ms("switch", "roll back", "switch again"),
            f"pass_{number}_longest_ms": round(seconds[-1] * 1000),
            f"pass_{number}_recall_of_the_index": one.recall,
            f"pass_{number}_steps_s": {step: round(end - begin, 1) for step, (begin, end) in one.steps.items()},
        }
    for kind, found in (("failed", faults), ("mixed", mixed)):
        if found:
            figures[kind] = found[:20]
    alike = sum(one.before[question] == one.after[question] for one in passes for question in questions)
    return conclude(
        "reembed",
        on=before,
        data=f"{CHUNKS:,} chunks, {SEARCHES_A_SECOND:g} searches a second at two web servers, two changes of the model "
        "(to vectors of another length, and of the same), the worker killed once",
        figures=figures,
        bars=[
            Bar("failed searches", len(faults), 0),
            Bar("searches that mix the vectors of two models", len(mixed), 0),
            Bar("chunks without a vector after a switch", sum(one.without_vector for one in passes), 0),
            Bar("questions that both models answer alike", alike, 0),
            Bar("seconds", round(time.monotonic() - started), 600),
        ],
    )


def _corpus() -> list[str]:
    """Write the public chunks with their vectors; the questions."""
    from django.db import transaction

    from accounts.models import Department
    from ingestion import filling, statistics, vectorspace
    from ingestion.models import Document, DocumentType

    chance = random.Random(4)  # noqa: S311  (a made-up corpus)
    department = Department.objects.create(name="Drill")
    guide = DocumentType.objects.get(slug="guide")
    said = [[chance.choice(words.split()) for words in (ACTS, THINGS, PLACES, PEOPLE, TIMES)] for _ in range(CHUNKS)]
    texts = []
    for number, (act, thing, place, people, moment) in enumerate(said):
        document = Document(
            title=f"{thing.capitalize()} {number}",
            file_name=f"{number}.txt",
            file_size=1,
            sha256=f"{number:064x}",
            department=department,
            doc_type=guide,
            clearance=1,
            audience="institution",
            language="en",
        )
        texts.append((document, f"On {moment} {people} {act} the {thing} of the {place}, desk {chance.randrange(90)}."))
    vectorspace.learned()
    for start in range(0, CHUNKS, 300):
        with transaction.atomic():
            filling.insert_ready(texts[start : start + 300])
    statistics.refresh()
    return [
        f"may {people} {act} a {thing} {place}"
        for act, thing, place, people in {tuple(one[:4]): None for one in chance.sample(said, QUESTIONS)}
    ]


def _change(servers: list[str], worker: Worker, questions: list[str], model: str, *, kill: bool) -> Passed:
    """Change to this model under searches."""
    from ingestion import reembedding, vectorspace

    _say(f"From {vectorspace.live().model} to {model}")
    passed = Passed(vectorspace.live().model, model, reference(servers[0], questions))

    @contextmanager
    def step(name: str) -> Iterator[None]:
        _say(f"  {name}")
        searches.phase = name
        begun = time.monotonic()
        yield
        passed.steps[name] = (begun, time.monotonic())
        time.sleep(SETTLE_SECONDS)

    with Searches(servers, questions, SEARCHES_A_SECOND) as searches:
        searches.phase = "before"
        time.sleep(SETTLE_SECONDS)
        with step("begin"):
            reembedding.begin(model, held=True)
        with step("fill and check"):
            taken_in = _take_in(model)
            if kill:
                wait(lambda: reembedding.standing().filled > CHUNKS // 4)
                worker.kill()
                stood = reembedding.standing().filled
                worker.start()
                wait(lambda: reembedding.standing().filled > stood)
            wait(lambda: _are_ready(taken_in))
            wait(lambda: reembedding.standing().state == "checked" and not reembedding.standing().missing)
        passed.recall = reembedding.standing().recall
        for name, act in (
            ("switch", reembedding.switch),
            ("roll back", reembedding.roll_back),
            ("switch again", reembedding.roll_back),
        ):
            with step(name):
                act()
            passed.without_vector += _without_vector()
        with step("clean up"):
            reembedding.clean_up()
    passed.after = reference(servers[0], questions)
    passed.answers = searches.answers
    return passed


def _take_in(model: str) -> list[Any]:
    """Upload documents that the searches may not see, as a librarian does; their ids."""
    from django.core.files.base import ContentFile

    from accounts.clearance import OPERATOR
    from accounts.models import Department
    from ingestion import pipeline
    from ingestion.models import DocumentType

    metadata = pipeline.DocumentMetadata(
        department=Department.objects.get(name="Drill"),
        doc_type=DocumentType.objects.get(slug="guide"),
        clearance=4,
        audience="department",
    )
    made = []
    for number in range(TAKEN_IN_MEANWHILE):
        text = f"# Minutes {number}\n\nTaken in while the corpus went over to {model}. They met {number} times."
        made.append(
            pipeline.register(
                ContentFile(text.encode()), file_name=f"minutes-{model}-{number}.md", viewer=OPERATOR, metadata=metadata
            ).pk
        )
    return made


def _are_ready(ids: list[Any]) -> bool:
    from ingestion.models import Document

    ready: int = Document.objects.filter(pk__in=ids, status="ready").count()
    return ready == len(ids)


def _without_vector() -> int:
    from ingestion.models import Chunk

    return Chunk.objects.filter(embedding__isnull=True).count()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
