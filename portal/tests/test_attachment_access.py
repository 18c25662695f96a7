"""An attachment is read by whoever may read its mail, whoever writes what, and in whichever order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.utils import timezone

from accounts.models import Department
from ingestion.models import Chunk, Document, DocumentType
from search.tests.corpus import serve

pytestmark = pytest.mark.django_db

ACCESS = ("clearance", "audience", "readers", "department_id", "visible_from", "visible_until")


def departments() -> list[Department]:
    return [Department.objects.create(name=name) for name in ("Archive", "Estates", "Music")]


def with_attachments(department: Department) -> list[Document]:
    """A mail, its attachment, and the attachment's own."""
    mail = serve("Mail", "the mail", department=department, embedded=False, clearance=2, audience="department")
    inner = serve("Minutes", "the minutes", department=department, embedded=False, parent=mail, part="1",
                  is_attachment=True)  # fmt: skip
    innermost = serve("Budget", "the budget", department=department, embedded=False, parent=inner, part="1",
                      is_attachment=True)  # fmt: skip
    return [mail, inner, innermost]


def access(thing: Document | Chunk, *names: str) -> tuple[object, ...]:
    thing.refresh_from_db()
    return tuple(getattr(thing, name) for name in names)


def assert_follow(mail: Document, attachments: list[Document]) -> None:
    shared = list(mail.shared_with.values_list("name", flat=True))
    for attachment in attachments:
        assert access(attachment, *ACCESS) == access(mail, *ACCESS)
        assert list(attachment.shared_with.values_list("name", flat=True)) == shared
        chunk = attachment.chunks.get()
        assert access(chunk, "clearance", "readers", "visible_from") == access(
            mail, "clearance", "readers", "visible_from"
        )


def _move(mail: Document, other: Department) -> None:
    mail.department = other
    mail.save()


CHANGES: dict[str, Callable[[Document, Department], object]] = {
    "nothing": lambda mail, other: None,
    "clearance": lambda mail, other: Document.objects.filter(pk=mail.pk).update(clearance=4),
    "audience": lambda mail, other: Document.objects.filter(pk=mail.pk).update(audience="institution"),
    "department": _move,
    "a share": lambda mail, other: mail.shared_with.add(other),
    "a share of what is for all": lambda mail, other: (
        Document.objects.filter(pk=mail.pk).update(audience="institution"),
        mail.shared_with.add(other),
    ),
    "a share withdrawn": lambda mail, other: (mail.shared_with.add(other), mail.shared_with.clear()),
    "window": lambda mail, other: Document.objects.filter(pk=mail.pk).update(
        visible_from=timezone.now() + timedelta(days=1), visible_until=timezone.now() + timedelta(days=9)
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_on_the_mail_changes_on_all_that_came_with_it(what: str) -> None:
    own, other, _ = departments()
    mail, *attachments = with_attachments(own)
    CHANGES[what](mail, other)
    assert_follow(mail, attachments)


def test_what_is_written_into_an_attachment_s_own_access_has_no_effect() -> None:
    own, other, third = departments()
    mail, *attachments = with_attachments(own)
    for attachment in attachments:
        attachment.clearance, attachment.audience, attachment.department = 1, "institution", other
        attachment.visible_from = timezone.now()
        attachment.save()
        attachment.shared_with.add(third)
        attachment.save()
    Document.objects.filter(is_attachment=True).update(clearance=1, readers=[0])
    assert_follow(mail, attachments)


def test_a_file_of_an_archive_has_its_own_access() -> None:
    own, *_ = departments()
    archive = serve("Archive", "x", department=own, embedded=False, clearance=4, audience="department")
    file = serve("File", "y", department=own, embedded=False, parent=archive, part="a.txt", clearance=1)
    Document.objects.filter(pk=archive.pk).update(clearance=3)
    assert access(file, "clearance", "readers") == (1, [0])


def test_attachments_go_with_their_mail_and_the_files_of_an_archive_stay() -> None:
    own, *_ = departments()
    mail, *_ = with_attachments(own)
    file = serve("File", "y", department=own, embedded=False, parent=mail, part="a.txt")
    mail.delete()
    assert list(Document.objects.values_list("pk", "parent")) == [(file.pk, None)]


def test_the_database_refuses_an_attachment_without_its_mail() -> None:
    own, *_ = departments()
    _, attachment, _ = with_attachments(own)
    with pytest.raises(IntegrityError), transaction.atomic():
        Document.objects.filter(pk=attachment.pk).update(parent=None)


@pytest.mark.django_db(transaction=True)
def test_a_reclassification_that_runs_beside_the_arrival_of_an_attachment_is_not_missed() -> None:
    DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})
    own, *_ = departments()
    mail = serve("Mail", "the mail", department=own, embedded=False, clearance=1)
    arrived: list[Document] = []

    def arrive() -> None:
        try:
            arrived.append(
                serve("Minutes", "m", department=own, embedded=False, parent=mail, part="1", is_attachment=True)
            )
        finally:
            connection.close()

    with transaction.atomic():
        Document.objects.filter(pk=mail.pk).update(clearance=4)
        beside = threading.Thread(target=arrive)
        beside.start()
        # It waits for the mail's row, and so for this transaction.
        beside.join(0.5)
        assert beside.is_alive()
    beside.join(20)
    assert access(arrived[0], "clearance") == (4,)
    assert access(arrived[0].chunks.get(), "clearance") == (4,)
