"""How good the search is on judged sets, with the model that is bundled.

    ./cloister bench quality [--json] [--every N] [FOLDER]

Each set in the folder (`../shared/data/retrieval`, or `retrieval` in CLOISTER_SHARED_DATA) is put through the real
search: loaded by the pipeline's own parts, asked in each mode, measured, and rolled back. A set in several languages is
asked as a whole and language by language. Two kinds of bars:

- floors for the sets and pairs of languages that the issue names, over all questions;
- on every set and pair, known or not: how far hybrid is below the better of its two legs; of a set in several languages
  on one question in ten (`--every`).

It uses the database `quality` beside the one that DATABASE_URL names, and drops it. Without a running instance it
starts the parts that it needs, for as long.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from deploy.bench import AtLeast, Bar, conclude, machine
from deploy.bench._parts import again_with_parts, missing
from deploy.bench._quality_sets import Measured, measure, sets_in
from deploy.local.home import ROOT

SCRATCH = "quality"
EVERY = 10

MEASURES = ("ndcg@10", "mrr@10")
MOST_BELOW = 0.01
"""How far hybrid may be below the better leg (the issue that introduced this benchmark, as the floors)."""

FLOORS = {
    "scifact": ("ndcg@10", 0.72),
    "npl": ("ndcg@10", 0.45),
    "xquad_tune, same language": ("mrr@10", 0.96),
}
PAIRS_OF = "xquad_tune"
SAME_LANGUAGE_FLOOR, EUROPEAN_FLOOR, CHINESE_FLOOR = 0.96, 0.88, 0.76
"""MRR@10 of questions in one language against documents in one language: the same, two of en, de and es, one of them
Chinese."""


def main() -> int:
    """Measure, print, and return the exit status."""
    asked = _asked()
    sets = sets_in(asked.folder)
    if not sets:
        print(f"There is no judged set in {asked.folder}: name the folder that has them.", file=sys.stderr)
        return 1
    if missing():
        return again_with_parts("deploy.bench.quality")
    before = machine()
    found: list[Measured] = []
    with _scratch_database():
        for one in sets:
            for measured in measure(one, every=asked.every):
                found.append(measured)
                print(_line(measured), file=sys.stderr, flush=True)
    return conclude(
        "quality",
        on=before,
        data=f"{', '.join(one.name for one in sets)}; "
        f"legs of sets in several languages on one question in {asked.every}",
        figures={one.name: _figures(one) for one in found},
        bars=[*(bar for one in found for bar in floors(one)), *(below(one) for one in found)],
    )


def _asked() -> argparse.Namespace:
    shared = Path(os.environ.get("CLOISTER_SHARED_DATA", ROOT.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(prog="cloister bench quality")
    parser.add_argument("folder", nargs="?", type=Path, default=shared / "retrieval")
    parser.add_argument(
        "--every", type=int, default=EVERY, help="of sets in several languages ask one question in so many"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


@contextmanager
def _scratch_database() -> Iterator[None]:
    """An empty, migrated database for as long as this lasts; the portal's models speak for it."""
    beside = os.environ["DATABASE_URL"]
    name = sql.Identifier(SCRATCH)
    with psycopg.connect(beside, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            os.environ["DATABASE_URL"] = urlsplit(beside)._replace(path=f"/{SCRATCH}").geturl()
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
            import django
            from django.core.management import call_command

            django.setup()
            call_command("migrate", verbosity=0)
            yield
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _figures(one: Measured) -> dict[str, Any]:
    shown = (*MEASURES, "recall@100")
    figures = {mode: {name: found[name] for name in shown if name in found} for mode, found in one.by_mode.items()}
    if one.whole is not None:
        figures["hybrid, all questions"] = {name: one.whole[name] for name in MEASURES}
    return figures


def _line(one: Measured) -> str:
    modes = ", ".join(
        f"{mode} {' / '.join(f'{found[measure]:.3f}' for measure in MEASURES)}" for mode, found in one.by_mode.items()
    )
    return f"{one.name}: nDCG@10 / MRR@10: {modes}"


def floors(one: Measured) -> Iterator[Bar]:
    """What the issue asks of this set or pair."""
    if one.name in FLOORS:
        measure_name, floor = FLOORS[one.name]
        yield AtLeast(f"{one.name}: hybrid {measure_name}", one.whole_hybrid(measure_name), floor)
    if one.pair is not None and one.name.startswith(f"{PAIRS_OF},"):
        questions, documents = one.pair
        floor = SAME_LANGUAGE_FLOOR if questions == documents else EUROPEAN_FLOOR
        if questions != documents and "zh" in one.pair:
            floor = CHINESE_FLOOR
        yield AtLeast(f"{one.name}: hybrid mrr@10", one.whole_hybrid("mrr@10"), floor)


def below(one: Measured) -> Bar:
    """How far hybrid is below the better leg, by the measure where it is furthest."""
    below = max(one.best_leg(name) - one.hybrid(name) for name in MEASURES)
    return Bar(f"{one.name}: hybrid below its better leg", round(max(0.0, below), 4), MOST_BELOW)


if __name__ == "__main__":
    sys.exit(main())
