"""Reminders of reviews: a mail to whoever looks after documents whose review is due, or soon will be.

Its owner is asked, while they still manage the document; else the librarians and curators of its department. A document
is asked for at most once a month. The home page of the desk shows the same, with mail or without.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from smtplib import SMTPException
from urllib.parse import urljoin
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts.clearance import CURATORS, LIBRARIANS, viewer_for
from accounts.models import User
from ingestion.attention import review_day, review_due
from ingestion.models import Document

logger = logging.getLogger(__name__)

AHEAD = timedelta(days=30)
"""How long before its day a review is asked for: time enough to find whoever knows."""

NOT_AGAIN_FOR = timedelta(days=30)
"""How long a document is not asked for again."""

NAMED = 50
"""Documents named in one mail; the list behind its link shows the others."""


def remind(today: date | None = None) -> int:
    """Ask for the reviews that are due or soon will be; how many mails went out. Does nothing without a mail server.

    The documents are marked as asked for before a mail goes out, so that a task that runs twice asks once. Those for
    which no mail went out are asked for in the next round.
    """
    if not settings.SENDS_MAIL:
        return 0
    today = today or timezone.localdate()
    marked = _mark(today)
    asked: set[UUID] = set()
    sent = 0
    try:
        for person, documents in _by_recipient(marked).items():
            try:
                _message(person, documents, today).send()
            except (SMTPException, OSError):
                logger.exception("the reminder for %s could not be sent", person.username)
                continue
            sent += 1
            asked.update(document.pk for document in documents)
    finally:
        _unmark(pk for pk in marked if pk not in asked)
    return sent


@transaction.atomic
def _mark(today: date) -> dict[UUID, Document]:
    """The documents that are to be asked for, which from now on are no other task's."""
    not_lately = Q(reminded_on__isnull=True) | Q(reminded_on__lte=today - NOT_AGAIN_FOR)
    due = Document.objects.filter(review_due(today, ahead=AHEAD), not_lately)  # access: `_by_recipient` asks
    locked = due.select_related("department").select_for_update(skip_locked=True, of=("self",)).order_by("pk")
    documents = {document.pk: document for document in locked}
    due.filter(pk__in=documents).update(reminded_on=today)
    return documents


def _unmark(ids: Iterable[UUID]) -> None:
    """These were not asked for after all: the next round asks for them."""
    Document.objects.filter(pk__in=list(ids)).update(reminded_on=None)  # access: shows nothing


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
