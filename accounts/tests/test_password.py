"""A person's own new password: what it takes, what it ends, and that it undoes nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.test import Client, override_settings

from accounts.clearance import Role
from accounts.models import AuditEvent, User
from accounts.tests.test_sign_in import PASSWORD, at_the_api, is_in, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password=PASSWORD, role=Role.STAFF)


class Meanwhile:
    """Stands among the checks of a new password, and does what somebody else does just then."""

    change: dict[str, Any] = {}

    def validate(self, password: str, user: User | None = None) -> None:
        """Nothing against the password."""
        User.objects.filter(username="ada").update(**self.change)

    def get_help_text(self) -> str:
        """Nothing to say."""
        return ""


MEANWHILE = [{"NAME": "accounts.tests.test_password.Meanwhile"}]


class TestPassword:
    def change(self, client: Client, old: str, new: str) -> Any:
        return client.post("/accounts/password/", {"old_password": old, "new_password1": new, "new_password2": new})

    def test_a_new_one_keeps_this_session_and_ends_all_others_and_tokens(self, ada: User) -> None:
        here, elsewhere = signed_in(), signed_in()
        token = at_the_api(Client(), "ada", PASSWORD).json()["access"]
        key = here.session.session_key
        assert self.change(here, PASSWORD, "another-long-phrase")["Location"] == "/accounts/security/"
        assert (is_in(here), is_in(elsewhere)) == (True, False)
        assert here.session.session_key != key
        assert Client().get("/api/v1/me/", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 401
        assert AuditEvent.objects.filter(action="password_changed", actor=ada).exists()

    @pytest.mark.parametrize("new", ["short", "12345678901234", "password123", "ada"])
    def test_a_weak_one_is_refused(self, ada: User, new: str) -> None:
        assert self.change(signed_in(), PASSWORD, new).status_code == 200
        assert authenticate(username="ada", password=PASSWORD)

    def test_the_old_one_cannot_be_guessed_here_either(self, ada: User) -> None:
        client = signed_in()
        answers = [self.change(client, "wrong-password", "another-long-phrase").status_code for _ in range(5)]
        assert answers == [200, 200, 200, 200, 429]
        assert self.change(client, PASSWORD, "another-long-phrase").status_code == 429

    def test_nothing_that_changed_meanwhile_is_undone(self, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Meanwhile, "change", {"role": Role.STUDENT, "last_name": "Lovelace"})
        client = signed_in()
        with override_settings(AUTH_PASSWORD_VALIDATORS=MEANWHILE):
            assert self.change(client, PASSWORD, "another-long-phrase").status_code == 302
        ada.refresh_from_db()
        assert (ada.role, ada.last_name, ada.check_password("another-long-phrase")) == ("student", "Lovelace", True)
        assert is_in(client)

    @pytest.mark.parametrize("change", [{"is_active": False}, {"sign_in_epoch": 7}, {"password": "!"}])
    def test_whose_account_was_closed_or_whose_sign_ins_ended_meanwhile_sets_none(
        self, ada: User, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
    ) -> None:
        monkeypatch.setattr(Meanwhile, "change", change)
        client = signed_in()
        with override_settings(AUTH_PASSWORD_VALIDATORS=MEANWHILE):
            answer = self.change(client, PASSWORD, "another-long-phrase")
        assert "changed meanwhile" in answer.content.decode()
        ada.refresh_from_db()
        for name, value in change.items():
            assert getattr(ada, name) == value
        assert not ada.check_password("another-long-phrase")
        assert not is_in(client)
        assert not AuditEvent.objects.filter(action="password_changed").exists()

    def test_the_admin_sites_own_page_leads_here(self) -> None:
        client = Client()
        client.force_login(User.objects.create_user("warden", role=Role.ADMIN))
        assert client.get("/admin/password_change/")["Location"] == "/accounts/password/"
