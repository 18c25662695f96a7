"""Tokens: what is taken, what a token says, and how it is taken back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from accounts import tokens
from accounts.models import AuditEvent, Department, RevokedGrant, User
from accounts.tasks import purge_tokens

PASSWORD = "correct-horse-battery"

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db: None) -> User:
    user = User.objects.create_user("ada", password=PASSWORD, role="academic")
    user.departments.add(Department.objects.create(name="Chemistry"))
    return user


def post(path: str, **given: str) -> Any:
    return Client().post(f"/api/v1/token/{path}", given, content_type="application/json")


def obtain(user: User) -> dict[str, str]:
    answer = post("", username=user.username, password=PASSWORD)
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def me(access: object) -> Any:
    return Client().get("/api/v1/me/", headers={"Authorization": f"Bearer {access}"})


def claims(user: User, **more: object) -> dict[str, object]:
    """What a good access token of this person holds."""
    return AccessToken(obtain(user)["access"]).payload | {"iss": "cloister"} | more  # type: ignore[arg-type]


def signed(payload: dict[str, object], key: Any = None, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(payload, key or settings.JWT_SIGNING_KEY, algorithm=algorithm, headers=header or None)


def segment(part: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


class TestForgeries:
    def test_the_forger_of_these_tests_makes_good_tokens_with_the_right_key(self, ada: User) -> None:
        assert me(signed(claims(ada))).status_code == 200

    @pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
    @pytest.mark.parametrize("signature", ["", "AAAA"])
    def test_no_signature_is_none(self, ada: User, name: str, signature: str) -> None:
        forged = f"{segment({'alg': name, 'typ': 'JWT'})}.{segment(claims(ada))}.{signature}"
        assert me(forged).status_code == 401

    def test_another_key_opens_nothing(self, ada: User) -> None:
        for key in (settings.SECRET_KEY, settings.JWT_SIGNING_KEY + "x", "x" * 64):
            assert me(signed(claims(ada), key)).status_code == 401

    @pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
    def test_another_algorithm_opens_nothing_even_with_the_right_key(self, ada: User, algorithm: str) -> None:
        assert me(signed(claims(ada), settings.JWT_SIGNING_KEY * 2, algorithm)).status_code == 401
        assert me(signed(claims(ada), settings.JWT_SIGNING_KEY, algorithm)).status_code == 401

    def test_a_key_pair_opens_nothing_whatever_the_header_says(self, ada: User) -> None:
        pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = pair.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        own = {"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "jku": "https://evil.example/keys", "kid": "../../x"}
        assert me(signed(claims(ada), pair, "RS256", **own)).status_code == 401
        # The public key taken for a shared secret, which PyJWT does not even sign with: done by hand.

        body = f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{segment(claims(ada))}"
        mac = hmac.new(public, body.encode(), hashlib.sha256).digest()
        assert me(f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}").status_code == 401

    @pytest.mark.parametrize(
        "change",
        [
            {"iss": "elsewhere"}, {"iss": None}, {"token_type": "refresh"}, {"token_type": None}, {"jti": None},
            {"exp": None}, {"exp": 1}, {"user_id": "0"}, {"user_id": "x"}, {"user_id": None}, {"user_id": "9" * 40},
            {"user_id": [1]}, {"hash_password": "x"}, {"hash_password": None}, {"epoch": 1}, {"epoch": -1},
        ],
        ids=str,
    )  # fmt: skip
    def test_a_wrong_or_missing_claim_is_a_401(self, ada: User, change: dict[str, object]) -> None:
        payload = {name: value for name, value in claims(ada, **change).items() if value is not None}
        answer = me(signed(payload))
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == 'Bearer realm="api", Api-Key realm="api"'

    @pytest.mark.parametrize("raw", [b"Bearer \xff\xfe.\xff.\xff", b"Bearer a b", b"Bearer ", b"Bearer ..", b"Bearer"])
    def test_rubbish_is_refused_or_ignored_but_never_an_error(self, raw: bytes) -> None:
        assert Client().get("/api/v1/me/", HTTP_AUTHORIZATION=raw.decode("latin-1")).status_code == 401

    def test_a_role_put_into_a_token_changes_nothing(self, ada: User) -> None:
        User.objects.filter(pk=ada.pk).update(role="student")
        more = {"role": "admin", "clearance": 4, "is_superuser": True, "departments": [1, 2, 3], "scope": "admin"}
        body = me(signed(claims(ada, **more))).json()
        assert (body["role"], body["clearance"]) == ("student", 2)

    def test_a_token_carries_no_entitlement(self, ada: User) -> None:
        for kind in obtain(ada).values():
            payload = jwt.decode(kind, options={"verify_signature": False})
            known = {"token_type", "exp", "iat", "jti", "iss", "user_id", "hash_password", "epoch", "grant", "began"}
            assert set(payload) == known
            assert jwt.get_unverified_header(kind) == {"alg": "HS256", "typ": "JWT"}


class TestWhoMayHold:
    @pytest.mark.parametrize("change", [{"is_active": False}, {"is_service": True}, {"sign_in_epoch": 1}], ids=str)
    def test_a_change_holds_from_the_next_request_for_both_tokens(self, ada: User, change: dict[str, object]) -> None:
        pair = obtain(ada)
        assert me(pair["access"]).status_code == 200
        User.objects.filter(pk=ada.pk).update(**change)
        assert me(pair["access"]).status_code == 401
        assert post("refresh/", refresh=pair["refresh"]).status_code == 401

    def test_a_new_password_ends_every_token(self, ada: User) -> None:
        pair = obtain(ada)
        ada.set_password("another-long-password")
        ada.save()
        assert me(pair["access"]).status_code == 401
        assert post("refresh/", refresh=pair["refresh"]).status_code == 401

    def test_role_and_departments_are_those_of_the_moment(self, ada: User) -> None:
        access = obtain(ada)["access"]
        assert me(access).json()["clearance"] == 4
        ada.departments.clear()
        assert me(access).json()["clearance"] == 2
        User.objects.filter(pk=ada.pk).update(role="student")
        assert me(access).json()["role"] == "student"

    def test_a_token_without_an_epoch_is_of_the_first(self, ada: User) -> None:
        assert me(AccessToken.for_user(ada)).status_code == 200
        User.objects.filter(pk=ada.pk).update(sign_in_epoch=1)
        ada.refresh_from_db()
        assert me(AccessToken.for_user(ada)).status_code == 401

    def test_the_four_ways_to_fail_look_the_same_to_the_byte(self, ada: User) -> None:
        User.objects.create_user("gone", password=PASSWORD, role="staff", is_active=False)
        robot = User.objects.create_user("robot", password=PASSWORD, role="staff")
        User.objects.filter(pk=robot.pk).update(is_service=True)  # a password that nothing should have left there
        answers = [
            Client().post(
                "/api/v1/token/",
                {"username": name, "password": password},
                content_type="application/json",
                headers={"X-Request-ID": "the-same-id"},
            )
            for name, password in (("ada", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("robot", PASSWORD))
        ]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.content for answer in answers}) == 1
        assert len({str(sorted(answer.headers.items())) for answer in answers}) == 1

    def test_a_service_account_never_keeps_a_password(self, ada: User) -> None:
        robot = User.objects.create_user("robot", password=PASSWORD, role="staff", is_service=True)
        robot.refresh_from_db()
        assert not robot.has_usable_password()
        robot.set_password(PASSWORD)
        robot.save()
        robot.refresh_from_db()
        assert not robot.has_usable_password()

    def test_signing_in_is_noted_without_a_session(self, ada: User) -> None:
        answer = post("", username="ada", password=PASSWORD)
        assert not answer.cookies
        event = AuditEvent.objects.get(action="signed_in")
        assert (event.actor, event.details) == (ada, {"by": "token"})
        ada.refresh_from_db()
        assert ada.last_login is not None

    def test_it_takes_one_statement_to_know_whose_token_it_is(self, ada: User, django_assert_num_queries: Any) -> None:
        token = AccessToken(obtain(ada)["access"])  # type: ignore[arg-type]
        with django_assert_num_queries(1):
            assert tokens.holder_of(token) == ada


class TestGrants:
    def test_a_refresh_token_is_used_once_and_its_successor_goes_on(self, ada: User) -> None:
        first = obtain(ada)
        second = post("refresh/", refresh=first["refresh"]).json()
        assert second["refresh"] != first["refresh"]
        assert me(second["access"]).status_code == 200
        assert me(first["access"]).status_code == 200
        third = post("refresh/", refresh=second["refresh"])
        assert third.status_code == 200
        grants = {jwt.decode(one, options={"verify_signature": False})["grant"] for one in third.json().values()}
        assert grants == {jwt.decode(first["refresh"], options={"verify_signature": False})["jti"]}

    def test_a_refresh_token_that_comes_twice_ends_the_whole_grant(self, ada: User) -> None:
        first = obtain(ada)
        other = obtain(ada)
        second = post("refresh/", refresh=first["refresh"]).json()
        again = post("refresh/", refresh=first["refresh"])
        assert again.status_code == 401
        assert again.json()["code"] == "token_not_valid"
        assert me(first["access"]).status_code == 401
        assert me(second["access"]).status_code == 401
        assert post("refresh/", refresh=second["refresh"]).status_code == 401
        # Another sign-in of the same person is another grant.
        assert me(other["access"]).status_code == 200
        event = AuditEvent.objects.get(action="grant_revoked")
        assert event.details == {"reason": "refresh token used twice"}

    @pytest.mark.django_db(transaction=True)
    def test_of_many_at_once_one_wins_at_most_and_the_grant_is_over(self, ada: User) -> None:
        pair = obtain(ada)
        answers: list[Any] = []

        def use() -> None:
            answers.append(post("refresh/", refresh=pair["refresh"]))
            connection.close()

        threads = [threading.Thread(target=use) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = [answer for answer in answers if answer.status_code == 200]
        assert {answer.status_code for answer in answers} <= {200, 401}
        assert len(won) == 1
        assert me(won[0].json()["access"]).status_code == 401
        assert RevokedGrant.objects.count() == 1

    @pytest.mark.parametrize("which", ["first", "last"])
    def test_signing_out_ends_what_came_before_and_after(self, ada: User, which: str) -> None:
        first = obtain(ada)
        last = post("refresh/", refresh=first["refresh"]).json()
        given = {"first": first, "last": last}[which]["refresh"]
        assert post("blacklist/", refresh=given).status_code == 200
        assert me(first["access"]).status_code == 401
        assert me(last["access"]).status_code == 401
        assert post("refresh/", refresh=last["refresh"]).status_code == 401
        assert post("blacklist/", refresh=given).status_code == 200
        assert AuditEvent.objects.filter(action="grant_revoked").count() == 1

    def test_only_a_good_refresh_token_can_be_given_back(self, ada: User) -> None:
        pair = obtain(ada)
        for given in ("rubbish", pair["access"], pair["refresh"][:-4] + "AAAA"):
            assert post("blacklist/", refresh=given).status_code == 401
        assert post("blacklist/").status_code == 400
        assert me(pair["access"]).status_code == 200

    @pytest.mark.parametrize(("days", "status"), [(29, 200), (31, 401)])
    def test_however_often_it_is_renewed_a_grant_ends_after_thirty_days(
        self, ada: User, days: int, status: int
    ) -> None:
        token = tokens.GrantToken(obtain(ada)["refresh"])  # type: ignore[arg-type]
        token["began"] -= timedelta(days=days).total_seconds()
        second = post("refresh/", refresh=str(token))
        assert second.status_code == status
        if status == 200:
            kept = jwt.decode(second.json()["refresh"], options={"verify_signature": False})
            assert kept["began"] == token["began"]

    def test_an_access_token_renews_nothing(self, ada: User) -> None:
        assert post("refresh/", refresh=obtain(ada)["access"]).status_code == 401

    def test_a_refresh_token_from_before_grants_is_taken_and_becomes_one(self, ada: User) -> None:
        old = RefreshToken.for_user(ada)
        new = post("refresh/", refresh=str(old))
        assert new.status_code == 200
        assert post("blacklist/", refresh=str(old)).status_code == 200
        assert me(new.json()["access"]).status_code == 401

    def test_the_database_holds_no_token(self, ada: User) -> None:
        pair = obtain(ada)
        post("refresh/", refresh=pair["refresh"])
        assert set(OutstandingToken.objects.values_list("token", flat=True)) == {""}
        assert OutstandingToken.objects.count() == 2

    def test_what_is_out_of_date_is_purged_and_a_revocation_outlasts_its_tokens(self, ada: User) -> None:
        pair = obtain(ada)
        post("blacklist/", refresh=pair["refresh"])
        last = jwt.decode(pair["refresh"], options={"verify_signature": False})["exp"]
        assert RevokedGrant.objects.get().expires_at.timestamp() > last
        assert purge_tokens() == 0
        past = timezone.now() - timedelta(seconds=1)
        OutstandingToken.objects.update(expires_at=past)
        RevokedGrant.objects.update(expires_at=past)
        assert purge_tokens() == 2
        assert not RevokedGrant.objects.exists()

    def test_the_daily_task_is_on_the_schedule(self) -> None:
        assert settings.CELERY_BEAT_SCHEDULE["purge-tokens"]["task"] == purge_tokens.name
