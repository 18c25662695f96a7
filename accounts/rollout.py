"""Whom the portal is open to while it is introduced, phase by phase."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.apps import apps
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.functions import Now

if TYPE_CHECKING:
    from accounts.models import User


@dataclass(frozen=True)
class Admission:
    """Whether somebody may use the portal now, and the phase by which; its name is empty where there are no phases."""

    admitted: bool
    phase: str = ""


def admission_of(user: User | None) -> Admission:
    """Whether the roll-out admits this person (None: nobody who is signed in), read from the database now.

    Where no phase was ever made, everybody. Otherwise whom a phase that runs now admits, and at any time those who
    prepare the portal: administrators, librarians, curators. Nobody else: a phase that ended closes the door.
    """
    phase_model = apps.get_model("accounts", "Phase")
    now = Now()
    running = Q(starts_at__lte=now) & (Q(ends_at__isnull=True) | Q(ends_at__gt=now))
    phases = phase_model.objects.order_by("starts_at", "pk").annotate(running=running)
    if user is None:
        phases = phases.annotate(invited=Value(False), member=Value(False))
    else:
        here = phase_model.objects.filter(pk=OuterRef("pk"))
        phases = phases.annotate(
            invited=Exists(here.filter(people=user.pk)),
            member=Exists(here.filter(groups__user=user.pk)) | Exists(here.filter(departments__members=user.pk)),
        )
    rows = list(phases.values_list("name", "running", "everyone", "percentage", "invited", "member"))
    if not rows:
        return Admission(True)
    current = [row for row in rows if row[1]]
    for name, _running, everyone, percentage, invited, member in current:
        if invited or ((everyone or member) and _drawn(user, percentage)):
            return Admission(True, name)
    prepares = user is not None and user.is_staff
    return Admission(prepares, current[-1][0] if prepares and current else "")


def _drawn(user: User | None, percentage: int) -> bool:
    """Whether this person is among the first so many per cent: always the same ones, and more as it rises.

    People who are not signed in cannot be told apart, so they come with all the others or not at all.
    """
    if user is None:
        return percentage == 100
    place = int.from_bytes(hashlib.sha256(f"rollout {user.pk}".encode()).digest()[:4]) % 100
    return place < percentage
