"""Telling people of what is new in their saved searches: on the site, and in one mail a person.

A worker asks each search again, as its owner at that moment, and keeps what it found (search.models.FoundDocument).
What was found before is not told, and what may not be seen at the moment of telling is not either. Which documents
count, why a mail may be lost but is never sent twice, and what is audited: docs/decisions/0030-saved-searches.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from smtplib import SMTPException
from urllib.parse import urljoin

from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Q, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import ngettext

from accounts.audit import note
from accounts.clearance import Viewer, viewer_for
from accounts.languages import language_of_mails
from accounts.models import User
from ingestion.models import Document
from search import service
from search.models import Alert, FoundDocument, Rhythm, SavedSearch
from search.query import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, InvalidQuery
from search.saved import one_line, query_of

logger = logging.getLogger(__name__)

TOLD_AMONG = DEFAULT_PAGE_SIZE
"""A document is told of where it comes among so many first hits: by meaning, every document comes somewhere."""

FIRST_HOUR = 6
"""No search is asked before this hour of the day (TIME_ZONE): what came in until the morning is in one mail."""

SECONDS_A_RUN = 300
"""How long one run goes on beginning with people; the next one goes on from there."""

MAIL_WITHIN = timedelta(days=7)
"""What was found longer ago is not mailed any more: the site still tells of it."""

NAMED = 30
"""Documents named in one mail; the page behind its link shows the others."""

_SALT = "search.alerts.unsubscribe"


class NotNow(Exception):
    """A search could not be answered as usual: whoever asks again later misses nothing."""


def run(now: datetime | None = None) -> int:
    """Ask every search that is due and send what there is to send; how many mails went out.

    Cut short at any point, it does in the next run what is left.
    """
    now = timezone.localtime(now)
    if now.hour < FIRST_HOUR:
        return 0
    until, sent = time.monotonic() + SECONDS_A_RUN, 0
    owners = User.objects.filter(is_active=True, is_service=False)
    waiting = owners.filter(Q(pk__in=due(now.date()).values("owner")) | Q(pk__in=_to_mail(now).values("saved__owner")))
    for pk in waiting.order_by("pk").values_list("pk", flat=True):
        # Read when it is their turn: an account may have been closed, or changed its address, since the run began.
        person = owners.filter(pk=pk).first()
        if time.monotonic() > until:
            break
        if person is None:
            continue
        try:
            check_all(person, now.date())
            sent += mail(person, now)
        except NotNow:
            logger.warning("saved searches are not asked now: the answers would be incomplete")
            break
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            # What is wrong with one person's searches must not keep everybody after them from being told.
            logger.exception("the saved searches of one person failed")
    return sent


def due(today: date) -> QuerySet[SavedSearch]:
    """The searches that are to be asked today and were not yet."""
    monday = today - timedelta(days=today.weekday())
    not_yet = Q(checked_on__isnull=True)
    not_yet |= Q(rhythm=Rhythm.DAY, checked_on__lt=today) | Q(rhythm=Rhythm.WEEK, checked_on__lt=monday)
    return SavedSearch.objects.exclude(alert=Alert.OFF).filter(not_yet)


def check_all(person: User, today: date) -> None:
    """Ask the searches of this person that are due. Raises NotNow."""
    viewer = viewer_for(person)
    for saved in due(today).filter(owner=person).order_by("pk"):
        check(saved, viewer, today)


def check(saved: SavedSearch, viewer: Viewer, today: date) -> None:
    """Ask one search as its owner sees now, and keep what is new. Doing it again changes nothing. Raises NotNow.

    Whom the roll-out does not admit has nothing asked. What the first check finds is known already.
    """
    if not viewer.clearance:
        return
    try:
        query = replace(query_of(saved.address), page=1, page_size=MAX_PAGE_SIZE)
    except InvalidQuery:
        logger.warning("the saved search %s cannot be asked any more", saved.pk)
        SavedSearch.objects.filter(pk=saved.pk).update(checked_on=today)
        return
    page = service.search(query, viewer=viewer, endpoint="alert", audited=False)
    if page.degraded:
        raise NotNow
    known = set(map(str, FoundDocument.objects.filter(saved=saved).values_list("document_id", flat=True)))
    among = TOLD_AMONG if query.text else MAX_PAGE_SIZE
    found = [
        FoundDocument(saved=saved, document_id=hit.document.id, told=saved.checked_on is not None and place < among)
        for place, hit in enumerate(page.hits)
        if hit.document.id not in known
    ]
    try:
        with transaction.atomic():
            # Not where its owner switched alerts off and on meanwhile, or another worker was quicker.
            if SavedSearch.objects.filter(pk=saved.pk, checked_on=saved.checked_on).update(checked_on=today):
                FoundDocument.objects.bulk_create(found, ignore_conflicts=True)
    except IntegrityError:
        # A document was deleted just now: the next run asks again.
        logger.info("what the saved search %s found is gone already", saved.pk)


def _to_mail(now: datetime) -> QuerySet[FoundDocument]:
    """What was found for people who want mail, and neither sent nor seen."""
    return FoundDocument.objects.filter(
        told=True,
        seen_at__isnull=True,
        mailed_at__isnull=True,
        at__gte=now - MAIL_WITHIN,
        saved__alert=Alert.MAIL,
    )


def mail(person: User, now: datetime | None = None) -> bool:
    """Send this person what is new and visible at this moment, in one mail; whether one went out.

    It is claimed before it is sent: what dies in between is not sent, and the site still tells of it. Where the mail
    server refuses, the claim is given back.
    """
    if not settings.SENDS_MAIL or not _has_address(person):
        return False
    now = now or timezone.now()
    viewer = viewer_for(person)
    with transaction.atomic():
        waiting = _to_mail(now).filter(saved__owner=person).select_for_update(of=("self",), skip_locked=True)
        names = {row.pk: (row.document_id, row.saved.name) for row in waiting.select_related("saved").order_by("pk")}
        visible = Document.objects.visible_to(viewer).filter(pk__in={document for document, _ in names.values()})
        documents = {one.pk: one for one in visible}
        claimed = [pk for pk, (document, _) in names.items() if document in documents]
        FoundDocument.objects.filter(pk__in=claimed).update(mailed_at=now)
    if not claimed:
        return False
    with translation.override(language_of_mails(person)):
        message = _message(person, documents.values(), [name for pk, (_, name) in names.items() if pk in set(claimed)])
    try:
        message.send()
    except (SMTPException, OSError):
        logger.exception("the alert for person %s could not be sent", person.pk)
        FoundDocument.objects.filter(pk__in=claimed).update(mailed_at=None)
        return False
    note("alert_mailed", actor=None, subject=person.username, documents=len(documents))
    return True


def _has_address(person: User) -> bool:
    """Whether their address is one: whatever else stands there goes into no header."""
    try:
        validate_email(person.email)
    except ValidationError:
        return False
    return True


def _message(person: User, documents: Iterable[Document], searches: Iterable[str]) -> EmailMessage:
    """The mail: titles and links, one line each, nothing of a text."""
    listed = sorted(documents, key=lambda one: (str(one), str(one.pk)))
    unsubscribe = urljoin(settings.PUBLIC_URL, reverse("mine-unsubscribe", args=[unsubscribing(person)]))
    context = {
        "name": one_line(person.get_full_name() or person.username),
        "number": len(listed),
        "searches": [one_line(name) for name in sorted(set(searches))],
        "lines": [
            {"title": one_line(str(one)), "link": urljoin(settings.PUBLIC_URL, reverse("document", args=[one.pk]))}
            for one in listed[:NAMED]
        ],
        "further": len(listed[NAMED:]),
        "all": urljoin(settings.PUBLIC_URL, reverse("mine")),
        "unsubscribe": unsubscribe,
    }
    subject = ngettext("%(number)d new document", "%(number)d new documents", len(listed)) % {"number": len(listed)}
    return EmailMessage(
        subject=subject,
        body=render_to_string("search/mine/alert.txt", context),
        to=[person.email],
        headers={
            "Auto-Submitted": "auto-generated",
            "List-Unsubscribe": f"<{unsubscribe}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    )


def unsubscribing(person: User) -> str:
    """What stands in the link that ends this person's mails, without a sign-in: signed, and good for nothing else."""
    return signing.dumps(person.pk, salt=_SALT)


def unsubscriber(token: str) -> int | None:
    """The key of whom this was made for; None where nobody made it."""
    try:
        person: int = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    return person


def unsubscribe(person: int) -> None:
    """End this person's mails: their searches tell them here only."""
    SavedSearch.objects.filter(owner=person, alert=Alert.MAIL).update(alert=Alert.SITE)
