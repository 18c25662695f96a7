"""Is it alive, is it ready, and how is each part: `/health`, `/health/live`, `/health/ready`."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as OutOfTime
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, connections
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from accounts.clearance import Role
from ingestion import vectorspace
from ingestion.embeddings import EmbeddingUnavailable
from portal.celery import app as celery_app

TIMEOUT_SECONDS = 1.5
"""For each part; they are asked side by side, so `/health` as a whole takes hardly longer."""

NEEDED = ("database",)
"""Without these no search is answered; without the others it is answered degraded."""


@dataclass(frozen=True)
class Component:
    """How one part is. `response_time` is in seconds."""

    healthy: bool
    response_time: float
    details: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def _database() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            # Fails where pgvector is missing or migrations have not run: such a database answers no search.
            cursor.execute(
                "SELECT '[1,0]'::halfvec <=> '[0,1]'::halfvec, EXISTS (SELECT FROM ingestion_chunk),"
                " EXISTS (SELECT FROM search_searchevent), (SELECT count(*) FROM django_migrations)"
            )  # access: asks whether the table is there
            distance, *_, migrations = cursor.fetchone()
        if distance != 1:
            raise RuntimeError("the vector operation answered wrongly")
        return {"migrations": migrations}
    finally:
        connection.close()


def _replicas() -> dict[str, Any]:
    """Every read replica that is configured; all is well where there is none."""
    aliases = sorted(set(connections) - {DEFAULT_DB_ALIAS})
    for alias in aliases:
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT 1")
        finally:
            connections[alias].close()
    return {"configured": len(aliases)}


def _embedding() -> dict[str, Any]:
    try:
        space = vectorspace.live()
    except (OperationalError, InterfaceError):
        space = vectorspace.configured()  # the database has a check of its own
    finally:
        connection.close()
    description = space.client().describe()
    if description.dimensions != space.dimensions:
        raise EmbeddingUnavailable(f"the model gives {description.dimensions} dimensions")
    return {"model": description.name, "dimensions": description.dimensions}


def _cache() -> dict[str, Any]:
    # Not through Django's cache, which hides a lost server on purpose.
    cache: Any = caches["default"]
    cache.client.get_client().ping()
    return {}


def _workers() -> dict[str, Any]:
    # The first answer will do: without a limit it would wait for more until the time is over.
    answers = celery_app.control.ping(timeout=1.0, limit=1)
    if not answers:
        raise RuntimeError("no worker answers; documents wait in the queue")
    return {"answering": [name for answer in answers for name in answer]}


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "database": _database,
    "embedding_service": _embedding,
    "cache": _cache,
    "workers": _workers,
    "replicas": _replicas,
}


def components(names: tuple[str, ...] = tuple(CHECKS)) -> dict[str, Component]:
    """Each part asked at the same time, none for longer than TIMEOUT_SECONDS."""
    pool = ThreadPoolExecutor(max_workers=len(names))
    started = time.perf_counter()
    asked = {name: pool.submit(_timed, CHECKS[name]) for name in names}
    found = {}
    for name, future in asked.items():
        left = max(0.0, TIMEOUT_SECONDS - (time.perf_counter() - started))
        try:
            found[name] = future.result(timeout=left)
        except OutOfTime:
            found[name] = Component(False, TIMEOUT_SECONDS, error=f"no answer within {TIMEOUT_SECONDS} s")
    pool.shutdown(wait=False, cancel_futures=True)
    return found


def _timed(check: Callable[[], dict[str, Any]]) -> Component:
    started = time.perf_counter()
    try:
        details, error = check(), ""
    except Exception as failure:  # noqa: BLE001  (whatever is wrong with a part is what this page is there to say)
        details, error = {}, f"{type(failure).__name__}: {failure}"
    return Component(not error, round(time.perf_counter() - started, 4), details, error)


def report() -> dict[str, Any]:
    """The whole state. Healthy as long as searches are answered, be it degraded."""
    parts = components()
    up = all(parts[name].healthy for name in NEEDED)
    status = "down" if not up else "ok" if all(part.healthy for part in parts.values()) else "degraded"
    return {
        "healthy": up,
        "status": status,
        "timestamp": timezone.now().isoformat(),
        "components": {name: asdict(part) for name, part in parts.items()},
    }


FORWARDING = frozenset(("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"))
"""Headers by which a proxy says that it asks for somebody else."""


def is_operator(request: HttpRequest) -> bool:
    """Whether this request comes from an administrator or from one of the operators' networks."""
    address = ip_address(request.META["REMOTE_ADDR"] or "::")
    # A proxy on this machine speaks for others; its own checks carry no forwarding header.
    direct = not FORWARDING.intersection(name.lower() for name in request.headers)
    if direct and any(address in ip_network(network) for network in settings.OPERATOR_NETWORKS):
        return True
    try:
        user = request.user
        return user.is_authenticated and user.role == Role.ADMIN
    except (OperationalError, InterfaceError):
        return False  # without the database nobody is known; the operators' networks are


def health(request: HttpRequest) -> JsonResponse:
    """200 while searches are answered, else 503. Details only to operators."""
    found = report()
    if not is_operator(request):
        for part in found["components"].values():
            part["details"], part["error"] = {}, "" if part["healthy"] else "unavailable"
    return JsonResponse(found, status=200 if found["healthy"] else 503, headers={"Cache-Control": "no-store"})


def live(request: HttpRequest) -> JsonResponse:
    """200 as long as this process answers at all."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when this process can answer searches, else 503."""
    database = components(("database",))["database"]
    return JsonResponse({"status": "ok" if database.healthy else "down"}, status=200 if database.healthy else 503)
