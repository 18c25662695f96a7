"""Auditors: the group, and who is in it."""

from typing import Any

from django.http import HttpRequest

from accounts.clearance import AUDITORS


def make_group(**_: Any) -> None:
    """Make sure that the group exists (run after each migrate). It holds no permission: pages ask for it by name."""
    from django.contrib.auth.models import Group

    Group.objects.get_or_create(name=AUDITORS)


def audits(request: HttpRequest) -> bool:
    """Whether this is an auditor, as the database has it now, who does not look as somebody else."""
    user = request.user
    return user.is_authenticated and user.is_active and user.is_auditor and user.seen_as is None
