"""Reminders of reviews: who is asked about what, how often, and what the mail says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from email import message_from_bytes
from email.policy import default
from threading import current_thread, main_thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from pytest_django import Settings

from accounts.clearance import CURATORS
from accounts.models import Department, User
from ingestion import reviews
from ingestion.attention import REVIEW_AFTER, review_day, review_due
from ingestion.models import Document, DocumentType
from ingestion.tests.conftest import MakeLibrarian
from ingestion.tests.embedding_servers import free_port

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 23)


@pytest.fixture(autouse=True)
def mailing(settings: Settings) -> None:
    settings.SENDS_MAIL, settings.PUBLIC_URL = True, "https://search.example.ac.uk/"
    settings.DEFAULT_FROM_EMAIL = "library@example.ac.uk"


@pytest.fixture
def keeper(make_librarian: MakeLibrarian, registry: Department) -> User:
    user = make_librarian("keeper", registry)
    user.email = "keeper@example.ac.uk"
    user.save()
    return user


def paper(title: str, department: Department, guide: DocumentType, **more: Any) -> Document:
    fields = {
        "file_name": "paper.txt", "file_size": 1, "sha256": title, "clearance": 2, "audience": "institution",
        "status": "ready", "is_searchable": True, "review_by": TODAY,
    }  # fmt: skip
    return Document.objects.create(title=title, department=department, doc_type=guide, **fields | more)


def to() -> list[list[str]]:
    return [message.to for message in mail.outbox]


def test_a_review_is_due_on_its_day_or_24_months_after_the_last(registry: Department, guide: DocumentType) -> None:
    long_ago = TODAY - REVIEW_AFTER
    cases = {
        "set for today": ({"review_by": TODAY}, True),
        "set for tomorrow": ({"review_by": TODAY + timedelta(days=1)}, False),
        "long ago": ({"review_by": None, "last_reviewed": long_ago - timedelta(days=1)}, True),
        "24 months to the day": ({"review_by": None, "last_reviewed": long_ago}, False),
        "long ago, set for later": ({"review_by": TODAY + timedelta(days=9), "last_reviewed": date(2000, 1, 1)}, False),
        "never": ({"review_by": None}, False),
        "archived": ({"status": "archived"}, False),
    }
    for title, (fields, _) in cases.items():
        paper(title, registry, guide, **fields)
    due = set(Document.objects.filter(review_due(TODAY)).values_list("title", flat=True))
    assert due == {title for title, (_, is_due) in cases.items() if is_due}
    for document in Document.objects.filter(status="ready"):
        day = review_day(document)
        assert (day is not None and day <= TODAY) == (document.title in due)
    ahead = set(Document.objects.filter(review_due(TODAY, ahead=timedelta(days=30))).values_list("title", flat=True))
    assert ahead == set(cases) - {"never", "archived"}


def test_an_owner_gets_one_digest_and_is_not_asked_again_within_a_month(
    keeper: User, registry: Department, guide: DocumentType
) -> None:
    first = paper("First <&> foremost", registry, guide, owner=keeper)
    paper("Soon", registry, guide, owner=keeper, review_by=TODAY + timedelta(days=30))
    paper("Not yet", registry, guide, owner=keeper, review_by=TODAY + timedelta(days=31))
    assert reviews.remind(TODAY) == 1
    (message,) = mail.outbox
    assert (message.to, message.subject) == (["keeper@example.ac.uk"], "2 documents to review")
    assert "- First <&> foremost (Registry), due 23 November 2026" in message.body
    assert f"https://search.example.ac.uk/admin/ingestion/document/{first.pk}/change/" in message.body
    assert "for 1 the day is reached" in message.body
    assert "Not yet" not in message.body
    assert reviews.remind(TODAY + timedelta(days=29)) == 1
    assert "Not yet" in mail.outbox[1].body
    assert "First" not in mail.outbox[1].body
    assert reviews.remind(TODAY + timedelta(days=30)) == 1
    assert "First" in mail.outbox[2].body


def test_without_an_owner_who_manages_it_the_department_is_asked(
    keeper: User, make_librarian: MakeLibrarian, registry: Department, archives: Department, guide: DocumentType
) -> None:
    left = User.objects.create_user("left", email="left@example.ac.uk", role="staff")
    closed = make_librarian("closed", registry)
    User.objects.filter(pk=closed.pk).update(email="closed@example.ac.uk", is_active=False)
    elsewhere = make_librarian("elsewhere", archives)
    User.objects.filter(pk=elsewhere.pk).update(email="elsewhere@example.ac.uk")
    curator = User.objects.create_user("curator", email="curator@example.ac.uk", role="staff")
    curator.departments.add(registry)
    curator.groups.add(curator.groups.model.objects.get(name=CURATORS))
    paper("Owned by one who left", registry, guide, owner=left)
    paper("Owned by a closed account", registry, guide, owner=closed)
    paper("Nobody's", registry, guide)
    secret = paper("Above them", registry, guide, clearance=4)
    assert reviews.remind(TODAY) == 1
    # The curator was given no department to curate.
    assert to() == [["keeper@example.ac.uk"]]
    assert mail.outbox[0].subject == "3 documents to review"
    secret.refresh_from_db()
    assert secret.reminded_on is None


def test_who_may_not_manage_it_any_more_is_not_told_of_it(
    keeper: User, registry: Department, archives: Department, guide: DocumentType
) -> None:
    paper("Of the archives", archives, guide, audience="department")
    assert reviews.remind(TODAY) == 0
    assert mail.outbox == []


def test_without_a_mail_server_nothing_is_marked(
    settings: Settings, keeper: User, registry: Department, guide: DocumentType
) -> None:
    settings.SENDS_MAIL = False
    document = paper("Paper", registry, guide, owner=keeper)
    assert reviews.remind(TODAY) == 0
    document.refresh_from_db()
    assert document.reminded_on is None


def test_a_mail_that_could_not_be_sent_is_tried_in_the_next_round(
    settings: Settings, keeper: User, registry: Department, guide: DocumentType
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    document = paper("Paper", registry, guide, owner=keeper)
    assert reviews.remind(TODAY) == 0
    document.refresh_from_db()
    assert document.reminded_on is None


class SeenFromOutside(EmailBackend):
    """While a mail goes out, notes what another worker finds: when it was asked for, and how many mails that sends."""

    found: list[tuple[date | None, int]] = []

    def send_messages(self, messages: Any) -> int:
        def other() -> tuple[date | None, int]:
            try:
                return Document.objects.get().reminded_on, reviews.remind(TODAY)
            finally:
                connection.close()

        if current_thread() is main_thread():
            with ThreadPoolExecutor(1) as pool:
                self.found.append(pool.submit(other).result(20))
        return int(super().send_messages(messages))


@pytest.mark.django_db(transaction=True)
def test_a_document_is_marked_once_its_mail_is_out_and_two_at_once_ask_once(
    settings: Settings, keeper: User, registry: Department, guide: DocumentType
) -> None:
    document = paper("Paper", registry, guide, owner=keeper)
    settings.EMAIL_BACKEND = f"{__name__}.SeenFromOutside"
    SeenFromOutside.found.clear()
    assert reviews.remind(TODAY) == 1
    # Whoever is killed before the mail is out leaves it to the next round.
    assert SeenFromOutside.found == [(None, 0)]
    assert len(mail.outbox) == 1
    document.refresh_from_db()
    assert document.reminded_on == TODAY


class Inbox:
    """What a mail server does with a mail: keeps it."""

    def __init__(self) -> None:
        self.received: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  (aiosmtpd's name)
        self.received.append(envelope)
        return "250 kept"


def test_a_real_mail_server_gets_plain_text_with_every_letter(
    settings: Settings, keeper: User, registry: Department, guide: DocumentType
) -> None:
    inbox = Inbox()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    paper("Übersicht für 学生", registry, guide, owner=keeper)
    server = Controller(inbox, hostname=settings.EMAIL_HOST, port=settings.EMAIL_PORT)
    server.start()
    try:
        assert reviews.remind(TODAY) == 1
    finally:
        server.stop()
    (envelope,) = inbox.received
    received: Any = message_from_bytes(envelope.content, policy=default)
    assert (envelope.mail_from, envelope.rcpt_tos) == ("library@example.ac.uk", ["keeper@example.ac.uk"])
    assert (received.get_content_type(), received["Auto-Submitted"]) == ("text/plain", "auto-generated")
    assert "Übersicht für 学生" in received.get_content()
