"""Pages of refusals: what they say to people who are signed in, and that they are one line of the log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path
from django.utils.formats import localize
from pytest_django.fixtures import Settings

from accounts.audit import note
from accounts.models import AuditEvent, Department, User
from portal.logs import JsonFormatter
from portal.tests.conftest import MakeDocument, MakePerson
from portal.tests.processes import away, run

pytestmark = pytest.mark.django_db

ARCHIVE = "/admin/ingestion/document/{}/archive/"


def _fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("broken")


urlpatterns = [path("fails", _fail), path("", include("portal.urls"))]


@pytest.mark.parametrize(("address", "status"), [("/nothing", 404), ("/admin/accounts/user/", 403)])
def test_who_is_signed_in_keeps_the_header_and_is_not_asked_to_sign_in(
    client: Client, librarian: User, address: str, status: int
) -> None:
    nobody = client.get("/nothing").content.decode()
    assert "signing in may help" in nobody
    assert "Sign out" not in nobody
    client.force_login(librarian)
    answer = client.get(address)
    page = answer.content.decode()
    assert answer.status_code == status
    assert "Sign out" in page
    assert "Sign in<" not in page
    assert "signing in may help" not in page


def test_where_the_database_cannot_say_who_asks_the_page_is_still_a_404() -> None:
    answer = run("print(json.dumps(ask('/nothing', headers={'Cookie': 'sessionid=' + 'a' * 32})))", **away())
    assert answer["status"] == 404
    assert "There is nothing here for you" in answer["body"]


def test_an_address_that_takes_a_form_only_says_so_and_does_nothing(
    client: Client, person: MakePerson, document: MakeDocument, library: Department
) -> None:
    made = document("Minutes", department=library)
    client.force_login(person("admin"))
    answer = client.get(ARCHIVE.format(made.pk))
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "This address only works with its button" in answer.content.decode()
    made.refresh_from_db()
    assert made.status == "ready"
    assert client.get("/api/v1/feedback/")["Content-Type"] == "application/problem+json"


def test_an_act_on_a_document_names_it_and_leads_to_it(
    client: Client, person: MakePerson, document: MakeDocument, library: Department
) -> None:
    made = document("Minutes of May", department=library)
    admin = person("admin")
    note("document_seen_as", actor=admin, subject=str(made.pk))
    note("document_seen_as", actor=admin, subject="00000000-0000-4000-8000-000000000000")
    note("audience_changed", actor=admin, subject="Minutes of then", document=str(made.pk))
    client.force_login(admin)
    listed = client.get("/admin/accounts/auditevent/").content.decode()
    link = f'href="/admin/ingestion/document/{made.pk}/change/">'
    assert f"{link}Minutes of May</a>" in listed
    assert f"{link}Minutes of then</a>" in listed
    assert "00000000-0000-4000-8000-000000000000" in listed
    seen = AuditEvent.objects.filter(action="document_seen_as", subject=str(made.pk)).get()
    page = client.get(f"/admin/accounts/auditevent/{seen.pk}/change/").content.decode()
    assert f"{link}Minutes of May</a>" in page


def test_moments_have_one_form_in_the_desk() -> None:
    assert localize(datetime(2026, 11, 23, 17, 20, tzinfo=UTC)) == "23 November 2026, 17:20"


class TestLogLines:
    @pytest.fixture
    def lines(self) -> Iterator[io.StringIO]:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(JsonFormatter())
        logger = logging.getLogger("django.request")
        logger.addHandler(handler)
        yield stream
        logger.removeHandler(handler)

    def test_a_refusal_has_no_traceback(self, client: Client, librarian: User, lines: io.StringIO) -> None:
        client.force_login(librarian)
        assert client.get("/admin/accounts/user/").status_code == 403
        (line,) = [json.loads(one) for one in lines.getvalue().splitlines()]
        assert line["event"].startswith("Forbidden")
        assert "traceback" not in line

    def test_a_fault_has_one(self, lines: io.StringIO, settings: Settings) -> None:
        settings.ROOT_URLCONF = __name__
        assert Client(raise_request_exception=False).get("/fails").status_code == 500
        (line,) = [json.loads(one) for one in lines.getvalue().splitlines()]
        assert "RuntimeError: broken" in line["traceback"]
