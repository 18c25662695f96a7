"""Two web processes on one database and one cache: after each change both answer as a database without what is hidden.

Here everything is written for good, the web processes are real, and what they must answer is made in this process,
which never answered the question before: nothing that a process keeps for itself can hide.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client

from accounts.models import User
from deploy.drill._stale_servers import web_servers
from ingestion import statistics
from portal.tests.noninterference.answers import REQUEST_ID, Answer, difference, plain
from portal.tests.noninterference.comparison import without
from portal.tests.noninterference.oracle import sight_of
from portal.tests.noninterference.stories import Change, apply
from portal.tests.noninterference.world import (
    PASSWORD,
    UNKNOWN,
    DocumentFacts,
    PersonFacts,
    World,
    WorldFacts,
    make,
)

SMALL = WorldFacts(
    documents=(
        DocumentFacts(paper=0),
        DocumentFacts(paper=1, clearance=2),
        DocumentFacts(paper=2, department=1, audience="department", shared=frozenset({0}), clearance=2),
        DocumentFacts(paper=3, clearance=3, tags=frozenset({1})),
        DocumentFacts(paper=4, clearance=4),
        DocumentFacts(paper=5),
    ),
    people=(
        PersonFacts("student", frozenset({0})),
        PersonFacts("academic", frozenset({0})),
        PersonFacts("anonymous"),
    ),
)

CHANGES = (
    None,
    Change("reclassify", 0, 3),
    Change("stop sharing", 2, 0),
    Change("change role", 1, 0),
    Change("set its window", 5, 0),
    Change("move person", 0, 2),
    Change("restore", 5, 0),
    Change("disable or enable", 1, 0),
)

HEADERS_OF_SERVERS = frozenset(("server", "date", "connection", "transfer-encoding", "content-length", "set-cookie"))
"""What a web server adds, and the cookies, which are drawn for each answer."""


@pytest.fixture(params=["primary", "replica"])
def source(request: pytest.FixtureRequest) -> str:
    """Where the web processes read."""
    if request.param == "replica" and "replica" not in django_settings.DATABASES:
        pytest.skip("replica: the settings name no replica yet; this runs as soon as DATABASES has one of that name")
    return str(request.param)


@pytest.fixture
def servers(transactional_db: None, stage: None, tmp_path: Path) -> Iterator[list[str]]:
    """Two web processes on the tests' database and cache."""
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = os.environ | {
        "DATABASE_URL": database.geturl(),
        "DJANGO_SETTINGS_MODULE": "portal.tests.noninterference.live_settings",
        "MEDIA_ROOT": str(tmp_path),
        "ALLOWED_HOSTS": "127.0.0.1,testserver",
        "INSECURE_COOKIES": "1",
        "LOG_LEVEL": "ERROR",
    }
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    with web_servers(environment) as addresses:
        yield addresses


def paths(world: World) -> list[str]:
    """What is asked of each process after each change."""
    found = ["/api/v1/search/?q=borrow+books&page_size=50", "/api/v1/search/?q=zebra&mode=keyword", "/api/v1/me/"]
    found += ["/search/?q=travel+expenses", "/api/v1/suggest/?q=bo", "/api/v1/documents/"]
    for one in (*world.documents, UNKNOWN):
        found += [f"/api/v1/documents/{one}/", f"/api/v1/documents/{one}/similar/", f"/documents/{one}/"]
    return found + [f"/api/v1/documents/{one}/chunks/" for one in world.documents[::2]]


class Visitor:
    """One person, signed in once and for all: by a session at both processes, or by a token."""

    def __init__(self, person: int | None, server: str, *, token: bool) -> None:
        self.person, self.token = person, token
        self.headers = {"X-Request-ID": REQUEST_ID, "Accept-Encoding": "identity"}
        self.cookies: dict[str, str] = {}
        self.client = Client(headers={"X-Request-ID": REQUEST_ID})
        if person is None:
            return
        user = User.objects.get(pk=person)
        if token:
            given = {"username": user.username, "password": PASSWORD}
            answer = requests.post(f"{server}/api/v1/token/", json=given, timeout=30)
            assert answer.status_code == 200, answer.text
            self.headers["Authorization"] = f"Bearer {answer.json()['access']}"
        else:
            self.client.force_login(user)
            name = django_settings.SESSION_COOKIE_NAME
            self.cookies = {name: self.client.cookies[name].value}

    def live(self, server: str, path: str, world: World) -> Answer:
        """The answer of a web process."""
        answer = requests.get(
            server + path, headers=self.headers, cookies=self.cookies, timeout=30, allow_redirects=False
        )
        return self._plain(answer.status_code, list(answer.headers.items()), answer.content, world)

    def here(self, server: str, path: str, world: World) -> Answer:
        """The answer of this process, as if it were that one."""
        sent = {name: value for name, value in self.headers.items() if name != "Accept-Encoding"}
        answer = self.client.get(path, headers={**sent, "Host": urlsplit(server).netloc})
        return self._plain(answer.status_code, list(answer.headers.items()), answer.getvalue(), world)

    @staticmethod
    def _plain(status: int, headers: list[tuple[str, str]], body: bytes, world: World) -> Answer:
        kept = [(name.lower(), value) for name, value in headers if name.lower() not in HEADERS_OF_SERVERS]
        # Each process writes the policy's parts in an order of its own.
        kept = [(name, "; ".join(sorted(value.split("; "))) if "policy" in name else value) for name, value in kept]
        return plain(status, kept, body, (*world.documents, UNKNOWN))


def test_every_process_forgets_at_once(servers: list[str], source: str) -> None:
    world = make(SMALL)
    for user in User.objects.filter(pk__in=filter(None, world.people)):
        user.set_password(PASSWORD)
        user.save()
    visitors = [
        Visitor(person, servers[0], token=token)
        for person in world.people
        for token in (False, True)
        if person or token
    ]
    cases, leaked = 0, []
    for change in CHANGES:
        if change is not None:
            apply(world, change)
            statistics.refresh()
        for visitor in visitors:
            live = {(server, path): visitor.live(server, path, world) for server in servers for path in paths(world)}
            with without(sight_of(visitor.person)):
                for (server, path), answer in live.items():
                    expected = visitor.here(server, path, world)
                    cases += 1
                    if answer != expected:
                        leaked.append(f"{change} {server} {path}\n{difference(answer, expected)}")
    assert not leaked, "\n\n".join(leaked[:10])
    assert cases == len(CHANGES) * len(visitors) * len(servers) * len(paths(world))
