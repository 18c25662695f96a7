"""Signing in with a password: the lock-out, the pages of the account, and how sessions end."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import authenticate
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client, override_settings
from django.test.client import MULTIPART_CONTENT
from django.utils import timezone

from accounts.clearance import Role
from accounts.metrics import SIGN_INS
from accounts.models import AuditEvent, User
from accounts.sign_in import sign_out_everywhere
from accounts.tasks import clear_sessions

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password=PASSWORD, role=Role.STAFF, first_name="Ada")


def at_the_page(client: Client, name: str, password: str, **more: Any) -> Any:
    return client.post("/accounts/login/", {"username": name, "password": password}, **more)


def at_the_api(client: Client, name: str, password: str, **more: Any) -> Any:
    body = json.dumps({"username": name, "password": password})
    return client.post("/api/v1/token/", body, content_type="application/json", **more)


def signed_in(name: str = "ada") -> Client:
    client = Client()
    assert at_the_page(client, name, PASSWORD).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/api/v1/me/").status_code == 200


class TestLockout:
    def test_after_five_wrong_passwords_the_right_one_is_not_taken_either(self, ada: User) -> None:
        client = Client()
        answers = [at_the_page(client, "ada", f"wrong-{number}") for number in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
        locked = at_the_page(client, "ada", PASSWORD)
        assert locked.status_code == 429
        assert 890 < int(locked["Retry-After"]) <= 900
        text = locked.content.decode()
        assert "Wait 15 minutes" in text
        assert "ask the library" in text
        assert "no-store" in locked["Cache-Control"]
        assert not is_in(client)

    def test_the_api_is_locked_too_with_a_problem_and_the_time_to_wait(self, ada: User) -> None:
        client = Client()
        answers = [at_the_api(client, "ada", f"wrong-{number}").status_code for number in range(5)]
        assert answers == [401] * 5
        locked = at_the_api(client, "ada", PASSWORD)
        assert (locked.status_code, locked["Content-Type"]) == (429, "application/problem+json")
        assert 890 < int(locked["Retry-After"]) <= 901
        assert locked.json()["status"] == 429
        assert at_the_page(client, "ada", PASSWORD).status_code == 429

    def test_a_name_that_nobody_has_is_answered_just_so(self) -> None:
        def answers(name: str) -> list[tuple[int, str]]:
            client = Client()
            page = [at_the_page(client, name, "wrong-password") for _ in range(6)]
            api = at_the_api(client, name, "wrong-password")
            said = [(one.status_code, one.content.decode().replace(name, "NAME")) for one in [*page, api]]
            return [(status, _without_tokens(text)) for status, text in said]

        User.objects.create_user("somebody-known", password=PASSWORD)
        assert answers("somebody-known") == answers("nobody-at-all")

    def test_trying_on_makes_it_no_longer_and_afterwards_the_password_is_taken(self, ada: User) -> None:
        client = Client()
        for _ in range(5):
            at_the_page(client, "ada", "wrong-password")
        AccessAttempt.objects.update(attempt_time=timezone.now() - timezone.timedelta(minutes=14))
        assert 50 < int(at_the_page(client, "ada", "wrong-password")["Retry-After"]) <= 60
        AccessAttempt.objects.update(attempt_time=timezone.now() - timezone.timedelta(minutes=16))
        assert at_the_page(client, "ada", PASSWORD).status_code == 302

    def test_somebody_elsewhere_is_not_locked_out(self, ada: User) -> None:
        for _ in range(6):
            at_the_page(Client(), "ada", "wrong-password", REMOTE_ADDR="192.0.2.1")
        assert at_the_page(Client(), "ada", PASSWORD, REMOTE_ADDR="192.0.2.2").status_code == 302

    @override_settings(SIGN_IN_ATTEMPTS_PER_ADDRESS=8)
    def test_one_password_with_many_names_locks_the_address(self, ada: User) -> None:
        for number in range(8):
            assert at_the_page(Client(), f"name{number}", PASSWORD, REMOTE_ADDR="192.0.2.1").status_code == 200
        assert at_the_page(Client(), "ada", PASSWORD, REMOTE_ADDR="192.0.2.1").status_code == 429
        assert at_the_page(Client(), "ada", PASSWORD, REMOTE_ADDR="192.0.2.2").status_code == 302

    def test_clients_without_an_address_share_one_count(self, ada: User) -> None:
        for _ in range(5):
            at_the_page(Client(), "ada", "wrong-password", REMOTE_ADDR="")
        assert at_the_page(Client(), "ada", PASSWORD, REMOTE_ADDR="").status_code == 429

    def test_whoever_has_one_address_of_a_household_has_them_all(self, ada: User) -> None:
        for number in range(5):
            at_the_page(Client(), "ada", "wrong-password", REMOTE_ADDR=f"2001:db8:0:1::{number}")
        assert at_the_page(Client(), "ada", PASSWORD, REMOTE_ADDR="2001:db8:0:1:ffff::9").status_code == 429
        assert at_the_page(Client(), "ada", PASSWORD, REMOTE_ADDR="2001:db8:0:2::1").status_code == 302

    @override_settings(TRUSTED_PROXIES=1)
    def test_what_a_client_claims_of_its_address_does_not_help(self, ada: User) -> None:
        for number in range(5):
            at_the_page(Client(), "ada", "wrong", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}, 192.0.2.9")
        assert at_the_page(Client(), "ada", PASSWORD, HTTP_X_FORWARDED_FOR="10.1.1.1, 192.0.2.9").status_code == 429

    @pytest.mark.parametrize("sign_in", [at_the_page, at_the_api])
    def test_knowing_it_in_the_end_starts_the_count_anew(self, ada: User, sign_in: Any) -> None:
        for _ in range(3):
            for _ in range(4):
                sign_in(Client(), "ada", "wrong-password")
            assert sign_in(Client(), "ada", PASSWORD).status_code in (200, 302)

    def test_calls_from_inside_are_not_counted(self, ada: User) -> None:
        for _ in range(6):
            assert authenticate(username="ada", password="wrong-password") is None
        assert authenticate(username="ada", password=PASSWORD) == ada
        assert Client().login(username="ada", password=PASSWORD)

    @pytest.mark.parametrize("name", ["x" * 300, "nul\0", "", "愛" * 150, "<script>"])
    @pytest.mark.parametrize("sign_in", [at_the_page, at_the_api])
    def test_no_name_is_an_error(self, sign_in: Any, name: str) -> None:
        assert sign_in(Client(), name, "wrong-password").status_code in (200, 400, 401)

    def test_what_is_kept_and_noted_holds_no_password_and_no_name_that_nobody_has(self, ada: User) -> None:
        before = SIGN_INS.labels("failed")._value.get()
        at_the_page(Client(), "ada", "wrong-password")
        at_the_page(Client(), "my-secret-password", "wrong-password")
        noted = AuditEvent.objects.filter(action="sign_in_failed")
        assert sorted(noted.values_list("subject", flat=True)) == ["", "ada"]
        assert SIGN_INS.labels("failed")._value.get() == before + 2
        kept = str([*AccessAttempt.objects.values(), *AuditEvent.objects.values()])
        assert "wrong-password" not in kept
        assert "my-secret-password" not in kept

    def test_of_a_form_or_an_address_nothing_is_kept_or_logged(
        self, ada: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = signed_in()
        with caplog.at_level(logging.DEBUG):
            for _ in range(2):
                change = {
                    "old_password": "old-secret",
                    "new_password1": "new-secret-1",
                    "new_password2": "new-secret-1",
                }
                client.post("/accounts/password/?q=a-secret-search", change)
                client.post("/accounts/confirm/?next=/a-secret-page/", {"password": "proof-secret", "next": "/"})
                at_the_page(Client(), "name-secret", "page-secret")
        assert AccessAttempt.objects.count() == 2
        assert sum(AccessAttempt.objects.values_list("failures_since_start", flat=True)) == 6
        assert set(AccessAttempt.objects.values_list("get_data", "post_data")) == {("", "")}
        assert "secret" not in str([*AccessAttempt.objects.values()]) + caplog.text

    def test_an_operator_ends_a_lock_by_the_name_or_by_the_address(self, ada: User) -> None:
        here = {"REMOTE_ADDR": "2001:db8::1"}
        for command, given in (("axes_reset_username", "ada"), ("axes_reset_ip", "2001:db8::7")):
            for _ in range(5):
                at_the_page(Client(), "ada", "wrong-password", **here)
            assert at_the_page(Client(), "ada", PASSWORD, **here).status_code == 429
            call_command(command, given, stdout=io.StringIO())
            assert at_the_page(Client(), "ada", PASSWORD, **here).status_code == 302

    def test_forms_that_ask_for_a_password_are_limited_for_each_address(self, ada: User) -> None:
        with override_settings(THROTTLE_FACTOR=0.1, SIGN_IN_ATTEMPTS_PER_ADDRESS=1000):
            answers = [at_the_page(Client(), f"name{number}", "wrong-password") for number in range(13)]
            assert [answer.status_code for answer in answers] == [200] * 12 + [429]
            assert 1 <= int(answers[-1]["Retry-After"]) <= 61
            assert Client().get("/accounts/login/").status_code == 200
            assert at_the_page(Client(), "ada", PASSWORD, REMOTE_ADDR="192.0.2.2").status_code == 302

    def test_proofs_are_limited_for_each_person(self, ada: User) -> None:
        client = signed_in()
        with override_settings(THROTTLE_FACTOR=0.1):
            proofs = [client.post("/accounts/confirm/", {"password": PASSWORD}).status_code for _ in range(37)]
            assert proofs == [302] * 36 + [429]
            assert client.get("/accounts/confirm/").status_code == 200

    @pytest.mark.parametrize("address", ["/accounts/login/", "/api/v1/token/"])
    def test_the_trail_says_once_who_was_locked_out(self, ada: User, address: str) -> None:
        for _ in range(8):
            Client().post(
                address,
                {"username": "ada", "password": "wrong"},
                content_type="application/json" if "api" in address else MULTIPART_CONTENT,
            )
        assert [act.subject for act in AuditEvent.objects.filter(action="locked_out")] == ["ada"]

    def test_nobody_fills_the_trail_by_knocking_on_a_locked_door(self, ada: User) -> None:
        for _ in range(9):
            at_the_page(Client(), "ada", "wrong-password")
        noted = AuditEvent.objects.filter(action="sign_in_failed").order_by("pk")
        assert [event.details["locked"] for event in noted] == [False, False, False, False, True]

    def test_a_service_account_does_not_sign_in(self, ada: User) -> None:
        client = signed_in()
        User.objects.update(is_service=True)
        assert not is_in(client)
        assert at_the_page(Client(), "ada", PASSWORD).status_code == 200


def _without_tokens(text: str) -> str:
    kept = "\n".join(line for line in text.splitlines() if "csrfmiddlewaretoken" not in line)
    return re.sub(r'(nonce=|"request_id": ?)"[^"]*"|\d+ seconds|until \d\d:\d\d', "", kept)


class TestSessions:
    def test_signing_in_makes_a_new_session(self, ada: User) -> None:
        client = Client()
        at_the_page(client, "ada", PASSWORD)
        session = client.session
        first = session.session_key
        client.logout()
        client.get("/accounts/login/")
        client.cookies["sessionid"] = "a" * 32
        at_the_page(client, "ada", PASSWORD)
        assert client.session.session_key not in (first, "a" * 32)

    @pytest.mark.parametrize(("name", "seconds"), [("signed_in_at", 12 * 3600 + 1), ("used_at", 4 * 3600 + 1)])
    def test_it_ends_when_it_is_old_or_was_not_used(self, ada: User, name: str, seconds: int) -> None:
        client = signed_in()
        session = client.session
        session["used_at"] = time.time()
        session[name] = time.time() - seconds
        session.save()
        assert not is_in(client)

    def test_using_it_keeps_it(self, ada: User) -> None:
        client = signed_in()
        session = client.session
        session["signed_in_at"] = session["used_at"] = time.time() - 3 * 3600
        session.save()
        assert is_in(client)
        assert time.time() - client.session["used_at"] < 5

    def test_those_that_have_ended_are_cleared_away(self, ada: User) -> None:
        over, open_one = signed_in(), signed_in()
        Session.objects.filter(pk=over.session.session_key).update(expire_date=timezone.now())
        clear_sessions()
        assert [session.pk for session in Session.objects.all()] == [open_one.session.session_key]

    def test_without_a_database_whoever_has_a_session_is_told_that_it_is_away(self) -> None:
        program = (
            "import django; django.setup()\n"
            "from django.conf import settings; from django.test import Client\n"
            "client = Client(raise_request_exception=False)\n"
            "client.cookies[settings.SESSION_COOKIE_NAME] = 'a' * 32\n"
            "print([client.get(path).status_code for path in ('/api/v1/me/', '/api/v1/documents/')])"
        )
        away = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing", "ALLOWED_HOSTS": "testserver"}
        said = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env={**os.environ, "LOG_LEVEL": "CRITICAL", **away}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(said.stdout) == [503, 503]

    def test_signing_out_is_by_form_only(self, ada: User) -> None:
        client = signed_in()
        assert client.get("/accounts/logout/").status_code == 405
        assert is_in(client)
        assert client.post("/accounts/logout/").status_code == 302
        assert not is_in(client)
        assert AuditEvent.objects.filter(action="signed_out", actor=ada).exists()

    def test_in_production_the_cookies_travel_over_tls_only_and_no_script_reads_them(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "INSECURE_COOKIES"}
        program = (
            "import django; django.setup()\n"
            "from django.conf import settings as s; import json\n"
            "print(json.dumps([s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY, "
            "s.SESSION_COOKIE_SAMESITE, s.SESSION_COOKIE_NAME, s.SESSION_COOKIE_AGE, s.SESSION_COOKIE_DOMAIN]))"
        )
        said = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert json.loads(said.stdout) == [True, True, True, "Lax", "__Host-session", 12 * 3600, None]

    @pytest.mark.parametrize(
        ("given", "complaint"),
        [
            ({"OIDC_ISSUER": "https://id.example.ac.uk"}, "OIDC_RP_CLIENT_ID is not set"),
            ({"OIDC_RP_SIGN_ALGO": "HS256"}, "OIDC_RP_SIGN_ALGO is HS256"),
            ({"OIDC_RP_SIGN_ALGO": "none"}, "OIDC_RP_SIGN_ALGO is none"),
        ],
    )
    def test_half_set_single_sign_on_stops_the_start(self, given: dict[str, str], complaint: str) -> None:
        said = subprocess.run(
            [sys.executable, "-c", "import django; django.setup()"],
            env={**os.environ, **given}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert said.returncode != 0
        assert complaint in said.stderr


class TestSignOutEverywhere:
    def test_ends_every_session_and_leads_to_the_sign_in_page(self, ada: User) -> None:
        here, elsewhere, somebody = signed_in(), signed_in(), Client()
        somebody.force_login(User.objects.create_user("grace"))
        assert here.get("/accounts/security/sign-out-everywhere/").status_code == 200
        assert is_in(elsewhere)
        answer = here.post("/accounts/security/sign-out-everywhere/", follow=True)
        assert answer.redirect_chain == [("/accounts/login/", 302)]
        assert "You are signed out everywhere" in answer.content.decode()
        assert (is_in(here), is_in(elsewhere), is_in(somebody)) == (False, False, True)
        event = AuditEvent.objects.get(action="signed_out_everywhere")
        assert (event.actor, event.subject) == (ada, "ada")

    def test_ends_tokens_too(self, ada: User) -> None:
        token = at_the_api(Client(), "ada", PASSWORD).json()["access"]
        bearer = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
        assert Client().get("/api/v1/me/", **bearer).status_code == 200
        sign_out_everywhere(ada, actor=ada, request=None)
        assert Client().get("/api/v1/me/", **bearer).status_code == 401

    def test_needs_a_form_of_this_site(self, ada: User) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(ada)
        assert client.post("/accounts/security/sign-out-everywhere/").status_code == 403
        assert is_in(client)


class TestPages:
    @pytest.mark.parametrize(
        "page", ["/accounts/security/", "/accounts/password/", "/accounts/security/sign-out-everywhere/"]
    )
    def test_are_for_people_who_are_signed_in_and_kept_by_nobody(self, ada: User, page: str) -> None:
        assert Client().get(page)["Location"] == f"/accounts/login/?next={page}"
        answer = signed_in().get(page)
        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"]
        assert "private" in answer["Cache-Control"]

    def test_the_security_page_says_who_and_what_happened(self, ada: User) -> None:
        client = signed_in()
        at_the_page(Client(), "ada", "wrong-password", REMOTE_ADDR="192.0.2.77")
        text = client.get("/accounts/security/").content.decode()
        for part in ("Ada", "staff", "signed in", "a sign-in failed", "192.0.2.77", "Change the password"):
            assert part in text

    @pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1"])
    def test_nobody_is_sent_elsewhere_after_signing_in(self, ada: User, address: str) -> None:
        answer = Client().post("/accounts/login/", {"username": "ada", "password": PASSWORD, "next": address})
        assert answer["Location"] == "/search/"

    def test_coming_back_to_where_one_was(self, ada: User) -> None:
        answer = Client().post("/accounts/login/", {"username": "ada", "password": PASSWORD, "next": "/search/?q=a"})
        assert answer["Location"] == "/search/?q=a"
