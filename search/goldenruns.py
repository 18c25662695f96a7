"""What the runs of the golden queries say: their history, which queries fell, and whether all of them together did.

Every figure is made of the results that its reader may see (search.golden): an average over the others would tell of
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean

from django.conf import settings
from django.db.models import Avg, Count, F, QuerySet

from accounts.clearance import OPERATOR, Viewer
from search.golden import golden_queries
from search.models import GoldenResult, GoldenRun

SHOWN_RUNS = 60
"""Runs that the chart and the table show: two months of nights."""

COMPARED_WITH = timedelta(days=7)
"""A run is compared with the best of a week before it. Compared with the last one alone, a fall would be forgotten the
night after, and many small ones would never be one."""


@dataclass(frozen=True)
class Measured:
    """The averages of one run."""

    run: GoldenRun
    queries: int
    ndcg: float
    mrr: float
    recall: float


@dataclass(frozen=True)
class Change:
    """A query whose first right document stands elsewhere than in the run before; None: not among the first ten."""

    result: GoldenResult
    before: int | None

    @property
    def fell(self) -> bool:
        """Whether it stands lower now."""
        return _place(self.result.rank) > _place(self.before)


@dataclass(frozen=True)
class Fall:
    """The average nDCG@10 of the last run, and of the run that it fell from, over the queries that both asked."""

    now: float
    before: float
    since: GoldenRun
    queries: int


def results_for(viewer: Viewer) -> QuerySet[GoldenResult]:
    """The results of finished runs that this viewer may see, of golden queries as they are now."""
    seen = golden_queries(viewer).order_by().values("pk")
    return GoldenResult.objects.filter(
        run__finished_at__isnull=False, golden__in=seen, fingerprint=F("golden__fingerprint")
    )


def history(viewer: Viewer, runs: int = SHOWN_RUNS) -> list[Measured]:
    """The last finished runs, so many of them, that measured anything which the viewer may see; oldest first."""
    latest = list(GoldenRun.objects.filter(finished_at__isnull=False, failure="")[:runs])
    averaged = {
        pk: figures
        for pk, *figures in results_for(viewer)
        .filter(run__in=latest)
        .values_list("run")
        .annotate(Count("pk"), Avg("ndcg"), Avg("reciprocal_rank"), Avg("recall"))
    }
    return [Measured(run, *averaged[run.pk]) for run in reversed(latest) if run.pk in averaged]


def changes(viewer: Viewer) -> list[Change]:
    """The queries of the last run that stand elsewhere than in the run before, those that fell first."""
    runs = [one.run.pk for one in history(viewer)[-2:]]
    if len(runs) == 1 or not runs:
        return []
    earlier, last = runs
    before = dict(results_for(viewer).filter(run=earlier).values_list("golden", "rank"))
    now = results_for(viewer).filter(run=last).select_related("golden")
    changed = [
        Change(result, before[result.golden_id])
        for result in now
        if result.golden_id in before and result.rank != before[result.golden_id]
    ]
    return sorted(changed, key=lambda one: (not one.fell, one.result.golden.query, one.result.golden_id))


def fall_for(viewer: Viewer, *, earlier: bool = False) -> Fall | None:
    """How far the last run (or, `earlier`, the one before it) is below the best of the week before.

    None where that is less far than GOLDEN_FALL. Only what both runs asked is compared, so that a new and difficult
    query is no fall.
    """
    measured = history(viewer)[: -1 if earlier else None]
    if not measured:
        return None
    last = measured[-1].run
    before = [one.run for one in measured[:-1] if one.run.started_at >= last.started_at - COMPARED_WITH]
    found: dict[int, dict[int, float]] = {}
    results = results_for(viewer).filter(run__in=[last, *before])
    for run_id, golden, ndcg in results.values_list("run", "golden", "ndcg"):
        found.setdefault(run_id, {})[golden] = ndcg
    now = found[last.pk]
    falls = []
    for run in before:
        if common := now.keys() & found[run.pk].keys():
            had, has = (fmean(found[one.pk][golden] for golden in common) for one in (run, last))
            falls.append(Fall(has, had, run, len(common)))
    worst = max(falls, key=lambda fall: fall.before - fall.now, default=None)
    return worst if worst and worst.before - worst.now >= settings.GOLDEN_FALL else None


def latest() -> Measured | None:
    """The averages of the last finished run over all golden queries, for operators."""
    measured = history(OPERATOR, runs=1)  # access: an average, for operators' networks only
    return measured[-1] if measured else None


def _place(rank: int | None) -> float:
    return float("inf") if rank is None else rank
