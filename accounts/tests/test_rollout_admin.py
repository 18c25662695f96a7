"""The phases in the admin site: who edits them, what the pages say before people lose the portal, what is noted."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from accounts.clearance import CURATORS, LIBRARIANS, Role
from accounts.models import AuditEvent, Department, Phase, User
from accounts.reauthentication import PROVEN_AT

pytestmark = pytest.mark.django_db

PHASES = "/admin/accounts/phase/"
GROUPS = "/admin/auth/group/"
PAGES = (PHASES, f"{PHASES}add/", GROUPS, f"{GROUPS}add/")


def person(name: str, role: str = Role.STUDENT, *departments: Department, group: str = "") -> User:
    user = User.objects.create_user(name, role=role)
    user.departments.set(departments)
    if group:
        user.groups.add(Group.objects.get(name=group))
    return user


def signed_in(user: User, *, proven: bool = True) -> Client:
    client = Client()
    client.force_login(user)
    session = client.session
    session[PROVEN_AT] = time.time() if proven else 0
    session.save()
    return client


@pytest.fixture
def finance() -> Department:
    return Department.objects.create(name="Finance")


@pytest.fixture
def desk() -> Client:
    return signed_in(person("warden", Role.ADMIN))


def posted(**more: Any) -> dict[str, Any]:
    """What the form posts for a phase that began yesterday."""
    yesterday = timezone.localtime() - timedelta(days=1)
    fields = {"name": "Pilot", "starts_at": yesterday.strftime("%Y-%m-%dT%H:%M"), "ends_at": "", "percentage": 100}
    return fields | more


@pytest.mark.parametrize("page", PAGES)
def test_only_administrators_open_these_pages(page: str, finance: Department) -> None:
    assert signed_in(person("warden", Role.ADMIN)).get(page).status_code == 200
    for group in (LIBRARIANS, CURATORS):
        assert signed_in(person(group, Role.STAFF, finance, group=group)).get(page).status_code == 403


@pytest.mark.parametrize("page", [f"{PHASES}add/", f"{GROUPS}add/"])
def test_changing_them_needs_a_fresh_proof_of_who_it_is(page: str) -> None:
    answer = signed_in(person("warden", Role.ADMIN), proven=False).get(page)
    assert answer.status_code == 302
    assert "/accounts/" in answer["Location"]


def test_people_are_found_by_typing_and_by_administrators_only(desk: Client, finance: Department) -> None:
    person("ada")
    asked = {"app_label": "accounts", "model_name": "phase", "field_name": "people", "term": "ada"}
    assert [one["text"] for one in desk.get("/admin/autocomplete/", asked).json()["results"]] == ["ada"]
    for group in (LIBRARIANS, CURATORS):
        other = signed_in(person(group, Role.STAFF, finance, group=group))
        assert other.get("/admin/autocomplete/", asked).status_code == 403


class TestSaving:
    def test_the_first_phase_is_saved_only_after_its_effect_was_confirmed(self, desk: Client) -> None:
        ada = person("ada")
        for number in range(3):
            person(f"p{number}")
        sent = posted(people=[ada.pk])
        asked = desk.post(f"{PHASES}add/", sent)
        page = asked.content.decode()
        assert asked.status_code == 200
        assert "<b>3</b> people lose the portal" in page
        assert "<b>Everybody who is not signed in</b> loses it" in page
        assert "to <b>2</b> of 5 people; now to 5" in page
        assert f'<input type="hidden" name="people" value="{ada.pk}">' in page
        assert not Phase.objects.exists()
        assert not AuditEvent.objects.filter(action="phase_changed").exists()

        done = desk.post(f"{PHASES}add/", {**sent, "_confirmed": "1"})
        assert done.status_code == 302
        assert list(Phase.objects.get().people.all()) == [ada]

    def test_going_back_keeps_what_was_typed_and_saves_nothing(self, desk: Client) -> None:
        ada = person("ada")
        asked = desk.post(f"{PHASES}add/", posted(people=[ada.pk], percentage=20))
        button = f'name="{asked.context["going_back"]}" value="1"'
        assert button in asked.content.decode()
        sent = posted(people=[ada.pk], percentage=20, **{asked.context["going_back"]: "1"})
        form = desk.post(f"{PHASES}add/", sent).context["adminform"].form
        assert [form[name].value() for name in ("name", "percentage", "people")] == ["Pilot", "20", [str(ada.pk)]]
        assert "Nothing is saved yet" in str(form.non_field_errors())
        assert not Phase.objects.exists()

    def test_what_takes_nothing_from_anybody_is_saved_at_once(self, desk: Client, finance: Department) -> None:
        person("ada", Role.STAFF, finance)
        desk.post(f"{PHASES}add/", posted(_confirmed="1"))
        phase = Phase.objects.get()
        answer = desk.post(f"{PHASES}{phase.pk}/change/", posted(departments=[finance.pk]), follow=True)
        assert "1 gained it" in answer.content.decode()
        assert list(phase.departments.all()) == [finance]

    def test_ending_a_phase_asks_first_and_changes_nothing_until_then(self, desk: Client) -> None:
        ada = person("ada")
        desk.post(f"{PHASES}add/", posted(everyone="on"))
        phase = Phase.objects.get()
        ended = posted(everyone="on", ends_at=(timezone.localtime() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"))
        assert b"<b>1</b> person loses the portal" in desk.post(f"{PHASES}{phase.pk}/change/", ended).content
        phase.refresh_from_db()
        assert phase.ends_at is None
        desk.post(f"{PHASES}{phase.pk}/change/", {**ended, "_confirmed": "1"})
        assert signed_in(ada).get("/").status_code == 403

    def test_what_was_done_stands_in_the_trail_with_whom_it_reached(self, desk: Client, finance: Department) -> None:
        ada = person("ada", Role.STAFF, finance)
        desk.post(f"{PHASES}add/", posted(people=[ada.pk], departments=[finance.pk], percentage=25, _confirmed="1"))
        event = AuditEvent.objects.get(action="phase_changed")
        assert (event.actor_name, event.subject) == ("warden", "Pilot")
        assert event.details["before"] is None
        assert event.details["after"]["people"] == ["ada"]
        assert event.details["after"]["departments"] == ["Finance"]
        assert (event.details["after"]["percentage"], event.details["lost"]) == (25, 0)
        desk.post(f"{PHASES}{Phase.objects.get().pk}/delete/", {"post": "yes"})
        gone = AuditEvent.objects.filter(action="phase_changed").first()
        assert gone is not None
        assert (gone.details["before"]["name"], gone.details["after"]) == ("Pilot", None)

    def test_dates_are_of_the_university_s_clock(self, desk: Client) -> None:
        desk.post(f"{PHASES}add/", posted(starts_at="2042-07-01T09:00", _confirmed="1"))
        assert Phase.objects.get().starts_at == datetime.fromisoformat("2042-07-01T08:00+00:00")
        assert "1 July 2042, 09:00" in desk.get(PHASES).content.decode()

    @pytest.mark.parametrize(
        "wrong", [{"percentage": 101}, {"percentage": -1}, {"ends_at": "2001-01-01T00:00"}, {"name": ""}]
    )
    def test_a_wrong_value_is_refused(self, desk: Client, wrong: dict[str, Any]) -> None:
        answer = desk.post(f"{PHASES}add/", posted(**wrong, _confirmed="1"))
        assert answer.status_code == 200
        assert not Phase.objects.exists()


class TestList:
    def test_it_says_to_how_many_the_portal_is_open_and_how_many_each_phase_admits(
        self, desk: Client, finance: Department
    ) -> None:
        for number in range(4):
            person(f"p{number}", Role.STAFF, finance)
        assert "open to everybody" in desk.get(PHASES).content.decode()
        now, day = timezone.now(), timedelta(days=1)
        Phase.objects.create(name="Finance first", starts_at=now - day).departments.add(finance)
        Phase.objects.create(name="All", starts_at=now + day, everyone=True)
        Phase.objects.create(name="Try-out", starts_at=now - 3 * day, ends_at=now - day, everyone=True, percentage=0)
        answer = desk.get(PHASES)
        model_admin, shown = answer.context["cl"].model_admin, answer.context["cl"].result_list
        rows = {one.name: (model_admin.state(one), model_admin.people_now(one), model_admin.whom(one)) for one in shown}
        assert rows == {
            "Finance first": ("running", "4", "Finance"),
            "All": ("planned", "5", "everyone"),
            "Try-out": ("over", "0", "everyone"),
        }
        assert "Now the portal is open to 5 of 5 people, and to nobody without signing in." in " ".join(
            answer.content.decode().split()
        )
        assert "From the first phase on, nobody else can use the portal." in answer.content.decode()

    def test_deleting_the_last_phase_says_that_it_opens_the_portal_to_everybody(self, desk: Client) -> None:
        person("ada")
        phase = Phase.objects.create(name="Pilot", starts_at=timezone.now())
        page = desk.get(f"{PHASES}{phase.pk}/delete/").content.decode()
        assert "without it the portal is open to everybody" in page
        assert "<b>1</b> person gains" in page
        assert Phase.objects.exists()


class TestGroups:
    def test_groups_are_made_here_and_give_no_rights(self, desk: Client) -> None:
        desk.post(f"{GROUPS}add/", {"name": "First hundred"})
        assert not Group.objects.get(name="First hundred").permissions.exists()

    def test_the_groups_that_give_rights_are_neither_shown_nor_touched(self, desk: Client) -> None:
        group = Group.objects.get(name=LIBRARIANS)
        assert desk.get(f"{GROUPS}{group.pk}/change/").status_code == 302
        assert desk.post(f"{GROUPS}{group.pk}/delete/", {"post": "yes"}).status_code == 302
        assert Group.objects.filter(pk=group.pk).exists()
        assert LIBRARIANS not in {one.name for one in desk.get(GROUPS).context["cl"].result_list}
