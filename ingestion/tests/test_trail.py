"""What people did to a document is noted for what is attached to it, too: its readers change along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.clearance import viewer_for
from accounts.models import AuditEvent, Department, User
from ingestion import bulk
from ingestion.models import Document, DocumentType
from ingestion.tests.conftest import MakeLibrarian

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(registry: Department, make_librarian: MakeLibrarian) -> User:
    return make_librarian("ada", registry)


@pytest.fixture
def mail(registry: Department, guide: DocumentType) -> Document:
    """A mail with a mail attached to it, which has an attachment; and one that nobody changes."""

    def make(title: str, **more: Any) -> Document:
        known = {"department": registry, "doc_type": guide, "clearance": 2, "audience": "institution"}
        file_name = f"{title.lower()}.eml"
        return Document.objects.create(title=title, file_name=file_name, file_size=1, sha256=title, **(known | more))

    outer = make("Outer", status="ready", is_searchable=True)
    inner = make("Inner", parent=outer, part="1", is_attachment=True, status="ready", is_searchable=True)
    make("Innermost", parent=inner, part="1", is_attachment=True)
    make("Other")
    return outer


def patched(mail: Document, ada: User, **said: Any) -> None:
    client = Client()
    client.force_login(ada)
    answer = client.patch(f"/api/v1/documents/{mail.pk}/", said, content_type="application/json")
    assert answer.status_code == 200, answer.content


def changed_with_others(mail: Document, ada: User, **said: Any) -> None:
    viewer = viewer_for(ada)
    plan = bulk.plan_change(viewer, [Document.objects.get(pk=mail.pk)], said)
    bulk.carry_out(plan, said, viewer=viewer, actor=ada, request=None)


def noted(action: str) -> dict[str, dict[str, Any]]:
    """What is noted of each document, by its title."""
    events = AuditEvent.objects.filter(action=action)
    by_title = {event.subject: event.details for event in events}
    assert len(by_title) == len(events), "one line each"
    return by_title


@pytest.mark.parametrize("change", [patched, changed_with_others])
def test_a_reclassified_mail_and_all_that_is_attached_to_it_are_noted_with_before_and_after(
    mail: Document, ada: User, change: Callable[..., None]
) -> None:
    change(mail, ada, clearance=3, audience="department", priority=5)

    documents, audiences = noted("document_changed"), noted("audience_changed")
    assert set(documents) == set(audiences) == {"Outer", "Inner", "Innermost"}
    for title, details in documents.items():
        assert details["document"] == str(Document.objects.get(title=title).pk)
        own = {"priority": (3, 5)} if title == "Outer" else {}
        expected = {"clearance": (2, 3), "audience": ("institution", "department"), **own}
        assert {name: (details["before"][name], details["after"][name]) for name in details["after"]} == expected
    for title, details in audiences.items():
        assert (details["before"]["clearance"], details["after"]["clearance"]) == (2, 3)
        assert (details["before"]["readers"], details["after"]["readers"]) == (["whole institution"], ["Registry"])
        assert details["before"]["searchable"] == details["after"]["searchable"] == (title != "Innermost")


def test_what_does_not_touch_its_readers_is_noted_for_the_mail_alone(mail: Document, ada: User) -> None:
    patched(mail, ada, priority=5)

    assert set(noted("document_changed")) == {"Outer"}
    assert not noted("audience_changed")


def test_a_mail_that_is_archived_is_noted_once_with_its_attachments(mail: Document, ada: User) -> None:
    client = Client()
    client.force_login(ada)
    assert client.delete(f"/api/v1/documents/{mail.pk}/").status_code == 204

    assert set(noted("document_archived")) == {"Outer", "Inner", "Innermost"}
    assert set(noted("audience_changed")) == {"Outer", "Inner"}, "the innermost was not shown yet"
    assert not Document.objects.filter(is_searchable=True).exists()
