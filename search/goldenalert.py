"""The alert when the golden queries fall: a mail to whoever may see those that did."""

from __future__ import annotations

import logging
from smtplib import SMTPException
from urllib.parse import urljoin

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.clearance import LIBRARIANS, Role, viewer_for
from accounts.models import User
from search.goldenruns import changes, fall_for

logger = logging.getLogger(__name__)

NAMED = 20
"""Queries named in one mail; the page behind its link shows the others."""


def warn() -> int:
    """Tell librarians and administrators that the last run fell, each from what they may see; how many mails went out.

    Does nothing without a mail server; the home page of the desk says the same.
    """
    if not settings.SENDS_MAIL:
        return 0
    responsible = Q(role=Role.ADMIN) | Q(groups__name=LIBRARIANS)
    sent = 0
    for person in User.objects.filter(responsible, is_active=True).exclude(email="").distinct().order_by("pk"):
        message = _message(person)
        if message is None:
            continue
        try:
            message.send()
        except (SMTPException, OSError):
            logger.exception("the alert for %s could not be sent", person.username)
            continue
        sent += 1
    return sent


def _message(person: User) -> EmailMessage | None:
    """The mail to this person; None where nothing that they may see fell since."""
    viewer = viewer_for(person)
    fall, told = fall_for(viewer), fall_for(viewer, earlier=True)
    # What the run before showed was told then.
    if fall is None or (told is not None and told.now <= fall.now):
        return None
    fallen = [change for change in changes(viewer) if change.fell]
    context = {
        "name": person.get_full_name() or person.username,
        "fall": fall,
        "fallen": fallen[:NAMED],
        "further": len(fallen[NAMED:]),
        "address": urljoin(settings.PUBLIC_URL, reverse("admin:search_goldenquery_runs")),
    }
    return EmailMessage(
        subject="The search finds less than it did",
        body=render_to_string("search/golden_alert.txt", context),
        to=[person.email],
        headers={"Auto-Submitted": "auto-generated"},
    )
