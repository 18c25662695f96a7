"""API keys: made once, kept as a digest, taken while they hold, and for what they were made."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from rest_framework.settings import api_settings

from accounts import api_keys
from accounts.api_keys import ApiKeyAuthentication, issue
from accounts.models import ApiKey, Department, User
from accounts.permissions import WithinScope
from accounts.tests.keys import make, send

pytestmark = pytest.mark.django_db


class TestIssue:
    def test_a_key_has_256_bits_of_secret_and_only_its_digest_is_kept(self, robot: User) -> None:
        kept, text = make(robot)
        prefix, secret = re.fullmatch(r"clst_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", text).groups()  # type: ignore[union-attr]
        assert kept.prefix == prefix
        with connection.cursor() as cursor:
            cursor.execute("SELECT row_to_json(k)::text FROM accounts_apikey k")
            row = cursor.fetchone()[0]
        assert secret not in row
        assert hashlib.sha256(text.encode()).hexdigest() in row

    def test_no_two_keys_are_alike(self, robot: User) -> None:
        assert len({make(robot)[1] for _ in range(50)}) == 50

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"scopes": []}, "scope"), ({"scopes": ["read", "admin"]}, "scope"), ({"days": -1}, "future"),
            ({"days": 800}, "two years"),
        ],
        ids=str,
    )  # fmt: skip
    def test_what_makes_no_sense_is_refused(self, robot: User, change: dict[str, Any], words: str) -> None:
        ends = timezone.now() + timedelta(days=change.pop("days", 30))
        with pytest.raises(ValueError, match=words):
            issue(robot, name="x", expires_at=ends, created_by=None, **{"scopes": ["read"], **change})

    def test_a_person_has_no_key(self, admin: User) -> None:
        with pytest.raises(ValueError, match="service"):
            make(admin)


class TestSigningIn:
    def test_a_key_is_its_account_with_the_role_and_departments_of_the_moment(self, robot: User) -> None:
        text = make(robot)[1]
        shown = ("username", "role", "clearance", "departments", "campus", "librarian")
        assert {name: send(text).json()[name] for name in shown} == {
            "username": "robot", "role": "staff", "clearance": 3, "departments": ["Library"],
            "campus": None, "librarian": False,
        }  # fmt: skip
        User.objects.filter(pk=robot.pk).update(role="student")
        assert send(text).json()["clearance"] == 2

    @pytest.mark.parametrize("scheme", ["api-key", "API-KEY"])
    def test_the_scheme_is_read_in_any_case(self, robot: User, scheme: str) -> None:
        assert send(make(robot)[1], scheme=scheme).status_code == 200

    def test_what_is_no_good_key_is_a_401_even_where_nobody_need_sign_in(self, robot: User) -> None:
        text = make(robot)[1]
        other = text[:-1] + ("A" if text[-1] != "A" else "B")
        unknown = "clst_000000000000_" + text[18:]
        cut, twice = text[:-1], f"{text} {text}"
        for bad in ("", "x", cut, text + "A", twice, text.upper(), other, unknown, "clst__", "ÿ", "\0"):
            for path in ("/api/v1/me/", "/api/v1/search/?q=books&mode=keyword"):
                answer = send(bad, path)
                assert answer.status_code == 401, bad
                assert "Api-Key" in answer["WWW-Authenticate"]
                assert answer["Content-Type"] == "application/problem+json"

    def test_a_key_is_no_bearer_token_and_no_parameter(self, robot: User) -> None:
        text = make(robot)[1]
        assert send(text, scheme="Bearer").status_code == 401
        assert Client().get(f"/api/v1/me/?api_key={text}").status_code == 401

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda key: ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now()),
            lambda key: api_keys.revoke(key),
            lambda key: User.objects.filter(pk=key.user_id).update(is_active=False),
            lambda key: User.objects.filter(pk=key.user_id).update(is_service=False),
            lambda key: key.delete(),
        ],
        ids=["expired", "revoked", "account closed", "account a person's", "gone"],
    )
    def test_it_stops_with_the_next_request_and_does_not_say_why(self, robot: User, spoil: Any) -> None:
        key, text = make(robot)
        assert send(text).status_code == 200
        spoil(key)
        answer = send(text)
        assert answer.status_code == 401
        unknown = send("clst_000000000000_" + text[18:])
        assert answer.json() | {"request_id": ""} == unknown.json() | {"request_id": ""}

    def test_a_page_takes_no_key(self, robot: User) -> None:
        answer = send(make(robot)[1], "/admin/")
        assert answer.status_code == 302
        assert "/login/" in answer["Location"]

    def test_known_and_unknown_prefixes_take_the_same_statements(
        self, robot: User, django_assert_num_queries: Any
    ) -> None:
        text = make(robot)[1]
        for given in (text, text[:-1] + "!", "clst_000000000000_" + text[18:], "rubbish"):
            with django_assert_num_queries(1):
                api_keys.key_of(given)

    def test_the_key_is_in_no_log_line(self, robot: User, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        text = make(robot)[1]
        send(text)
        send(text + "x")
        assert text[18:] not in caplog.text


class TestLastUse:
    def test_it_is_noted_at_most_once_a_minute(self, robot: User) -> None:
        key, text = make(robot)
        assert key.last_used_at is None
        send(text)
        key.refresh_from_db()
        first = key.last_used_at
        assert first is not None
        send(text)
        key.refresh_from_db()
        assert key.last_used_at == first
        ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
        send(text)
        key.refresh_from_db()
        assert key.last_used_at > first

    def test_a_database_that_only_reads_does_not_fail_the_request(
        self, robot: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        text = make(robot)[1]
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what was written so far is checked before
            cursor.execute("SET TRANSACTION READ ONLY")
        assert send(text).status_code == 200
        assert "was not noted" in caplog.text


def views(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every address of the portal and its view."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield prefix + str(pattern.pattern), pattern.callback


def api_views() -> Iterator[tuple[str, Any]]:
    """Those of the API, as they stand below /api/v1/."""
    below = "api/v1/"
    for path, view in views(get_resolver().url_patterns):
        if path.startswith(below):
            yield path.removeprefix(below), view


class TestScopes:
    def test_every_view_that_takes_keys_asks_for_their_scope(self) -> None:
        checked = 0
        for path, view in api_views():
            cls = view.cls
            authenticates = view.initkwargs.get("authentication_classes", cls.authentication_classes)
            if ApiKeyAuthentication not in authenticates:
                assert path.startswith(("token/", "schema/", "docs/")), path
                continue
            permissions = view.initkwargs.get("permission_classes", cls.permission_classes)
            assert any(issubclass(one, WithinScope) for one in permissions), path
            checked += 1
        assert checked >= 10

    def test_the_default_is_one_that_asks(self) -> None:
        assert all(issubclass(one, WithinScope) for one in api_settings.DEFAULT_PERMISSION_CLASSES)

    def test_a_key_without_the_scope_is_refused_by_every_method_of_every_view(self, robot: User, settings: Any) -> None:
        settings.THROTTLE_FACTOR = 0
        key, text = make(robot)
        ApiKey.objects.filter(pk=key.pk).update(scopes=[])
        asked = 0
        for path, view in api_views():
            if ApiKeyAuthentication not in view.cls.authentication_classes:
                continue
            address = "/api/v1/" + path.replace("<uuid:pk>", "00000000-0000-4000-8000-000000000000")
            address = address.replace("<number:number>", "1")
            for method in ("get", "post", "put", "patch", "delete", "options", "head"):
                answer = send(text, address, method)
                if answer.status_code == 405 and method not in view.cls().allowed_methods:
                    continue
                assert answer.status_code == 403, (method, path, answer.status_code)
                if method != "head":
                    assert answer.json()["current"] == []
                    assert answer.json()["required"] in ("read", "upload")
                asked += 1
        assert asked > 30

    def test_reading_by_post_needs_no_more_than_reading(self, robot: User) -> None:
        text = make(robot, "read")[1]
        body = {"query": "books", "mode": "keyword"}
        assert send(text, "/api/v1/search/", "post", data=body, content_type="application/json").status_code == 200
        feedback = send(text, "/api/v1/feedback/", "post", data={}, content_type="application/json")
        assert feedback.status_code == 400  # let in, and looked at

    def test_a_key_for_reading_does_not_write_and_one_for_writing_does_not_read(self, robot: User) -> None:
        answer = send(make(robot, "read")[1], "/api/v1/documents/", "post")
        assert answer.status_code == 403
        assert (answer.json()["required"], answer.json()["current"]) == ("upload", ["read"])
        answer = send(make(robot, "upload")[1], "/api/v1/search/?q=books&mode=keyword")
        assert (answer.json()["required"], answer.json()["current"]) == ("read", ["upload"])

    def test_a_scope_gives_nothing_that_the_account_has_not(self, robot: User) -> None:
        answer = send(make(robot, "read", "upload")[1], "/api/v1/documents/", "post")
        assert answer.status_code == 403
        assert (answer.json()["required"], answer.json()["current"]) == ("librarian", "staff")

    def test_a_librarian_account_uploads_with_its_key(self, robot: User, library: Department, media: Any) -> None:
        robot.groups.add(Group.objects.get(name="Librarians"))
        form = {
            "file": SimpleUploadedFile("a.md", b"# Rooms\n\nEight rooms."), "department": "Library",
            "doc_type": "guide", "clearance": "2", "audience": "institution",
        }  # fmt: skip
        text = make(robot, "upload")[1]
        answer = send(text, "/api/v1/documents/", "post", data=form)
        assert answer.status_code == 202, answer.content
        above = {**form, "file": SimpleUploadedFile("b.md", b"# Other\n\nText."), "clearance": "4"}
        answer = send(text, "/api/v1/documents/", "post", data=above)
        assert answer.status_code == 403
        assert (answer.json()["required"], answer.json()["current"]) == (4, 3)


@pytest.fixture
def media(settings: Any, tmp_path: Any) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path), "base_url": None},
        },
    }
