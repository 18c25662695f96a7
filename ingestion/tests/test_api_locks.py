"""A change by machine and a change of what the document came with do not wait for each other in a circle."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection, transaction
from django.test import Client

from accounts.models import Department
from ingestion.models import Document
from ingestion.runs import lock_all
from ingestion.tests.conftest import MakeLibrarian, TakeIn
from ingestion.tests.packed import mail, taken

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 20.0


def wait_until_somebody_waits() -> None:
    """Until another connection to this database waits for a lock."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + SECONDS
    with connection.cursor() as cursor:
        while True:
            # What it says stays the same within a transaction.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(waiting)
            if cursor.fetchone():
                return
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(0.02)


def test_an_attachment_and_its_mail_are_changed_at_once(
    take_in: TakeIn, make_librarian: MakeLibrarian, registry: Department
) -> None:
    letter = take_in(mail({"a.txt": b"Apples."}), "fees.eml", clearance=1)
    (attachment,) = taken(letter).values()
    curator = make_librarian("ada", registry)
    answers: list[int] = []

    def by_machine() -> None:
        client = Client()
        client.force_login(curator)
        try:
            address = f"/api/v1/documents/{attachment.pk}/"
            answers.append(client.patch(address, {"priority": 5}, content_type="application/json").status_code)
        finally:
            connection.close()

    other = threading.Thread(target=by_machine)
    with transaction.atomic():
        lock_all(Document.objects.filter(pk=letter.pk))
        other.start()
        wait_until_somebody_waits()
        Document.objects.filter(pk=letter.pk).update(clearance=2)
    other.join(SECONDS)

    assert answers == [200]
    assert Document.objects.get(pk=attachment.pk).clearance == 2
