"""The trail of acts in the admin site: read by administrators, changed by nobody."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from accounts.audit import note
from accounts.clearance import CURATORS, LIBRARIANS, Role
from accounts.models import AuditEvent, Department, User
from accounts.reauthentication import PROVEN_AT

pytestmark = pytest.mark.django_db

TRAIL = "/admin/accounts/auditevent/"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    session = client.session
    session[PROVEN_AT] = time.time()
    session.save()
    return client


@pytest.fixture
def warden() -> User:
    return User.objects.create_user("warden", role=Role.ADMIN)


@pytest.fixture
def event(warden: User) -> AuditEvent:
    note("api_key_made", actor=warden, subject="catalogue export", scopes=["read"], said="<script>alert(1)</script>")
    return AuditEvent.objects.get(action="api_key_made")


def test_administrators_read_it_and_nothing_in_it_is_taken_for_a_page(warden: User, event: AuditEvent) -> None:
    desk = signed_in(warden)
    listed = desk.get(TRAIL).content.decode()
    assert "API key made" in listed
    assert "catalogue export" in listed
    page = desk.get(f"{TRAIL}{event.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def test_acts_are_said_in_words_with_their_reason(warden: User) -> None:
    note("grant_revoked", actor=warden, subject="warden", reason="refresh token used twice")
    note("see_as_ended", actor=warden, subject="student", reason="ended")
    note("something_new", actor=warden)
    desk = signed_in(warden)
    listed = desk.get(TRAIL).content.decode()
    assert "tokens taken back (refresh token used twice)" in listed
    assert "stopped looking as somebody else" in listed
    assert "(ended)" not in listed
    assert "something new" in listed
    taken = AuditEvent.objects.get(action="grant_revoked")
    assert "warden: tokens taken back, " in desk.get(f"{TRAIL}{taken.pk}/change/").content.decode()


@pytest.mark.parametrize("group", [LIBRARIANS, CURATORS])
def test_librarians_and_curators_do_not(group: str, event: AuditEvent) -> None:
    user = User.objects.create_user("lib", role=Role.STAFF)
    user.departments.add(Department.objects.create(name="Finance"))
    user.groups.add(Group.objects.get(name=group))
    for address in (TRAIL, f"{TRAIL}{event.pk}/change/", f"{TRAIL}{event.pk}/history/"):
        assert signed_in(user).get(address).status_code == 403
    assert "Audit trail" not in signed_in(user).get("/admin/").content.decode()


def test_nobody_adds_changes_or_deletes_an_act(warden: User, event: AuditEvent) -> None:
    desk = signed_in(warden)
    assert desk.get(f"{TRAIL}add/").status_code == 403
    assert desk.post(f"{TRAIL}add/", {"action": "signed_in"}).status_code == 403
    assert desk.post(f"{TRAIL}{event.pk}/change/", {"action": "nothing", "subject": "x"}).status_code == 403
    assert desk.post(f"{TRAIL}{event.pk}/delete/", {"post": "yes"}).status_code == 403
    desk.post(TRAIL, {"action": "delete_selected", "_selected_action": [event.pk], "post": "yes"})
    kept = AuditEvent.objects.get(pk=event.pk)
    assert (kept.action, kept.subject) == ("api_key_made", "catalogue export")


def test_it_is_searched_by_who_and_by_whom_and_narrowed_by_action_and_time(warden: User) -> None:
    AuditEvent.objects.create(
        action="api_key_made", actor_name="warden", subject="catalogue export", at=timezone.now() - timedelta(days=3)
    )
    note("signed_out", actor=warden, subject="warden")
    desk = signed_in(warden)

    def found(query: str) -> list[str]:
        listed = desk.get(f"{TRAIL}?{query}").context["cl"].result_list
        return [one.action for one in listed if one.action != "signed_in"]

    assert found("") == ["signed_out", "api_key_made"]
    assert found("q=catalogue") == ["api_key_made"]
    assert found("q=warden") == ["signed_out", "api_key_made"]
    assert found("action=signed_out") == ["signed_out"]
    assert found("days=1") == ["signed_out"]
    assert found("days=7") == ["signed_out", "api_key_made"]


@pytest.mark.parametrize("query", ["actor_name__regex=(", "details__has_key=a", "actor__password__startswith=a"])
def test_it_is_narrowed_by_nothing_else(warden: User, event: AuditEvent, query: str) -> None:
    assert signed_in(warden).get(f"{TRAIL}?{query}").status_code == 400


@pytest.mark.parametrize("query", ["action=%00", "action=nothing", "days=x", "days=99999999999", "q=%00"])
def test_no_value_of_a_filter_is_a_server_error(warden: User, event: AuditEvent, query: str) -> None:
    assert signed_in(warden).get(f"{TRAIL}?{query}").status_code in (200, 302)


def test_the_admin_site_s_own_log_is_no_page_of_it(warden: User) -> None:
    """It names documents, and would go on naming them to people who no longer manage them."""
    desk = signed_in(warden)
    assert LogEntry not in admin.site._registry
    assert desk.get("/admin/admin/logentry/").status_code == 404
