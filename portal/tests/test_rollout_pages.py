"""What people meet while the portal is introduced: every door, for those who are in and those who are not."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from prometheus_client import REGISTRY
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.clearance import CURATORS, LIBRARIANS
from accounts.models import Department, Phase, User
from ingestion.models import Document
from portal.tests.conftest import MakeDocument, MakePerson
from search.models import SearchEvent

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
DOORS = (
    "/",
    "/search/",
    "/search/?q=quill&mode=keyword",
    "/documents/{}/",
    "/documents/{}/?page=2",
    "/documents/{}/file",
)
API_DOORS = (
    "search/?q=quill&mode=keyword",
    "suggest/?q=quill",
    "documents/",
    "documents/{}/",
    "documents/{}/file/",
    "documents/{}/chunks/",
    "documents/{}/similar/",
)


def phase(name: str = "Pilot", *, starts: timedelta = -DAY, **more: Any) -> Phase:
    several = {one: more.pop(one, ()) for one in ("people", "groups", "departments")}
    made = Phase.objects.create(name=name, **({"starts_at": timezone.now() + starts} | more))
    for one, values in several.items():
        getattr(made, one).set(values)
    return made


@pytest.fixture
def quill(document: MakeDocument, library: Department, settings: Settings, tmp_path: Any) -> Document:
    """A public document that everybody finds where the portal is open."""
    plain = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": plain}
    made = document("Quill care", department=library)
    made.file.save("original", ContentFile(b"A quill is cut anew each term."))
    return made


def browser(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def program(user: User | None) -> APIClient:
    client = APIClient()
    if user is not None:
        client.force_authenticate(user)
    return client


def without_request(answer: HttpResponse, *ids: uuid.UUID) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer, without the request's id, its token against forgery, and these ids."""
    body = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())
    for one in ids:
        body = body.replace(str(one), "ID")
    headers = {name: value for name, value in answer.headers.items() if name not in ("X-Request-ID", "Date", "Expires")}
    body = re.sub(r'"request_id":"\w+"', "", body)
    return answer.status_code, headers, body


class TestDoors:
    @pytest.mark.parametrize("door", DOORS)
    def test_pages_are_shut_for_everybody_who_is_not_admitted(
        self, door: str, quill: Document, person: MakePerson
    ) -> None:
        address = door.format(quill.pk)
        somebody = person("academic")
        assert browser(somebody).get(address).status_code == 200
        phase(percentage=0)
        for user in (None, somebody):
            answer = browser(user).get(address)
            assert answer.status_code == 403
            assert "being introduced step by step" in answer.content.decode()
            assert "no-store" in answer["Cache-Control"]
            for betrayal in ("Quill care", "cut anew", "Library", "Pilot"):
                assert betrayal not in answer.content.decode()

    @pytest.mark.parametrize("door", API_DOORS)
    def test_the_api_is_shut_and_says_what_is_required(self, door: str, quill: Document, person: MakePerson) -> None:
        address = f"/api/v1/{door.format(quill.pk)}"
        somebody = person("academic")
        assert program(somebody).get(address).status_code == 200
        phase(percentage=0)
        refused = program(somebody).get(address)
        assert refused.status_code == 403
        assert refused["Content-Type"] == "application/problem+json"
        assert (refused.json()["required"], refused.json()["current"]) == ("admitted", "not admitted")
        assert refused.json()["opens_at"] is None
        assert program(None).get(address).status_code == 401

    def test_nothing_is_taken_from_them_either(self, quill: Document, person: MakePerson) -> None:
        somebody = person("student")
        found = program(somebody).get("/api/v1/search/", {"q": "quill", "mode": "keyword"}).json()
        phase(percentage=0)
        verdict = {"search_id": found["search_id"], "document_id": str(quill.pk), "verdict": "helpful"}
        assert program(somebody).post("/api/v1/feedback/", verdict, format="json").status_code == 403
        assert program(somebody).post("/api/v1/search/", {"query": "quill"}, format="json").status_code == 403
        assert SearchEvent.objects.count() == 1

    @pytest.mark.parametrize("signed_in", [False, True], ids=["nameless", "signed in"])
    @pytest.mark.parametrize("door", [one for one in (*DOORS, *API_DOORS) if "{}" in one])
    def test_documents_that_are_there_hidden_or_unknown_are_all_alike(
        self, door: str, signed_in: bool, quill: Document, document: MakeDocument, person: MakePerson
    ) -> None:
        hidden = document("Secret", department=quill.department, clearance=4, audience="department")
        unknown = uuid.uuid4()
        phase(percentage=0)
        somebody = person("student") if signed_in else None
        answers = []
        for pk in (quill.pk, hidden.pk, unknown):
            client = program(somebody) if door in API_DOORS else browser(somebody)
            path = f"/api/v1/{door}" if door in API_DOORS else door
            answers.append(without_request(client.get(path.format(pk)), pk))
        assert answers[0] == answers[1] == answers[2]

    @pytest.mark.parametrize(
        "path", ["/accounts/login/", "/health", "/health/live", "/api/v1/schema/", "/api/v1/docs/"]
    )
    def test_signing_in_health_and_the_api_s_description_stay_open(self, path: str) -> None:
        phase(percentage=0)
        assert browser(None).get(path).status_code == 200

    def test_a_program_is_told_where_it_stands(self, person: MakePerson, library: Department) -> None:
        somebody, invited = person("staff", departments=(library,)), person("staff", departments=(library,))
        phase("Pilot", people=[invited])
        me = program(somebody).get("/api/v1/me/").json()
        assert (me["admitted"], me["phase"], me["clearance"], me["curates"]) == (False, "", 0, [])
        me = program(invited).get("/api/v1/me/").json()
        assert (me["admitted"], me["phase"], me["clearance"]) == (True, "Pilot", 3)

    @pytest.mark.parametrize("group", [LIBRARIANS, CURATORS, ""])
    def test_those_who_prepare_the_portal_use_it_as_ever(self, group: str, quill: Document, person: MakePerson) -> None:
        phase(percentage=0)
        prepares = person("staff" if group else "admin", departments=(quill.department,))
        if group:
            prepares.groups.add(Group.objects.get(name=group))
        assert "Quill care" in browser(prepares).get(f"/documents/{quill.pk}/").content.decode()
        assert browser(prepares).get("/admin/").status_code == 200

    def test_the_next_request_of_an_open_session_meets_the_end_of_a_phase(
        self, quill: Document, person: MakePerson
    ) -> None:
        pilot = phase(everyone=True)
        for client in (browser(None), browser(person("student"))):
            Phase.objects.filter(pk=pilot.pk).update(ends_at=None)
            assert client.get(f"/documents/{quill.pk}/").status_code == 200
            Phase.objects.filter(pk=pilot.pk).update(ends_at=timezone.now())
            assert client.get(f"/documents/{quill.pk}/").status_code == 403

    def test_without_public_search_the_nameless_are_sent_to_the_sign_in_first(self, settings: Settings) -> None:
        settings.PUBLIC_SEARCH = False
        phase(everyone=True)
        assert browser(None).get("/").url == "/accounts/login/?next=/"

    def test_a_part_of_a_page_that_is_fetched_makes_the_whole_page_be_fetched(self, person: MakePerson) -> None:
        phase(percentage=0)
        answer = browser(person("student")).get("/search/?q=quill", headers={"HX-Request": "true"})
        assert (answer.status_code, answer["HX-Redirect"], answer.content) == (403, "/search/?q=quill", b"")


