"""The administrators' pages of API keys: a key is made, shown once and revoked, and never changed."""

from __future__ import annotations

import logging
import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey, AuditEvent, Department, User
from accounts.tests.keys import make, send

pytestmark = pytest.mark.django_db

KEYS = "/admin/accounts/apikey/"


@pytest.fixture
def desk(admin: User) -> Client:
    client = Client()
    client.force_login(admin)
    session = client.session
    session["proven_at"] = time.time()
    session.save()
    return client


def given(robot: User, **more: Any) -> dict[str, Any]:
    ends = timezone.localdate() + timedelta(days=90)
    return {"name": "VLE", "user": robot.pk, "scopes": ["read"], "expires_on": ends.isoformat()} | more


def test_a_key_is_shown_once_and_is_nowhere_after(desk: Client, robot: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    page = desk.post(f"{KEYS}add/", given(robot))
    assert page.status_code == 200
    text = re.findall(r"clst_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", page.content.decode())
    assert len(text) == 1
    assert "no-store" in page["Cache-Control"]
    assert send(text[0]).json()["username"] == "robot"
    secret = text[0][18:]
    key = ApiKey.objects.get()
    for path in ("", f"{key.pk}/change/", f"{key.pk}/revoke/", "add/", f"{key.pk}/history/"):
        assert secret not in desk.get(f"{KEYS}{path}").content.decode()
    assert secret not in str(dict(desk.session))
    assert secret not in str(desk.cookies)
    assert secret not in caplog.text
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(row_to_json(e)::text, '') FROM accounts_auditevent e")
        assert secret not in cursor.fetchone()[0]


def test_sending_the_form_again_makes_no_second_key(desk: Client, robot: User) -> None:
    desk.post(f"{KEYS}add/", given(robot))
    again = desk.post(f"{KEYS}add/", given(robot))
    assert "There is a key of this name" in again.content.decode()
    assert ApiKey.objects.count() == 1


def test_making_and_revoking_are_noted(desk: Client, robot: User, admin: User) -> None:
    desk.post(f"{KEYS}add/", given(robot, scopes=["read", "upload"]))
    key = ApiKey.objects.get()
    assert (key.created_by, key.scopes) == (admin, ["read", "upload"])
    made = AuditEvent.objects.get(action="api_key_made")
    assert (made.actor, made.subject, made.details) == (admin, str(key), {"scopes": ["read", "upload"]})
    assert desk.get(f"{KEYS}{key.pk}/revoke/").status_code == 200
    key.refresh_from_db()
    assert key.revoked_at is None
    assert desk.post(f"{KEYS}{key.pk}/revoke/").status_code == 302
    desk.post(f"{KEYS}{key.pk}/revoke/")
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert AuditEvent.objects.filter(action="api_key_revoked").count() == 1


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"scopes": []}, {"scopes": ["admin"]}, {"user": 0}, {"expires_on": "2020-01-01"},
               {"expires_on": "2999-01-01"}, {"expires_on": "x"}], ids=str,
)  # fmt: skip
def test_a_wrong_form_makes_nothing(desk: Client, robot: User, change: dict[str, Any]) -> None:
    assert desk.post(f"{KEYS}add/", given(robot, **change)).status_code == 200
    assert not ApiKey.objects.exists()


def test_people_and_closed_accounts_are_not_offered(desk: Client, robot: User, admin: User) -> None:
    desk.post(f"{KEYS}add/", given(robot, user=admin.pk))
    User.objects.filter(pk=robot.pk).update(is_active=False)
    desk.post(f"{KEYS}add/", given(robot))
    assert not ApiKey.objects.exists()


def test_a_key_is_never_changed_or_deleted_and_its_digest_is_on_no_page(desk: Client, robot: User) -> None:
    key = make(robot)[0]
    page = desk.get(f"{KEYS}{key.pk}/change/").content.decode()
    assert key.digest not in page
    assert key.digest not in desk.get(KEYS).content.decode()
    assert desk.post(f"{KEYS}{key.pk}/change/", {"name": "other", "digest": "0" * 64}).status_code == 403
    assert desk.post(f"{KEYS}{key.pk}/delete/", {"post": "yes"}).status_code == 403
    desk.post(KEYS, {"action": "delete_selected", "_selected_action": [key.pk], "post": "yes"})
    before = ApiKey.objects.get()
    assert (before.name, before.digest) == ("VLE", key.digest)


def test_the_list_says_what_state_each_is_in(desk: Client, robot: User) -> None:
    make(robot)
    assert "state-ready" in desk.get(KEYS).content.decode()
    ApiKey.objects.update(expires_at=timezone.now())
    assert "expired" in desk.get(KEYS).content.decode()
    ApiKey.objects.update(revoked_at=timezone.now())
    assert "revoked</span>" in desk.get(KEYS).content.decode()


def test_only_administrators_come_here(robot: User, library: Department) -> None:
    key = make(robot)[0]
    librarian = User.objects.create_user("lib", password="correct-horse-battery", role="academic")
    librarian.groups.add(Group.objects.get(name="Librarians"))
    client = Client()
    client.force_login(librarian)
    for path in ("", "add/", f"{key.pk}/change/", f"{key.pk}/revoke/"):
        assert client.get(f"{KEYS}{path}").status_code == 403, path
        assert client.post(f"{KEYS}{path}").status_code == 403, path
    assert "/apikey/" not in client.get("/admin/").content.decode()


def test_making_and_revoking_ask_for_the_password_again(admin: User, robot: User) -> None:
    key = make(robot)[0]
    client = Client()
    client.force_login(admin)
    session = client.session
    session["proven_at"] = 0
    session.save()
    for path in ("add/", f"{key.pk}/revoke/"):
        for answer in (client.get(f"{KEYS}{path}"), client.post(f"{KEYS}{path}", given(robot, name="other"))):
            assert answer.status_code == 302
    key.refresh_from_db()
    assert key.revoked_at is None
    assert ApiKey.objects.count() == 1
