"""Is this installation fit to be opened to people: everything that an operator would check by hand, in one list."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.clearance import Role
from accounts.models import User
from ingestion import extraction, progress, vectorspace
from ingestion.models import Status
from portal import health


@dataclass(frozen=True)
class Finding:
    """One thing that was checked. `needed` says whether the portal can open without it."""

    name: str
    ok: bool
    detail: str
    needed: bool = True


def findings() -> list[Finding]:
    """Everything that was checked, the needed things first. Without a database there is nothing more to check."""
    parts = health.components()
    found = [
        Finding(name, part.healthy, part.error or "answers", needed=name in (*health.NEEDED, "embedding_service"))
        for name, part in parts.items()
    ]
    if parts["database"].healthy:
        found += [_migrations(), _vector_space(), _administrator(), _corpus()]
    found += [_cookies(), _isolation()]
    return sorted(found, key=lambda one: not one.needed)


def _migrations() -> Finding:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    detail = f"{len(waiting)} to run: manage.py migrate" if waiting else "all have run"
    return Finding("migrations", not waiting, detail)


def _vector_space() -> Finding:
    """Whether the settings name the model in use. One that the nodes do not have, or have with other weights, is found
    by the embedding service's own check, which the portal does need."""
    problem = vectorspace.difference()
    return Finding("vector_space", not problem, problem or f"{vectorspace.live().model}, as configured", needed=False)


def _administrator() -> Finding:
    some = User.objects.filter(role=Role.ADMIN, is_active=True).exists()
    detail = "there is one" if some else "there is none: manage.py create_user NAME --role admin"
    return Finding("administrator", some, detail)


def _corpus() -> Finding:
    counts = progress.counts()
    detail = f"{counts[Status.READY]} documents ready, {counts[Status.FAILED]} failed"
    return Finding("corpus", counts[Status.READY] > 0, detail, needed=False)


def _cookies() -> Finding:
    secure = bool(settings.SESSION_COOKIE_SECURE)
    detail = "travel over TLS only" if secure else "travel over plain HTTP: right for this machine alone"
    return Finding("cookies", secure, detail, needed=False)


def _isolation() -> Finding:
    """What files of strangers are read in, on the machine of this command: the workers' may have another kernel."""
    held = extraction.isolation()
    missing = [one for one in extraction.MEASURES if one not in held]
    detail = f"files are read with {', '.join(held) or 'limits only'}"
    if missing:
        detail += f"; this kernel does not give: {', '.join(missing)}"
    return Finding("isolation", not missing, detail, needed=False)
