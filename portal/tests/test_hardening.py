"""What every answer carries, whoever asks and whatever for; forged requests, hosts, proxies, ways back; and originals
that would run in a browser if they were let."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django.fixtures import Settings

from accounts.models import Department, User
from ingestion.models import Document
from portal.tests.addresses import all_addresses
from portal.tests.conftest import MakePerson, as_person
from portal.tests.processes import away, run
from portal.urls import urlpatterns as portal_addresses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unhurried")]

ROOT = Path(__file__).resolve().parents[2]
FAR = "https://elsewhere.example/"
NONCE = re.compile(r"'nonce-([\w+/=-]{22,})'")
LOADS_BY_ADDRESS = ("/admin/", "/api/v1/docs/")
"""Where scripts are let through by their address instead of a nonce."""


def failing(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the secret of the portal: s3cr3t")


# The test of server errors runs with this module as the table of addresses.
urlpatterns = [*portal_addresses, path("fails", failing), path("api/v1/fails", failing)]
handler500 = "portal.problems.server_error"


def directives(answer: Any) -> dict[str, list[str]]:
    """The answer's content security policy."""
    parts = [part.split() for part in answer["Content-Security-Policy"].split(";")]
    return {name: values for name, *values in parts}


def assert_guarded(answer: Any, where: str) -> None:
    """The headers that no answer may lack."""
    expected = {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    assert {name: answer.get(name) for name in expected} == expected, where
    off = [part.strip() for part in answer["Permissions-Policy"].split(",")]
    assert len(off) > 20, where
    assert all(part.endswith("=()") for part in off), where
    kept = {part.strip() for part in answer["Cache-Control"].split(",")}
    assert {"private", "no-store"} <= kept, where
    assert "public" not in kept, where
    for name in ("Access-Control-Allow-Origin", "Server", "X-Powered-By"):
        assert name not in answer, (where, name)
    policy = directives(answer)
    assert "unsafe" not in answer["Content-Security-Policy"], where
    assert policy["default-src"] == ["'none'"], where
    if "sandbox" in policy:
        return
    for name in ("frame-ancestors", "base-uri", "object-src"):
        assert policy[name] == ["'none'"], (where, name)
    assert policy["form-action"] == ["'self'"], where
    if where.split(" ")[-1].startswith(LOADS_BY_ADDRESS) and policy["script-src"] == ["'self'"]:
        return
    assert policy["require-trusted-types-for"] == ["'script'"], where
    assert len(policy["script-src"]) <= 1, where
    assert all(NONCE.fullmatch(one) for one in policy["script-src"]), where


class TestHeaders:
    @pytest.mark.parametrize("who", ["nobody", "student", "librarian", "admin"])
    def test_every_answer_of_every_address_carries_them(
        self, people: dict[str, User | None], paper: Document, who: str
    ) -> None:
        client = as_person(people[who])
        seen = set()
        for address in all_addresses(paper):
            for method in ("get", "post"):
                answer = getattr(client, method)(address)
                if address.endswith("logout/") and people[who]:
                    client.force_login(people[who])
                assert_guarded(answer, f"{who} {method} {address}")
                seen.add(answer.status_code)
        assert {200, 302, 404, 405} <= seen
        assert 500 not in seen

    def test_errors_carry_them_too(self, client: Client, person: MakePerson, settings: Settings) -> None:
        signed_in = as_person(person("staff"), enforce_csrf_checks=True)
        answers = {
            400: client.get("/", headers={"host": "elsewhere.example"}),
            401: client.get("/api/v1/me/"),
            403: signed_in.post("/accounts/logout/"),
            404: client.get("/nothing"),
            405: client.post("/search/"),
            413: client.post("/accounts/login/", b"", content_type="text/plain", CONTENT_LENGTH=str(2**30)),
        }
        for status, answer in answers.items():
            assert answer.status_code == status
            assert_guarded(answer, str(status))
        settings.ROOT_URLCONF = __name__
        for address in ("/fails", "/api/v1/fails"):
            answer = as_person(None).get(address)
            assert answer.status_code == 500
            assert_guarded(answer, address)
            assert b"s3cr3t" not in answer.content
            assert b"Traceback" not in answer.content

    def test_scripts_of_a_page_bear_its_own_nonce_and_no_page_has_the_same(
        self, people: dict[str, User | None], paper: Document
    ) -> None:
        nonces = set()
        client = as_person(people["librarian"])
        pages = ("/", "/search/?q=gym", "/accounts/login/", f"/documents/{paper.pk}/")
        for address in pages:
            answer = client.get(address)
            assert answer.status_code == 200
            found = NONCE.fullmatch(directives(answer)["script-src"][0])
            assert found, address
            nonces.add(found[1])
            scripts = re.findall(r"<script\b[^>]*>", answer.content.decode())
            assert scripts, address
            assert all(f'nonce="{found[1]}"' in script for script in scripts), address
        assert len(nonces) == len(pages)

    @pytest.mark.parametrize("who", ["nobody", "librarian", "admin"])
    def test_nothing_inline_is_in_any_page(self, people: dict[str, User | None], paper: Document, who: str) -> None:
        """No script, style or handler stands in a page itself; Swagger's one style sheet is let through by its hash."""
        client = as_person(people[who])
        inline = re.compile(r"<script\b(?![^>]*\bsrc=)|\son[a-z]+\s*=\s*[\"']|\sstyle\s*=|javascript:", re.IGNORECASE)
        pages = 0
        for address in all_addresses(paper):
            answer = client.get(address)
            if answer.get("Content-Type", "").startswith("text/html") and answer.status_code == 200:
                text = answer.content.decode()
                assert not inline.search(text), (address, inline.search(text))
                assert ("<style" in text) == (address == "/api/v1/docs/"), address
                pages += 1
        assert pages >= 4

    def test_a_form_may_lead_on_to_the_universitys_provider_and_to_nobody_else(self) -> None:
        provider = {"OIDC_ISSUER": "https://id.example.ac.uk/realm", "OIDC_RP_CLIENT_ID": "portal"}
        secret = {"OIDC_RP_CLIENT_SECRET": "not-a-real-one", "OIDC_OP_LOGOUT_ENDPOINT": "https://out.example.ac.uk/end"}
        answer = run("print(json.dumps(ask('/health/live')))", **away(), **provider, **secret)
        policy = answer["headers"]["Content-Security-Policy"]
        assert "form-action 'self' https://id.example.ac.uk https://out.example.ac.uk;" in f"{policy};"

    def test_production_has_hsts_upgrades_and_cookies_of_this_host_alone(self) -> None:
        asked = "print(json.dumps(ask('/health/live', secure=True)))"
        answer = run(asked, **away(), INSECURE_COOKIES="0")
        assert answer["headers"]["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
        assert "upgrade-insecure-requests" in answer["headers"]["Content-Security-Policy"]
        names = "[s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.LANGUAGE_COOKIE_NAME]"
        named = f"from django.conf import settings as s; print(json.dumps({names}))"
        assert run(named, **away(), INSECURE_COOKIES="0") == ["__Host-session", "__Host-csrf", "__Host-language"]

    def test_passwords_are_kept_with_argon2id_at_the_strength_of_the_library(self) -> None:
        kept = "from django.contrib.auth.hashers import make_password; print(json.dumps(make_password('secret')))"
        assert run(kept, **away()).startswith("argon2$argon2id$v=19$m=102400,t=2,p=8$")

    def test_hsts_and_upgrades_come_with_tls_and_not_without(self, settings: Settings) -> None:
        settings.SECURE_HSTS_SECONDS, settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = 31_536_000, True
        for address in ("/", "/nothing", "/api/v1/me/", "/health/live"):
            assert Client().get(address, secure=True)["Strict-Transport-Security"] == (
                "max-age=31536000; includeSubDomains"
            )
            assert "Strict-Transport-Security" not in Client().get(address)

    def test_static_files_are_kept_by_browsers_and_caches_and_by_no_other_origin(self, settings: Settings) -> None:
        settings.WHITENOISE_USE_FINDERS = settings.WHITENOISE_AUTOREFRESH = True
        answer = Client().get("/static/cloister.js")
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/javascript")
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "no-store" not in answer["Cache-Control"]
        assert "Access-Control-Allow-Origin" not in answer

    def test_cookies_are_out_of_reach_of_scripts_and_other_sites(self, client: Client, person: MakePerson) -> None:
        user = person("student")
        page = client.get("/accounts/login/")
        assert page.cookies
        answer = client.post("/accounts/login/", {"username": user.username, "password": "correct-horse-battery"})
        cookies = {**page.cookies, **answer.cookies}
        assert {"sessionid", "csrftoken"} <= set(cookies)
        for name, cookie in cookies.items():
            assert cookie["httponly"], name
            assert cookie["samesite"] == "Lax", name
            assert cookie["path"] == "/", name
            assert not cookie["domain"], name


class TestRequestIds:
    @pytest.mark.parametrize(
        "given", ["", "short", "a" * 65, "ab\r\nSet-Cookie: x=y", 'id"><script>', "ident ity-1234", "\x1b[31mred-red"]
    )
    def test_an_id_that_is_not_one_is_replaced(self, client: Client, given: str) -> None:
        answer = client.get("/health/live", HTTP_X_REQUEST_ID=given)
        assert re.fullmatch(r"[0-9a-f]{32}", answer["X-Request-ID"])

    def test_a_good_one_is_kept(self, client: Client) -> None:
        given = uuid4().hex
        assert client.get("/health/live", HTTP_X_REQUEST_ID=given)["X-Request-ID"] == given


class TestOriginals:
    RUNNING = {
        "page.html": b"<!DOCTYPE html><script>alert(document.domain)</script>",
        "picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "feed.xml": b'<?xml version="1.0"?><x:script xmlns:x="http://www.w3.org/1999/xhtml">alert(1)</x:script>',
        "code.js": b"alert(1)",
        "style.css": b"body { background: url(https://elsewhere.example/) }",
        "paper.pdf": b"%PDF-1.4 ...",
    }

    @pytest.mark.parametrize("name", RUNNING)
    def test_an_original_is_a_download_at_every_door_and_runs_nowhere(
        self, people: dict[str, User | None], paper: Document, name: str
    ) -> None:
        paper.file.save("original", ContentFile(self.RUNNING[name]))
        Document.objects.filter(pk=paper.pk).update(file_name=name, mime_type="text/html")
        client = as_person(people["admin"])
        doors = (
            f"/documents/{paper.pk}/file",
            f"/api/v1/documents/{paper.pk}/file/",
            f"/admin/ingestion/document/{paper.pk}/original/",
        )
        for door in doors:
            answer = client.get(door)
            assert answer.status_code == 200, door
            assert answer["Content-Type"] == "application/octet-stream"
            assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
            assert answer["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in answer["Content-Security-Policy"]
            assert b"".join(answer.streaming_content) == self.RUNNING[name]

    @pytest.mark.parametrize(
        "name",
        [
            "../../etc/passwd",
            "..\\..\\windows\\win.ini",
            "/etc/passwd",
            "C:\\boot.ini",
            "a/../../b",
            "....//x",
            "%2e%2e/x",
        ],
    )
    def test_a_file_name_is_never_a_path(
        self, people: dict[str, User | None], library: Department, tmp_path: Path, name: str
    ) -> None:
        client = as_person(people["librarian"])
        upload = ContentFile(b"# Gym\n\nThe gym opens at six.\n", name="x")
        upload.name = name
        answer = client.post("/api/v1/documents/", {"file": upload, "department": library.name, "doc_type": "guide"})
        assert answer.status_code in (202, 400), answer.content
        stored = [one for one in tmp_path.rglob("*") if one.is_file()]
        assert all(
            re.fullmatch(r"originals/[0-9a-f]{2}/[0-9a-f]{32}", str(one.relative_to(tmp_path))) for one in stored
        )
        for made in Document.objects.exclude(file=""):
            assert not set(made.file_name) & set("/\\"), made.file_name
            assert made.file_name not in (".", "..")

    def test_nothing_is_served_from_the_folder_of_originals(
        self, people: dict[str, User | None], paper: Document
    ) -> None:
        client = as_person(people["admin"])
        name = paper.file.name
        folders = ("/media/", "/", "/static/", "/static/../", "/static/..%2f..%2f", "/documents/../")
        for address in [*(folder + name for folder in folders), "/static/..%2f..%2fmanage.py", "/manage.py"]:
            assert client.get(address).status_code == 404, address
