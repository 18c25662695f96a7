"""Forged requests, forged hosts and proxies, and ways back that lead elsewhere."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client, RequestFactory
from pytest_django.fixtures import Settings

from accounts.addresses import client_address
from accounts.models import User
from ingestion.models import Document
from portal.tests.addresses import all_addresses
from portal.tests.conftest import MakePerson, as_person
from portal.tests.test_hardening import assert_guarded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unhurried")]

ROOT = Path(__file__).resolve().parents[2]
FAR = "https://elsewhere.example/"
NONCE = re.compile(r"'nonce-([\w+/=-]{22,})'")
LOADS_BY_ADDRESS = ("/admin/", "/api/v1/docs/")
"""Where scripts are let through by their address instead of a nonce."""


class TestForgery:
    WITHOUT_A_SESSION = (
        *("/api/v1/token/", "/api/v1/token/refresh/", "/api/v1/token/blacklist/"),
        *("/api/v1/docs/", "/api/v1/schema/", "/mine/unsubscribe/0/"),
    )
    """They take a password or a token with each request, or are the same for everybody, and know no cookie."""

    @pytest.mark.parametrize("who", ["student", "librarian", "admin"])
    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_no_address_takes_an_unsafe_request_without_the_token(
        self, people: dict[str, User | None], paper: Document, who: str, method: str
    ) -> None:
        client = as_person(people[who], enforce_csrf_checks=True)
        for address in all_addresses(paper):
            if address not in self.WITHOUT_A_SESSION:
                answer = getattr(client, method)(address, b"{}", content_type="application/json")
                # 415 where the body, which might hold the token, is of a kind that the address does not read.
                assert answer.status_code in (403, 415), (address, answer.status_code)
        before = Document.objects.get(pk=paper.pk)
        assert (before.status, before.updated_at) == (paper.status, before.updated_at)

    def test_the_addresses_that_ask_no_token_do_not_know_the_session(self, people: dict[str, User | None]) -> None:
        client = as_person(people["admin"], enforce_csrf_checks=True)
        for address in self.WITHOUT_A_SESSION:
            answer = client.post(address, b"{}", content_type="application/json")
            assert answer.status_code in (400, 401, 405), address

    def test_with_the_token_of_the_page_it_goes_through(self, people: dict[str, User | None]) -> None:
        client = as_person(people["librarian"], enforce_csrf_checks=True)
        page = client.get("/").content.decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token
        assert client.post("/accounts/logout/", {"csrfmiddlewaretoken": token[1]}).status_code == 302
        assert client.get("/api/v1/me/").status_code == 401

    def test_the_token_of_a_page_of_another_origin_is_not_enough(self, people: dict[str, User | None]) -> None:
        client = as_person(people["librarian"], enforce_csrf_checks=True)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/").content.decode())
        assert token
        given = {"csrfmiddlewaretoken": token[1]}
        answer = client.post("/accounts/logout/", given, headers={"origin": FAR.rstrip("/")})
        assert answer.status_code == 403

    def test_a_reading_request_changes_nothing(self, people: dict[str, User | None], paper: Document) -> None:
        for user in people.values():
            client = as_person(user)
            for address in all_addresses(paper):
                client.get(address)
        after = Document.objects.get(pk=paper.pk)
        assert (after.status, after.title, after.clearance) == (paper.status, paper.title, paper.clearance)
        assert User.objects.filter(is_active=True).count() == len(people) - 1
        assert as_person(people["admin"]).get("/api/v1/me/").status_code == 200


class TestHostsAndProxies:
    @pytest.mark.parametrize("host", ["elsewhere.example", "testserver.elsewhere.example", "testserver:80@e.example"])
    def test_a_host_that_is_not_ours_is_refused(self, client: Client, host: str) -> None:
        for address in ("/", "/api/v1/search/?q=gym", "/admin/"):
            answer = client.get(address, headers={"host": host})
            assert answer.status_code == 400
            assert host.encode() not in answer.content

    def test_a_forwarded_host_is_not_believed(self, client: Client) -> None:
        answer = client.get("/admin/", headers={"x-forwarded-host": "elsewhere.example"})
        assert answer.status_code == 302
        assert "elsewhere" not in answer["Location"]

    @pytest.mark.parametrize(
        ("proxies", "forwarded", "believed"),
        [
            (0, "203.0.113.9", "192.0.2.1"),
            (1, "203.0.113.9", "203.0.113.9"),
            (1, "198.51.100.7, 203.0.113.9", "203.0.113.9"),
            (2, "198.51.100.7, 203.0.113.9, 192.0.2.2", "203.0.113.9"),
            (2, "203.0.113.9", "192.0.2.1"),
            (1, "", ""),
            (1, "<script>, not an address", ""),
            (1, "203.0.113.9\r\nX: y", ""),
        ],
    )
    def test_an_address_is_what_our_own_proxies_noted(
        self, settings: Settings, proxies: int, forwarded: str, believed: str
    ) -> None:
        settings.TRUSTED_PROXIES = proxies
        request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)
        assert client_address(request) == believed

    @pytest.mark.parametrize("name", ["x-real-ip", "forwarded", "client-ip", "true-client-ip", "cf-connecting-ip"])
    def test_no_other_header_names_the_address(self, settings: Settings, name: str) -> None:
        settings.TRUSTED_PROXIES = 1
        request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", headers={name: "203.0.113.9"})
        assert client_address(request) in ("192.0.2.1", "")

    def test_tls_is_believed_of_a_proxy_only_where_one_is_configured(self, settings: Settings) -> None:
        settings.SECURE_SSL_REDIRECT = True
        claimed = {"x-forwarded-proto": "https"}
        assert Client().get("/accounts/login/", headers=claimed).status_code == 301
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        assert Client().get("/accounts/login/", headers=claimed).status_code == 200

    def test_the_api_is_refused_by_plain_http_and_not_redirected(self, settings: Settings) -> None:
        settings.SECURE_SSL_REDIRECT = True
        plain, safe = Client().get("/api/v1/search/?q=gym"), Client().get("/api/v1/search/?q=gym", secure=True)
        assert (plain.status_code, plain["Content-Type"]) == (403, "application/problem+json")
        assert_guarded(plain, "/api/v1/search/")
        assert safe.status_code == 200
        assert Client().get("/search/").status_code == 301
        assert Client().get("/health/live").status_code == 200

    def test_trace_is_refused(self, people: dict[str, User | None], paper: Document) -> None:
        client = as_person(people["admin"])
        for address in all_addresses(paper):
            answer = client.generic("TRACE", address, headers={"x-secret": "do-not-repeat"})
            assert answer.status_code == 405, address
            assert b"do-not-repeat" not in answer.content

    def test_the_web_server_believes_no_header_and_does_not_say_what_it_is(self) -> None:
        with web_server() as port:
            answer = _raw(port, "X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9", "SCRIPT_NAME: /evil")
            assert answer.startswith("HTTP/1.1 200")
            assert "strict-transport-security" not in answer.lower()
            assert "gunicorn" not in answer.lower()
            assert "python" not in answer.lower()
            twice = _raw(port, "Content-Length: 5", "Transfer-Encoding: chunked")
            assert twice.startswith("HTTP/1.1 400")
            assert _raw(port, "Bad Name: x").startswith("HTTP/1.1 400")


@contextmanager
def web_server() -> Iterator[int]:
    """The portal behind its real web server, with the settings of production but TLS; gives its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PORT": str(port), "BIND_ADDRESS": "127.0.0.1", "WEB_CONCURRENCY": "1"}
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "portal.wsgi:application"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=30)


