"""Single sign-on with a real provider: who comes in, what their claims give, and what is taken away at once."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client, override_settings
from django.utils import timezone

from accounts.clearance import LIBRARIANS, Role
from accounts.models import AuditEvent, Campus, ClaimRule, Department, User
from accounts.provider import is_confidential
from accounts.tests.providers import HonestProvider, honest_provider, single_sign_on

pytestmark = pytest.mark.django_db

ADA = {"preferred_username": "ada", "given_name": "Ada", "family_name": "Lovelace", "email": "ada@example.ac.uk"}


@pytest.fixture(scope="module")
def provider() -> Iterator[HonestProvider]:
    with honest_provider() as running:
        yield running


@pytest.fixture(autouse=True)
def portal(provider: HonestProvider) -> Iterator[None]:
    with single_sign_on(provider.issuer):
        yield


@pytest.fixture(autouse=True)
def rules() -> dict[str, Any]:
    finance, chemistry = (Department.objects.create(name=name) for name in ("Finance", "Chemistry"))
    north = Campus.objects.create(name="North")
    make = ClaimRule.objects.create
    make(claim="groups", value="staff", role=Role.STAFF)
    make(claim="groups", value="academic*", role=Role.ACADEMIC)
    make(claim="groups", value="finance", department=finance)
    make(claim="groups", value="chemistry", department=chemistry)
    make(claim="site.name", value="north", campus=north)
    make(claim="groups", value="library-desk", librarian=True)
    return {"finance": finance, "chemistry": chemistry, "north": north}


def me(client: Client) -> dict[str, Any]:
    return client.get("/api/v1/me/").json()


class TestFirstSignIn:
    def test_makes_the_person_with_the_rights_of_their_claims(
        self, provider: HonestProvider, rules: dict[str, Any]
    ) -> None:
        provider.knows("1", **ADA, groups=["staff", "finance", "library-desk"], site={"name": "north"})
        client = Client()
        answer = provider.sign_in(client, "1")
        assert (answer.status_code, answer["Location"]) == (302, "/search/")
        ada = User.objects.get()
        assert (ada.username, ada.get_full_name(), ada.email) == ("ada", "Ada Lovelace", "ada@example.ac.uk")
        assert ada.external_id == f"{provider.issuer} 1"
        assert (ada.role, ada.campus, ada.is_librarian) == (Role.STAFF, rules["north"], True)
        assert list(ada.departments.all()) == [rules["finance"]]
        assert not ada.has_usable_password()
        assert me(client)["username"] == "ada"

    def test_sends_state_nonce_and_a_pkce_challenge_and_comes_back_to_the_page(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["staff"])
        client = Client()
        asked = client.get("/accounts/oidc/?next=/search/%3Fq%3Dleave")
        sent = parse_qs(urlsplit(asked["Location"]).query)
        assert asked["Location"].startswith(f"{provider.issuer}/oauth2/authorize?")
        assert sent["code_challenge_method"] == ["S256"]
        assert len(sent["state"][0]) >= 32
        assert len(sent["nonce"][0]) >= 32
        assert len(sent["code_challenge"][0]) == 43
        assert sent["redirect_uri"] == ["http://testserver/accounts/oidc/callback/"]
        assert client.get(provider.answer(asked["Location"], "1"))["Location"] == "/search/?q=leave"
        assert "no-store" in asked["Cache-Control"]

    def test_never_leads_to_another_host(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["staff"])
        answer = provider.sign_in(Client(), "1", "?next=https://evil.example/")
        assert answer["Location"] == "/search/"

    def test_the_same_subject_is_the_same_person_whatever_else_changes(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["staff"])
        provider.sign_in(Client(), "1")
        provider.knows("1", preferred_username="al", given_name="Augusta", email="al@example.ac.uk", groups=["staff"])
        provider.sign_in(Client(), "1")
        ada = User.objects.get()
        assert (ada.username, ada.first_name, ada.email) == ("ada", "Augusta", "al@example.ac.uk")

    def test_an_account_of_the_same_name_and_address_is_not_taken_over(self, provider: HonestProvider) -> None:
        local = User.objects.create_user("ada", "ada@example.ac.uk", "correct-horse-battery", role=Role.ADMIN)
        provider.knows("1", **ADA, groups=["staff"])
        provider.knows("2", **ADA, groups=["staff"])
        client = Client()
        provider.sign_in(client, "1")
        provider.sign_in(Client(), "2")
        assert me(client)["username"] == "ada-2"
        assert sorted(User.objects.values_list("username", flat=True)) == ["ada", "ada-2", "ada-3"]
        local.refresh_from_db()
        assert (local.role, local.external_id, local.first_name) == (Role.ADMIN, None, "")

    def test_a_name_that_no_user_could_have_is_made_into_one(self, provider: HonestProvider) -> None:
        provider.knows("1", preferred_username="Ada <b>Løvelace</b> 愛", groups=["staff"])
        provider.sign_in(Client(), "1")
        assert User.objects.get().username == "Ada-b-Løvelace-b-愛"


class TestLosing:
    def test_what_the_claims_no_longer_give_is_gone_at_once_in_an_open_session_too(
        self, provider: HonestProvider, rules: dict[str, Any]
    ) -> None:
        provider.knows("1", **ADA, groups=["academic-prof", "finance", "chemistry", "library-desk"])
        open_session, later = Client(), Client()
        provider.sign_in(open_session, "1")
        before = me(open_session)
        assert (before["role"], before["clearance"], before["librarian"]) == ("academic", 4, True)
        assert open_session.get("/admin/").status_code == 200

        provider.knows("1", **ADA, groups=["staff", "finance"])
        provider.sign_in(later, "1")
        after = me(open_session)
        assert (after["role"], after["clearance"], after["librarian"]) == ("staff", 3, False)
        assert after["departments"] == ["Finance"]
        assert open_session.get("/admin/").status_code == 302
        noted = AuditEvent.objects.filter(action="claims_applied").first()
        assert noted is not None
        assert noted.details["before"]["departments"] == ["Chemistry", "Finance"]
        assert noted.details["after"]["groups"] == []

    def test_an_administrators_local_edit_holds_until_the_next_sign_in(
        self, provider: HonestProvider, rules: dict[str, Any]
    ) -> None:
        provider.knows("1", **ADA, groups=["staff"])
        provider.sign_in(Client(), "1")
        ada = User.objects.get()
        ada.departments.add(rules["chemistry"])
        ada.role = Role.ACADEMIC
        ada.save()
        provider.sign_in(Client(), "1")
        ada = User.objects.get()
        assert (ada.role, list(ada.departments.all())) == (Role.STAFF, [])

    def test_without_a_rule_that_gives_a_role_nobody_new_comes_in(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["finance", "alumni"])
        client = Client()
        answer = provider.sign_in(client, "1")
        assert answer.status_code == 403
        assert "not open to your account" in answer.content.decode()
        assert not User.objects.exists()
        assert me(client)["status"] == 401

    def test_somebody_known_whom_no_rule_fits_any_more_loses_all_and_every_session_ends(
        self, provider: HonestProvider
    ) -> None:
        provider.knows("1", **ADA, groups=["academic", "finance", "library-desk"])
        open_session = Client()
        provider.sign_in(open_session, "1")
        provider.knows("1", **ADA, groups=["alumni"])
        assert provider.sign_in(Client(), "1").status_code == 403
        ada = User.objects.get()
        assert (ada.role, ada.departments.count(), ada.groups.count()) == (Role.STUDENT, 0, 0)
        assert ada.sign_in_epoch == 1
        assert me(open_session)["status"] == 401
        assert AuditEvent.objects.filter(action="claims_applied")[0].details["refused"] is True

    def test_a_closed_account_stays_closed_and_its_open_session_ends(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["staff"])
        open_session = Client()
        provider.sign_in(open_session, "1")
        User.objects.update(is_active=False)
        assert open_session.get("/accounts/security/").status_code == 302
        assert me(open_session)["status"] == 401
        answer = provider.sign_in(Client(), "1")
        assert answer.status_code == 403
        assert "is closed" in answer.content.decode()

    def test_membership_of_other_groups_is_not_the_claims_matter(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["staff"])
        provider.sign_in(Client(), "1")
        curators = Group.objects.get(name="Curators")
        User.objects.get().groups.set([curators, Group.objects.get(name=LIBRARIANS)])
        provider.sign_in(Client(), "1")
        assert list(User.objects.get().groups.all()) == [curators]


class TestRenewal:
    def stale(self, client: Client, seconds: float) -> None:
        session = client.session
        session["oidc_id_token_expiration"] -= 900 + seconds
        session.save()

    def test_after_a_quarter_of_an_hour_the_next_page_reads_the_claims_again(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["academic", "finance"])
        client = Client()
        provider.sign_in(client, "1")
        self.stale(client, 1)
        provider.knows("1", **ADA, groups=["staff"])
        answer = client.get("/search/?q=leave")
        assert answer["Location"] == "/accounts/oidc/?renew=1&next=%2Fsearch%2F%3Fq%3Dleave"
        asked = client.get(answer["Location"])
        assert "prompt=none" in asked["Location"]
        key = client.session.session_key
        # This provider keeps no sessions: it is made to ask, where a real one knows already.
        asks = asked["Location"].replace("&prompt=none", "")
        assert client.get(provider.answer(asks, "1"))["Location"] == "/search/?q=leave"
        assert client.session.session_key == key
        assert me(client)["role"] == "staff"
        assert client.get("/search/?q=leave").status_code == 200

    def test_the_api_gets_one_more_interval_and_then_nothing_more(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["academic", "finance"])
        client = Client()
        provider.sign_in(client, "1")
        self.stale(client, 1)
        assert me(client)["role"] == "academic"
        self.stale(client, 1)
        assert me(client)["status"] == 401

    def test_a_form_of_the_admin_site_gets_one_more_interval_too(self, provider: HonestProvider) -> None:
        ClaimRule.objects.create(claim="groups", value="admins", role=Role.ADMIN)
        provider.knows("1", **ADA, groups=["admins"])
        client, form = Client(), "/admin/accounts/campus/add/"
        provider.sign_in(client, "1")
        session = client.session
        session["proven_at"] = time.time()
        session.save()
        self.stale(client, 800)
        client.post(form, {"name": "South"})
        assert Campus.objects.filter(name="South").exists()
        session = client.session
        session["oidc_id_token_expiration"] -= 100
        session.save()
        client.post(form, {"name": "West"})
        assert not Campus.objects.filter(name="West").exists()

    def test_any_other_form_gets_three(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["staff"])
        client, form = Client(), "/accounts/confirm/"
        provider.sign_in(client, "1")
        self.stale(client, 2600)
        assert client.post(form, {"password": "x"}).status_code == 200
        session = client.session
        session["oidc_id_token_expiration"] -= 100
        session.save()
        assert client.post(form, {"password": "x"})["Location"] == f"/accounts/login/?next={form}"

    def test_a_part_of_a_page_makes_the_whole_page_load_again(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["staff"])
        client = Client()
        provider.sign_in(client, "1")
        self.stale(client, 901)
        assert client.get("/search/?q=leave", HTTP_HX_REQUEST="true")["HX-Refresh"] == "true"

    def test_whom_the_provider_no_longer_knows_is_signed_out_here_too(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["staff"])
        client = Client()
        provider.sign_in(client, "1")
        asked = client.get("/accounts/oidc/?renew=1&next=/search/")
        back = provider.answer(asked["Location"], "1")
        assert "error=login_required" in back
        answer = client.get(back, follow=True)
        assert answer.redirect_chain == [("/accounts/login/?next=%2Fsearch%2F", 302)]
        assert "Your sign-in at the university has ended" in answer.content.decode()
        assert me(client)["status"] == 401


class TestProviderAway:
    @pytest.fixture
    def nobody_there(self) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{probe.getsockname()[1]}"

    def test_a_clear_page_says_so_and_passwords_work(self, nobody_there: str) -> None:
        User.objects.create_user("local", password="correct-horse-battery", role=Role.STAFF)
        with single_sign_on(nobody_there):
            answer = Client().get("/accounts/oidc/")
            assert answer.status_code == 503
            assert "does not answer" in answer.content.decode()
            assert "Sign in with the university account" in Client().get("/accounts/login/").content.decode()
            client = Client()
            client.post("/accounts/login/", {"username": "local", "password": "correct-horse-battery"})
            assert me(client)["username"] == "local"

    def test_also_when_it_goes_away_halfway(self, provider: HonestProvider, nobody_there: str) -> None:
        provider.knows("1", **ADA, groups=["staff"])
        client = Client()
        asked = client.get("/accounts/oidc/")
        back = provider.answer(asked["Location"], "1")
        with single_sign_on(provider.issuer, OIDC_OP_TOKEN_ENDPOINT=f"{nobody_there}/token"):
            answer = client.get(back)
        assert answer.status_code == 503
        assert not User.objects.exists()

    def test_open_sessions_go_on_without_it(self, provider: HonestProvider) -> None:
        provider.knows("1", **ADA, groups=["staff"])
        client = Client()
        provider.sign_in(client, "1")
        with single_sign_on(provider.issuer, OIDC_OP_TOKEN_ENDPOINT="http://127.0.0.1:9/token"):
            assert me(client)["username"] == "ada"


def test_signing_out_ends_the_session_at_the_provider_too(provider: HonestProvider) -> None:
    provider.knows("1", **ADA, groups=["staff"])
    client = Client()
    provider.sign_in(client, "1")
    answer = client.post("/accounts/logout/")
    assert answer["Refresh"].startswith(f"0; url={provider.issuer}/oauth2/end_session?")
    sent = parse_qs(urlsplit(answer["Refresh"].partition("url=")[2]).query)
    assert sent["post_logout_redirect_uri"] == ["http://testserver/accounts/login/"]
    assert sent["id_token_hint"][0].count(".") == 2
    assert me(client)["status"] == 401


def test_nobody_of_the_provider_gets_in_with_a_password(provider: HonestProvider) -> None:
    provider.knows("1", **ADA, groups=["staff"])
    provider.sign_in(Client(), "1")
    ada = User.objects.get()
    ada.set_password("correct-horse-battery")
    ada.save()
    assert not Client().login(username="ada", password="correct-horse-battery")


def test_where_single_sign_on_is_not_set_up_its_addresses_do_not_exist() -> None:
    with single_sign_on("", AUTHENTICATION_BACKENDS=["accounts.sign_in.PasswordBackend"]):
        for path in ("/accounts/oidc/", "/accounts/oidc/callback/?code=c&state=s"):
            assert Client().get(path).status_code == 404
        assert "university account" not in Client().get("/accounts/login/").content.decode()


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("https://id.example.ac.uk", True),
        ("http://id.example.ac.uk", False),
        ("http://127.0.0.1:9400", True),
        ("http://localhost", True),
        ("http://localhost.example.ac.uk", False),
        ("ftp://127.0.0.1", False),
        ("", False),
    ],
)
def test_what_is_said_to_the_provider_is_read_by_nobody_else(address: str, is_one: bool) -> None:
    assert is_confidential(address) is is_one


def test_expired_sessions_of_the_state_do_not_grow_without_end(provider: HonestProvider) -> None:
    client = Client()
    for _ in range(60):
        client.get("/accounts/oidc/")
    assert len(client.session["oidc_states"]) <= 50


def test_the_way_to_the_provider_is_limited_for_each_address(provider: HonestProvider) -> None:
    with override_settings(THROTTLE_FACTOR=0.1):
        answers = [Client().get("/accounts/oidc/") for _ in range(13)]
        elsewhere = Client().get("/accounts/oidc/", REMOTE_ADDR="192.0.2.1")
    assert [answer.status_code for answer in answers] == [302] * 12 + [429]
    assert "no-store" in answers[-1]["Cache-Control"]
    assert elsewhere.status_code == 302
    assert Session.objects.count() == 13


def test_a_session_is_short_until_it_is_somebodys(provider: HonestProvider) -> None:
    provider.knows("1", **ADA, groups=["staff"])
    client = Client()
    asked = client.get("/accounts/oidc/")
    kept = Session.objects.get()
    assert 590 < (kept.expire_date - timezone.now()).total_seconds() <= 600
    client.get(provider.answer(asked["Location"], "1"))
    kept = Session.objects.get()
    assert (kept.expire_date - timezone.now()).total_seconds() > 11 * 3600
    client.get("/accounts/oidc/?renew=1")
    kept = Session.objects.get()
    assert (kept.expire_date - timezone.now()).total_seconds() > 11 * 3600