class TestWords:
    @staticmethod
    def page(user: User | None) -> str:
        return str(browser(user).get("/").content.decode())

    def test_the_nameless_are_invited_to_sign_in_and_come_back(self) -> None:
        phase(percentage=0)
        page = str(browser(None).get("/search/?q=quill").content.decode())
        assert "Cloister is not open to everybody yet" in page
        assert 'class="button" href="/accounts/login/?next=%2Fsearch%2F%3Fq%3Dquill"' in page

    def test_people_are_told_the_day_by_the_university_s_clock(self, person: MakePerson, library: Department) -> None:
        midnight = datetime(2042, 7, 1, tzinfo=ZoneInfo("Europe/London"))  # 23:00 of the day before in UTC
        planned = phase(starts_at=midnight, departments=[library])
        member = person("staff", departments=(library,))
        assert "Cloister opens for your department on Tuesday, 1 July 2042." in self.page(member)
        assert "There is no date for you yet" in self.page(person("staff"))
        planned.people.add(invited := person("student"))
        assert "Cloister opens for you on Tuesday, 1 July 2042." in self.page(invited)

    def test_an_hour_is_told_where_there_is_one(self, person: MakePerson) -> None:
        phase(starts_at=datetime(2042, 7, 1, 9, 30, tzinfo=ZoneInfo("Europe/London")), everyone=True)
        for user in (None, person("student")):
            assert "Cloister opens for everybody on Tuesday, 1 July 2042, at 09:30." in self.page(user)

    def test_people_whose_phase_is_over_are_told_so(self, person: MakePerson) -> None:
        tried = person("student")
        phase(people=[tried], starts=-9 * DAY, ends_at=datetime(2026, 1, 5, 12, tzinfo=ZoneInfo("Europe/London")))
        assert "ended on Monday, 5 January 2026" in self.page(tried)


class TestAccount:
    def test_a_search_is_noted_with_the_phase_that_admits(self, quill: Document, person: MakePerson) -> None:
        somebody = person("student")
        phase("Pilot", people=[somebody])
        browser(somebody).get("/search/", {"q": "quill", "mode": "keyword"})
        program(somebody).get("/api/v1/search/", {"q": "quill", "mode": "keyword"})
        assert [event.phase for event in SearchEvent.objects.all()] == ["Pilot", "Pilot"]

    def test_every_request_for_a_page_or_to_the_api_is_counted_once(self, quill: Document, person: MakePerson) -> None:
        invited, other = person("student"), person("student")
        phase("Counted", people=[invited])

        def counted(name: str, admitted: str) -> float:
            return REGISTRY.get_sample_value("rollout_requests_total", {"phase": name, "admitted": admitted}) or 0

        before, refused = counted("Counted", "yes"), counted("", "no")
        for path in ("/search/?q=quill&mode=keyword", f"/documents/{quill.pk}/"):
            browser(invited).get(path)
            browser(other).get(path)
        for path in ("/api/v1/documents/", "/api/v1/search/?q=quill&mode=keyword"):
            program(invited).get(path)
            program(other).get(path)
        assert (counted("Counted", "yes") - before, counted("", "no") - refused) == (4, 4)

    def test_many_names_of_phases_do_not_make_many_series(self) -> None:
        from accounts import metrics

        for number in range(metrics.MAX_PHASES + 20):
            metrics.count_admission(f"Name {number}", admitted=True)
        names = {sample.labels["phase"] for metric in metrics.ROLLOUT.collect() for sample in metric.samples}
        assert len(names) <= metrics.MAX_PHASES + 1
        assert "other" in names
