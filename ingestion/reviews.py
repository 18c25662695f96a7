"""Reminders of reviews: a mail to whoever looks after documents whose review is due, or soon will be.

Its owner is asked, while they still manage the document; else the librarians and curators of its department. A document
is asked for at most once a month. The home page of the desk shows the same, with mail or without.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import date, timedelta
from smtplib import SMTPException
from urllib.parse import urljoin
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts.clearance import CURATORS, LIBRARIANS, viewer_for
from accounts.models import User
from ingestion.attention import review_day, review_due
from ingestion.models import Document
from ingestion.runs import lock_all

logger = logging.getLogger(__name__)

AHEAD = timedelta(days=30)
"""How long before its day a review is asked for: time enough to find whoever knows."""

NOT_AGAIN_FOR = timedelta(days=30)
"""How long a document is not asked for again."""

NAMED = 50
"""Documents named in one mail; the list behind its link shows the others."""

_LOCK = 0x436C6F72
"""Key of the advisory lock that keeps two workers from asking at once ("Clor")."""


def remind(today: date | None = None) -> int:
    """Ask for the reviews that are due or soon will be; how many mails went out. Does nothing without a mail server.

    The documents are marked as asked for once the mails are out. Those for which none went out are asked for in the
    next round; so are all if this is cut short, for a second mail is better than none. Of two that run at once one
    does nothing.
    """
    if not settings.SENDS_MAIL:
        return 0
    today = today or timezone.localdate()
    asked: set[UUID] = set()
    sent = 0
    # Sending takes its time: the transaction holds nothing but the lock until then, and nobody waits for that.
    with transaction.atomic():
        if not _is_alone():
            return 0
        for person, documents in _by_recipient(_due(today)).items():
            try:
                _message(person, documents, today).send()
            except (SMTPException, OSError):
                logger.exception("the reminder for %s could not be sent", person.username)
                continue
            sent += 1
            asked.update(document.pk for document in documents)
        told = Document.objects.filter(pk__in=asked)  # access: shows nothing
        lock_all(told)
        told.update(reminded_on=today)
    return sent


def _is_alone() -> bool:
    """Whether no other worker asks for reviews; none does then until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _due(today: date) -> dict[UUID, Document]:
    """The documents that are to be asked for."""
    not_lately = Q(reminded_on__isnull=True) | Q(reminded_on__lte=today - NOT_AGAIN_FOR)
    due = Document.objects.filter(review_due(today, ahead=AHEAD), not_lately)  # access: `_by_recipient` asks
    return {document.pk: document for document in due.select_related("department").order_by("pk")}


def _by_recipient(documents: dict[UUID, Document]) -> dict[User, list[Document]]:
    """Whom to ask about which documents: people with an address of their own who manage them now."""
    reachable = User.objects.filter(is_active=True).exclude(email="")
    curates = Q(groups__name=LIBRARIANS) | Q(groups__name=CURATORS)
    owners = reachable.filter(pk__in={one.owner_id for one in documents.values() if one.owner_id is not None})
    candidates = {person.pk: person for person in (*owners, *reachable.filter(curates).distinct())}
    manages: dict[int, set[UUID]] = {}
    curated: dict[int, frozenset[int]] = {}
    for person in candidates.values():
        viewer = viewer_for(person)
        managed = Document.objects.manageable_by(viewer).filter(pk__in=documents).order_by()
        manages[person.pk] = set(managed.values_list("pk", flat=True))
        curated[person.pk] = viewer.curated
    wanted: dict[int, list[UUID]] = defaultdict(list)
    for pk, document in documents.items():
        owner = document.owner_id
        if owner is not None and pk in manages.get(owner, ()):
            wanted[owner].append(pk)
            continue
        for person_id, those in manages.items():
            if pk in those and document.department_id in curated[person_id]:
                wanted[person_id].append(pk)
    far = date.max
    return {
        candidates[person_id]: sorted(
            (documents[pk] for pk in those), key=lambda document: (review_day(document) or far, str(document))
        )
        for person_id, those in wanted.items()
    }


def _message(person: User, documents: list[Document], today: date) -> EmailMessage:
    """The mail: plain text, with a link to each document in the library desk."""
    number = len(documents)
    overdue = sum((review_day(document) or today) <= today for document in documents)
    lines = [
        {"document": document, "day": review_day(document), "link": _link("change", document.pk)}
        for document in documents[:NAMED]
    ]
    context = {
        "name": person.get_full_name() or person.username,
        "number": number,
        "overdue": overdue,
        "lines": lines,
        "further": number - len(lines),
        "list": _link("changelist") + "?review=soon",
    }
    return EmailMessage(
        subject=f"{number} document{'' if number == 1 else 's'} to review",
        body=render_to_string("ingestion/review_reminder.txt", context),
        to=[person.email],
        headers={"Auto-Submitted": "auto-generated"},
    )


def _link(page: str, *arguments: object) -> str:
    return urljoin(settings.PUBLIC_URL, reverse(f"admin:ingestion_document_{page}", args=arguments))
