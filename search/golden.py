"""Golden queries: questions whose right answers librarians know, asked of the live corpus every night.

A golden query tells of the documents that it expects, and its ranks of what the person sees as whom it is asked. So it
and its results are shown to nobody who does not manage each of those documents and see all that that person sees.
"""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from accounts.clearance import ANONYMOUS_ROLE, ROLE_CLEARANCE, Role, Viewer
from accounts.models import Department, User
from ingestion.models import Document
from search import service
from search.evaluation import ndcg, recall, reciprocal_rank
from search.models import GoldenQuery, GoldenResult, GoldenRun
from search.query import parse_query

logger = logging.getLogger(__name__)

DEPTH = 10
"""Hits that are looked at: the first page."""

GIVEN_UP_AFTER = timedelta(hours=1)
"""After so long an unfinished run is taken for lost, and another may begin. A question takes a fraction of a second."""

KEPT_FOR = timedelta(days=730)
"""Runs are deleted after two years."""

LOCK = 4_711_006
"""Advisory lock of the database under which a run begins: two people who press the button begin one."""


def golden_queries(viewer: Viewer) -> QuerySet[GoldenQuery]:
    """The golden queries that this viewer may see, change and be told the results of."""
    if not viewer.curates:
        return GoldenQuery.objects.none()
    if viewer.role == Role.ADMIN:
        return GoldenQuery.objects.all()
    managed = Document.objects.manageable_by(viewer).order_by().values("pk")
    expected = GoldenQuery.expected.through.objects.filter(goldenquery=OuterRef("pk"))
    asked = GoldenQuery.departments.through.objects.filter(goldenquery=OuterRef("pk"))
    return GoldenQuery.objects.filter(
        Exists(expected),
        ~Exists(expected.exclude(document__in=managed)),
        ~Exists(asked.exclude(department__in=viewer.departments)),
        role__in=roles_for(viewer),
    )


def roles_for(viewer: Viewer) -> list[str]:
    """The roles as whom this viewer may ask: none sees more than they do themselves."""
    if viewer.role == Role.ADMIN:
        return list(ROLE_CLEARANCE)
    own = viewer.effective_clearance
    return [role for role, clearance in ROLE_CLEARANCE.items() if role != Role.ADMIN and clearance <= own]


def departments_for(viewer: Viewer) -> QuerySet[Department]:
    """The departments as whose member this viewer may ask."""
    every = Department.objects.all()
    return every if viewer.every_department else every.filter(pk__in=viewer.departments)


def asked_as(golden: GoldenQuery) -> Viewer:
    """The viewer as whom a golden query is asked: somebody of this role in these departments, on no campus."""
    return Viewer(  # access: sees no more than whoever set the query up, and whoever is told of it (golden_queries)
        role=golden.role,
        clearance=ROLE_CLEARANCE[golden.role],
        departments=frozenset(golden.departments.values_list("pk", flat=True)),
        every_department=golden.role == Role.ADMIN,
    )


def described(golden: GoldenQuery) -> str:
    """As whom it is asked, in words."""
    names = ", ".join(sorted(one.name for one in golden.departments.all()))
    who = "nobody signed in" if golden.role == ANONYMOUS_ROLE else str(Role(golden.role).label)
    return f"{who} of {names}" if names else who


def settle(golden: GoldenQuery) -> None:
    """Write down of what the next results are: after a change the earlier ones say nothing of it."""
    parts = [
        golden.query,
        golden.mode,
        golden.role,
        sorted(golden.departments.values_list("pk", flat=True)),
        sorted(str(pk) for pk in golden.expected.values_list("pk", flat=True)),  # access: a digest
    ]
    golden.fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    golden.save(update_fields=["fingerprint"])


def unfinished() -> GoldenRun | None:
    """The run that is on its way."""
    lately = GoldenRun.objects.filter(finished_at=None, started_at__gt=timezone.now() - GIVEN_UP_AFTER)
    return lately.first()


def begin(by: User | None = None) -> tuple[GoldenRun, bool]:
    """A new run, or the one that is on its way; whether it is new."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        if (running := unfinished()) is not None:
            return running, False
        return GoldenRun.objects.create(started_by=by), True


def to_ask() -> QuerySet[GoldenQuery]:
    """The golden queries of a run: those in use that still expect a document."""
    expected = GoldenQuery.expected.through.objects.filter(goldenquery=OuterRef("pk"))
    return GoldenQuery.objects.filter(Exists(expected), is_active=True)


def run(run_id: int) -> GoldenRun | None:
    """Ask every golden query that this run has not asked yet, and finish it; None where there is no such run to finish.

    A task that comes twice goes on where the first one was. Where no embedding node answers, the run measures nothing
    and says so. Runs that are too old go.
    """
    running = GoldenRun.objects.filter(pk=run_id, finished_at=None).first()
    if running is None:
        return None
    GoldenRun.objects.filter(started_at__lt=timezone.now() - KEPT_FOR).delete()
    for golden in to_ask().exclude(results__run=running).prefetch_related("departments"):
        result = _result(golden)
        if result is None:
            running.failure = "No embedding node answered, so that the queries could be asked by words only."
            GoldenResult.objects.filter(run=running).delete()
            logger.warning("golden queries were not measured: %s", running.failure)
            break
        # Another worker may have been there first.
        GoldenResult.objects.get_or_create(run=running, golden=golden, defaults=result)
    running.finished_at = timezone.now()
    running.save(update_fields=["finished_at", "failure"])
    return running


def _result(golden: GoldenQuery) -> dict[str, str | float | int | None] | None:
    """How this query fares now; None where it was answered without its meaning."""
    expected = {str(pk) for pk in golden.expected.values_list("pk", flat=True)}  # access: compared, not shown
    query = parse_query({"q": golden.query, "mode": golden.mode, "page_size": str(DEPTH)})
    page = service.search(query, viewer=asked_as(golden), endpoint="evaluation", audited=False)
    if page.degraded:
        return None
    found = [hit.document.id for hit in page.hits]
    return {
        "fingerprint": golden.fingerprint,
        "rank": next((rank for rank, one in enumerate(found, start=1) if one in expected), None),
        "ndcg": ndcg(found, expected, DEPTH),
        "reciprocal_rank": reciprocal_rank(found, expected, DEPTH),
        "recall": recall(found, expected, DEPTH),
    }
