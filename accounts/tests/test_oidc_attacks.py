"""A provider, or somebody between, that answers what it should not: nobody comes in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from accounts.clearance import Role
from accounts.models import AuditEvent, ClaimRule, User
from accounts.provider import ProviderAway, provider
from accounts.tests.providers import CLIENT_ID, WilfulProvider, single_sign_on, state_of, wilful_provider

pytestmark = pytest.mark.django_db


@pytest.fixture
def wilful() -> Iterator[WilfulProvider]:
    with wilful_provider() as running, single_sign_on(running.issuer):
        ClaimRule.objects.create(claim="groups", value="staff", role=Role.STAFF)
        yield running


def refused(answer: Any) -> bool:
    return answer.status_code == 400 and "could not be completed" in answer.content.decode()


def test_this_provider_is_believed_when_it_is_honest(wilful: WilfulProvider) -> None:
    client = Client()
    assert wilful.sign_in(client)["Location"] == "/search/"
    assert client.get("/api/v1/me/").json()["username"] == "member"
    assert len(wilful.token_requests[0]["code_verifier"][0]) >= 43


# Whole days, so that the tests have the same names in every process that collects them.
LONG_AGO = (int(time.time()) // 86_400 - 1) * 86_400
FAR_AHEAD = (int(time.time()) // 86_400 + 2) * 86_400


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://another.example"},
        {"iss": None},
        {"aud": "another-client"},
        {"aud": [CLIENT_ID, "another-client"]},
        {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"},
        {"azp": "another-client"},
        {"aud": None},
        {"exp": LONG_AGO},
        {"exp": None},
        {"iat": FAR_AHEAD},
        {"nonce": "another-nonce"},
        {"nonce": ""},
        {"nonce": None},
        {"sub": None},
        {"sub": "x" * 500},
    ],
    ids=str,
)
def test_an_id_token_with_a_wrong_claim_lets_nobody_in(wilful: WilfulProvider, claims: dict[str, Any]) -> None:
    client = Client()
    assert refused(wilful.sign_in(client, **claims))
    assert not User.objects.exists()
    assert client.get("/api/v1/me/").status_code == 401
    assert AuditEvent.objects.get(action="sign_in_failed").details["by"] == "provider"


def test_a_signature_by_another_key_lets_nobody_in(wilful: WilfulProvider) -> None:
    assert refused(wilful.sign_in(Client(), key=rsa.generate_private_key(public_exponent=65537, key_size=2048)))


@pytest.mark.parametrize(("algorithm", "key"), [("none", ""), ("HS256", "not-a-secret-here" * 4)])
def test_no_signature_and_one_with_the_shared_secret_let_nobody_in(
    wilful: WilfulProvider, algorithm: str, key: str
) -> None:
    assert refused(wilful.sign_in(Client(), key=key, algorithm=algorithm))
    assert not User.objects.exists()


def test_the_public_key_as_a_shared_secret_lets_nobody_in(wilful: WilfulProvider) -> None:
    client = Client()
    asked = client.get("/accounts/oidc/")["Location"]
    wilful.signs(asked)
    claims = jwt.decode(wilful.id_token, options={"verify_signature": False})
    wilful.id_token = jwt.encode(claims, str(wilful.keys["keys"][0]["n"]), "HS256", {"kid": "one"})
    assert refused(client.get(f"/accounts/oidc/callback/?code=c&state={state_of(asked)}"))


def test_another_algorithm_of_the_allow_list_is_not_taken_either(wilful: WilfulProvider) -> None:
    assert refused(wilful.sign_in(Client(), algorithm="RS512"))


@pytest.mark.parametrize("token", ["", "a.b.c", None, 7, {"a": 1}])
def test_rubbish_instead_of_a_token_is_refused(wilful: WilfulProvider, token: Any) -> None:
    client = Client()
    asked = client.get("/accounts/oidc/")["Location"]
    wilful.id_token = token
    assert refused(client.get(f"/accounts/oidc/callback/?code=c&state={state_of(asked)}"))


def test_a_state_that_this_session_did_not_send_is_refused(wilful: WilfulProvider) -> None:
    asked_by_another = Client().get("/accounts/oidc/")["Location"]
    assert refused(wilful.sign_in(Client(), state=state_of(asked_by_another)))
    assert refused(Client().get("/accounts/oidc/callback/?code=c&state=s"))
    assert refused(Client().get("/accounts/oidc/callback/"))
    assert wilful.token_requests == []


def test_an_answer_works_once(wilful: WilfulProvider) -> None:
    client = Client()
    asked = client.get("/accounts/oidc/")["Location"]
    wilful.signs(asked)
    back = f"/accounts/oidc/callback/?code=c&state={state_of(asked)}"
    assert client.get(back).status_code == 302
    assert refused(client.get(back))


def test_an_answer_of_another_issuer_is_not_even_looked_at(wilful: WilfulProvider) -> None:
    client = Client()
    asked = client.get("/accounts/oidc/")["Location"]
    wilful.signs(asked)
    back = f"/accounts/oidc/callback/?code=c&state={state_of(asked)}"
    assert refused(client.get(f"{back}&iss=https://another.example"))
    assert wilful.token_requests == []


def test_an_error_that_answers_no_question_of_this_session_signs_nobody_out(wilful: WilfulProvider) -> None:
    client = Client()
    wilful.sign_in(client)
    assert refused(client.get("/accounts/oidc/callback/?error=login_required&state=s"))
    assert client.get("/api/v1/me/").status_code == 200


def test_userinfo_about_somebody_else_is_refused(wilful: WilfulProvider) -> None:
    wilful.userinfo = {"sub": "s-2", "groups": ["staff"]}
    assert refused(wilful.sign_in(Client()))


def test_userinfo_adds_claims_but_cannot_change_who_signed_in(wilful: WilfulProvider) -> None:
    wilful.userinfo = {"sub": "s-1", "iss": "https://another.example", "preferred_username": "grace"}
    wilful.sign_in(Client())
    grace = User.objects.get()
    assert (grace.username, grace.external_id) == ("grace", f"{wilful.issuer} s-1")


@pytest.mark.parametrize(("status", "code"), [(400, 400), (500, 503)])
def test_a_provider_that_fails_to_give_a_token_is_told_from_one_that_refuses(
    wilful: WilfulProvider, status: int, code: int
) -> None:
    wilful.status = status
    assert wilful.sign_in(Client()).status_code == code


def test_the_session_gets_another_id_at_the_sign_in(wilful: WilfulProvider) -> None:
    client = Client()
    asked = client.get("/accounts/oidc/")["Location"]
    before = client.session.session_key
    wilful.signs(asked)
    client.get(f"/accounts/oidc/callback/?code=c&state={state_of(asked)}")
    assert client.session.session_key != before
    assert "_auth_user_id" in client.session


def test_a_discovery_document_of_another_issuer_is_not_believed(wilful: WilfulProvider) -> None:
    with single_sign_on(f"{wilful.issuer}/"), pytest.raises(ProviderAway, match="another issuer"):
        provider()


def test_addresses_that_anybody_could_read_on_the_way_are_not_used(
    wilful: WilfulProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {**wilful.discovery, "token_endpoint": "http://id.example.ac.uk/token"}
    monkeypatch.setattr(WilfulProvider, "discovery", said)
    with pytest.raises(ProviderAway, match="not HTTPS"):
        provider()
    assert Client().get("/accounts/oidc/").status_code == 503


def test_a_withdrawn_key_holds_no_longer(wilful: WilfulProvider) -> None:
    wilful.sign_in(Client())
    old = wilful.key
    wilful.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert refused(wilful.sign_in(Client(), key=old))
    assert wilful.sign_in(Client()).status_code == 302
