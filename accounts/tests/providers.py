"""Two OpenID providers that really speak HTTP: an honest one, and one that answers whatever a test wants."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import oidc_provider_mock
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client, override_settings
from jwt.algorithms import RSAAlgorithm

CLIENT_ID = "cloister"
HERE = "http://testserver"


@contextmanager
def single_sign_on(issuer: str, **more: Any) -> Iterator[None]:
    """The portal, set up for this issuer, as its environment would set it up."""
    given = {
        "OIDC_ISSUER": issuer,
        "OIDC_RP_CLIENT_ID": CLIENT_ID,
        "OIDC_RP_CLIENT_SECRET": "not-a-secret-here",
        "AUTHENTICATION_BACKENDS": [
            "accounts.lockout.LockoutBackend",
            "accounts.sign_in.PasswordBackend",
            "accounts.oidc.SingleSignOnBackend",
        ],
        **more,
    }
    with override_settings(**given):
        yield


class HonestProvider:
    """oidc-provider-mock on a port of its own: discovery, sign-in page, tokens, keys and userinfo."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://localhost:{port}"

    def knows(self, sub: str, **claims: Any) -> None:
        """What it says of somebody from now on."""
        assert httpx.put(f"{self.issuer}/users/{sub}", json=claims).status_code == 204

    def answer(self, asked: str, sub: str, **form: str) -> str:
        """Sign in at the address that the portal sent us to; answers the address that leads back."""
        back = httpx.post(asked, data={"sub": sub, **form})
        assert back.status_code == 302, back.text
        return back.headers["location"].removeprefix(HERE)

    def sign_in(self, client: Client, sub: str, query: str = "") -> Any:
        """The whole way from the portal's button and back; answers the portal's last answer."""
        asked = client.get(f"/accounts/oidc/{query}")
        assert asked.status_code == 302, asked.content
        return client.get(self.answer(asked["Location"], sub))


@contextmanager
def honest_provider() -> Iterator[HonestProvider]:
    """It runs as long as the block does."""
    with oidc_provider_mock.run_server_in_thread() as server:
        yield HonestProvider(server.server_port)


class WilfulProvider:
    """Signs what a test wants to be signed. Its keys and addresses are real, its claims need not be."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.id_token: Any = ""
        self.userinfo: Any = None
        self.status = 200
        self.token_requests: list[dict[str, list[str]]] = []

    @property
    def keys(self) -> dict[str, Any]:
        public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": "one", "alg": "RS256", "use": "sig"}]}

    @property
    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo" if self.userinfo is not None else "",
            "end_session_endpoint": f"{self.issuer}/end",
        }

    def signs(self, asked: str, *, key: Any = None, algorithm: str = "RS256", **claims: Any) -> None:
        """Make the ID token for the question that the portal asked; a claim given as None is left out."""
        nonce = parse_qs(urlsplit(asked).query)["nonce"][0]
        now = int(time.time())
        whole = {
            "iss": self.issuer,
            "sub": "s-1",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "groups": ["staff"],
            **claims,
        }
        kept = {name: value for name, value in whole.items() if value is not None}
        signing = self.key if key is None else key
        self.id_token = jwt.encode(kept, signing or None, algorithm=algorithm, headers={"kid": "one"})

    def sign_in(self, client: Client, query: str = "", *, state: str | None = None, **signed: Any) -> Any:
        """From the button and back, with an ID token as wanted; answers the portal's last answer."""
        asked = client.get(f"/accounts/oidc/{query}")
        assert asked.status_code == 302, asked.content
        self.signs(asked["Location"], **signed)
        return client.get(f"/accounts/oidc/callback/?code=c&state={state or state_of(asked['Location'])}")


def state_of(asked: str) -> str:
    """The state in an address that the portal sent somebody to."""
    return parse_qs(urlsplit(asked).query)["state"][0]


@contextmanager
def wilful_provider() -> Iterator[WilfulProvider]:
    """It runs as long as the block does."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = {
                "/.well-known/openid-configuration": provider.discovery,
                "/jwks": provider.keys,
                "/userinfo": provider.userinfo,
            }.get(self.path)
            self._say(200 if said is not None else 404, said)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            provider.token_requests.append(parse_qs(body))
            self._say(provider.status, {"access_token": "a", "token_type": "Bearer", "id_token": provider.id_token})

        def _say(self, status: int, said: Any) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    provider = WilfulProvider(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
