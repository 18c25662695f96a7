"""Two people change one document at once: what an administrator restricted meanwhile stays restricted."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client

from accounts.models import AuditEvent, Department, User
from ingestion.api import DocumentSerializer, DocumentView
from ingestion.forms import DocumentForm
from ingestion.models import Document, DocumentType
from ingestion.tests.admin.conftest import change, metadata, post_confirmed
from portal.tests.conftest import MakeDocument, MakePerson

DOCUMENTS = "/api/v1/documents/"


@pytest.fixture
def desk(client: Client, librarian: User) -> Client:
    client.force_login(librarian)
    return client


@pytest.fixture
def loans(document: MakeDocument, library: Department) -> Document:
    DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})
    return document("Loans", department=library, audience="department", clearance=2)


@pytest.fixture
def restricted_meanwhile(monkeypatch: pytest.MonkeyPatch, loans: Document) -> None:
    """Once a change sent by machine has been checked, and before it is written, an administrator's is written."""
    validate = DocumentSerializer.validate

    def slowly(self: DocumentSerializer, attrs: dict[str, Any]) -> dict[str, Any]:
        checked = validate(self, attrs)
        Document.objects.filter(pk=loans.pk).update(clearance=4)
        return checked

    monkeypatch.setattr(DocumentSerializer, "validate", slowly)


@pytest.mark.django_db
@pytest.mark.usefixtures("restricted_meanwhile")
class TestByMachine:
    def patch(self, desk: Client, loans: Document, **changes: Any) -> int:
        answer = desk.patch(f"{DOCUMENTS}{loans.pk}/", changes, content_type="application/json")
        loans.refresh_from_db()
        assert (loans.clearance, loans.title) == (4, "Loans")
        assert not AuditEvent.objects.filter(action="audience_changed").exists()
        return answer.status_code

    @pytest.mark.parametrize("changes", [{"clearance": 1}, {"audience": "institution"}, {"title": "Mine"}])
    def test_who_manages_it_no_longer_does_not_find_it(
        self, desk: Client, loans: Document, changes: dict[str, Any]
    ) -> None:
        assert self.patch(desk, loans, **changes) == 404

    @pytest.mark.parametrize("changes", [{"clearance": 1}, {"audience": "institution"}, {"title": "x", "clearance": 2}])
    def test_who_owns_it_is_refused(
        self, desk: Client, loans: Document, librarian: User, changes: dict[str, Any]
    ) -> None:
        Document.objects.filter(pk=loans.pk).update(owner=librarian)
        assert self.patch(desk, loans, **changes) == 403

    def test_an_administrator_still_has_their_way(self, client: Client, loans: Document, person: MakePerson) -> None:
        client.force_login(person("admin"))
        answer = client.patch(f"{DOCUMENTS}{loans.pk}/", {"clearance": 1}, content_type="application/json")
        assert (answer.status_code, answer.json()["clearance"]) == (200, 1)
        (noted,) = AuditEvent.objects.filter(action="audience_changed")
        assert (noted.details["before"]["clearance"], noted.details["after"]["clearance"]) == (4, 1)


@pytest.mark.django_db
def test_who_manages_it_no_longer_does_not_archive_it(
    desk: Client, loans: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    destroy = DocumentView.perform_destroy

    def slowly(self: DocumentView, instance: Document) -> None:
        Document.objects.filter(pk=loans.pk).update(clearance=4)
        destroy(self, instance)

    monkeypatch.setattr(DocumentView, "perform_destroy", slowly)
    assert desk.delete(f"{DOCUMENTS}{loans.pk}/").status_code == 404
    loans.refresh_from_db()
    assert loans.status == "ready"


@pytest.mark.django_db(transaction=True)
def test_nobody_changes_a_document_between_the_check_of_a_form_and_its_saving(
    desk: Client, loans: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another connection has to wait: its change comes after this one and is not lost."""
    outcomes: list[str] = []
    check = DocumentForm._post_clean

    def restrict() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '200ms'")
                Document.objects.filter(pk=loans.pk).update(clearance=4)
            outcomes.append("written")
        except OperationalError:
            outcomes.append("had to wait")
        finally:
            connection.close()

    def slowly(self: DocumentForm) -> None:
        check(self)
        administrator = threading.Thread(target=restrict)
        administrator.start()
        administrator.join()

    monkeypatch.setattr(DocumentForm, "_post_clean", slowly)
    answer = post_confirmed(desk, change(loans), metadata(loans, clearance=1))
    assert answer.status_code == 302
    assert set(outcomes) == {"had to wait"}
    loans.refresh_from_db()
    assert loans.clearance == 1
