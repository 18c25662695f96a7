"""The doors at which a document may show, and the ways of coming to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

API = "/api/v1"

ANSWERS = frozenset((200, 302, 401, 403, 404))
"""What a door may answer. Anything else shows nothing either, and proves nothing."""


@dataclass(frozen=True)
class Watched:
    """A document that is watched. Its marker stands in its title, text and file name and nowhere else; nor does any
    other document belong to its bureau. No question contains either. `twin` is a public document about the same."""

    id: str
    marker: str
    bureau: str
    question: str
    title_begins: str
    twin: str


@dataclass(frozen=True)
class Door:
    """An address, and what in its answer shows that the document is there."""

    name: str
    path: Callable[[Watched], str]
    shows_by: Callable[[Watched], str] = lambda watched: watched.marker
    headers: Mapping[str, str] = field(default_factory=dict)


PAGES = (
    Door("search page", lambda one: f"/search/?q={quote(one.question)}"),
    Door("search pane", lambda one: f"/search/?q={quote(one.question)}", headers={"HX-Request": "true"}),
    Door("document page", lambda one: f"/documents/{one.id}/"),
    Door("passage", lambda one: f"/documents/{one.id}/?page=1&q={quote(one.question)}"),
    Door("file", lambda one: f"/documents/{one.id}/file"),
)
API_DOORS = (
    Door("API search", lambda one: f"{API}/search/?q={quote(one.question)}"),
    # Past the last hit nothing but the counts is left.
    Door("facets", lambda one: f"{API}/search/?q={quote(one.question)}&page=9", lambda one: f'"{one.bureau}"'),
    Door("suggestions", lambda one: f"{API}/suggest/?q={quote(one.title_begins)}"),
    Door("similar documents", lambda one: f"{API}/documents/{one.twin}/similar/"),
    Door("document", lambda one: f"{API}/documents/{one.id}/"),
    Door("API file", lambda one: f"{API}/documents/{one.id}/file/"),
    Door("chunks", lambda one: f"{API}/documents/{one.id}/chunks/"),
    Door("similar to it", lambda one: f"{API}/documents/{one.id}/similar/", lambda one: f'"{one.twin}"'),
    Door("list", lambda one: f"{API}/documents/?page_size=200"),
)

SESSION, TOKEN, KEY, NOBODY = "session", "token", "key", "nobody"
DOORS = {
    SESSION: (*PAGES, *(door for door in API_DOORS if door.name in ("suggestions", "similar documents", "facets"))),
    TOKEN: API_DOORS,
    KEY: API_DOORS,
    NOBODY: (*PAGES, *(door for door in API_DOORS if door.name in ("API search", "suggestions", "list"))),
}
"""Which doors each way leads to."""


@dataclass(frozen=True)
class Answer:
    """What one door answered."""

    way: str
    server: int
    door: str
    status: int
    shown: bool


class Way:
    """One way of coming: a browser's session, a token, a key, or nothing; at every server the same credentials."""

    def __init__(self, name: str, servers: list[str], **credentials: Any) -> None:
        self.name = name
        # gunicorn closes an idle connection after 5 seconds; ours must be the first to let go.
        limits = httpx.Limits(keepalive_expiry=2.0)
        self._clients = [httpx.Client(base_url=one, limits=limits, timeout=30.0, **credentials) for one in servers]

    def ask(self, server: int, door: Door, watched: Watched) -> Answer:
        """Knock at a door of one of the servers."""
        answer = self._clients[server].get(door.path(watched), headers=dict(door.headers))
        said = answer.text + answer.headers.get("Content-Disposition", "")
        return Answer(self.name, server, door.name, answer.status_code, door.shows_by(watched) in said)

    def close(self) -> None:
        """Let the connections go."""
        for client in self._clients:
            client.close()


def sign_in_page(server: str, username: str, password: str) -> dict[str, str]:
    """Sign in at the page; the session's cookies. Raises RuntimeError when that fails."""
    with httpx.Client(base_url=server, timeout=30.0) as browser:
        browser.get("/accounts/login/")
        form = {"username": username, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        answer = browser.post("/accounts/login/", data=form, headers={"Referer": f"{server}/accounts/login/"})
        if "sessionid" not in browser.cookies:
            raise RuntimeError(f"{username} could not sign in: {answer.status_code}")
        return dict(browser.cookies)


def sign_in_token(server: str, username: str, password: str) -> dict[str, str]:
    """The access and the refresh token of a new grant. Raises httpx.HTTPStatusError."""
    answer = httpx.post(f"{server}{API}/token/", json={"username": username, "password": password}, timeout=30.0)
    tokens: dict[str, str] = answer.raise_for_status().json()
    return tokens
