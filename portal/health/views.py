"""`/health`, `/health/live` and `/health/ready`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from ipaddress import ip_address, ip_network
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from accounts.clearance import Role
from portal.health.watch import Component, components

NEEDED = ("database",)
"""Without these, or what stands in for them, no search is answered; without the others it is answered degraded."""

FORWARDING = frozenset(("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"))
"""Headers by which a proxy says that it asks for somebody else."""


def report() -> dict[str, Any]:
    """The whole state. Healthy as long as searches are answered, be it degraded."""
    parts = components()
    up = answers_searches(parts)
    well = all(part.healthy and not part.error for part in parts.values())
    return {
        "healthy": up,
        "status": "down" if not up else "ok" if well else "degraded",
        "timestamp": timezone.now().isoformat(),
        "components": {name: asdict(part) for name, part in parts.items()},
    }


def answers_searches(parts: Mapping[str, Component]) -> bool:
    """Whether searches are answered: by the database, or by a replica that stands in for it."""
    if all(parts[name].healthy for name in NEEDED):
        return True
    followers = parts["replicas"].details.get("replicas", {}).values()
    return any(one["healthy"] for one in followers)


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
    up = answers_searches(components((*NEEDED, "replicas")))
    return JsonResponse({"status": "ok" if up else "down"}, status=200 if up else 503)