def _raw(port: int, *headers: str) -> str:
    """What the server answers to this request, as it stands on the wire."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        lines = ["GET /health/live HTTP/1.1", "Host: localhost", "Connection: close", *headers]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        received = b""
        while block := connection.recv(65536):
            received += block
    return received.decode()


class TestWaysBack:
    ELSEWHERE = [
        FAR, "//elsewhere.example/", "///elsewhere.example/", "/\\elsewhere.example", "\\\\elsewhere.example",
        "https:elsewhere.example", "http:///elsewhere.example", "javascript:alert(1)", "data:text/html,x",
        "/\t/elsewhere.example", "/\n/elsewhere.example", "%2f%2felsewhere.example", "https://testserver@elsewhere.example/",
        "https://testserver.elsewhere.example/",
    ]  # fmt: skip

    @pytest.mark.parametrize("way_back", ELSEWHERE)
    def test_signing_in_leads_nowhere_else(self, client: Client, person: MakePerson, way_back: str) -> None:
        user = person("student")
        given = {"username": user.username, "password": "correct-horse-battery", "next": way_back}
        answer = client.post("/accounts/login/", given)
        assert answer.status_code == 302
        assert host_of(answer["Location"]) == "testserver", answer["Location"]

    def test_no_address_leads_elsewhere_because_it_is_told_to(
        self, people: dict[str, User | None], paper: Document
    ) -> None:
        for who in ("nobody", "librarian"):
            client = as_person(people[who])
            for address in all_addresses(paper):
                for way_back in self.ELSEWHERE[:3] if "/admin/" not in address else self.ELSEWHERE[:1]:
                    answer = client.get(address, dict.fromkeys(("next", "url", "return_to", "redirect_uri"), way_back))
                    assert host_of(answer.get("Location", "/")) == "testserver", (address, answer["Location"])


def host_of(place: str) -> str:
    """The host that a browser at the sign-in page goes to for this `Location`."""
    return urlsplit(urljoin("http://testserver/accounts/login/", place.replace("\\", "/"))).netloc
