"""The API's description: OpenAPI 3.1, valid, and its page under the strict content security policy."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from io import StringIO

import pytest
import yaml
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db

PATHS = {
    "/api/v1/token/": {"post"},
    "/api/v1/token/refresh/": {"post"},
    "/api/v1/token/blacklist/": {"post"},
    "/api/v1/me/": {"get"},
    "/api/v1/search/": {"get", "post"},
    "/api/v1/search/batch/": {"post"},
    "/api/v1/suggest/": {"get"},
    "/api/v1/documents/": {"get", "post"},
    "/api/v1/documents/{id}/": {"get", "patch", "delete"},
    "/api/v1/documents/bulk/": {"post"},
    "/api/v1/documents/{id}/file/": {"get", "put"},
    "/api/v1/documents/{id}/restore/": {"post"},
    "/api/v1/documents/{id}/versions/": {"get"},
    "/api/v1/documents/{id}/versions/{number}/": {"get"},
    "/api/v1/documents/{id}/versions/{number}/restore/": {"post"},
    "/api/v1/documents/{id}/chunks/": {"get"},
    "/api/v1/documents/{id}/similar/": {"get"},
    "/api/v1/documents/{id}/retry/": {"post"},
    "/api/v1/feedback/": {"post"},
}


def test_the_schema_is_valid_without_a_warning_and_names_every_endpoint(client: Client) -> None:
    cache.clear()
    written = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=written)
    schema = yaml.safe_load(written.getvalue())
    assert schema["openapi"].startswith("3.1")
    assert {path: set(methods) for path, methods in schema["paths"].items()} == PATHS
    served = client.get("/api/v1/schema/")
    assert served.status_code == 200
    assert yaml.safe_load(served.content)["paths"] == schema["paths"]


def test_the_page_to_try_it_needs_no_more_than_its_own_style_sheet(client: Client, settings: Settings) -> None:
    cache.clear()
    settings.STORAGES = {
        **settings.STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }  # fmt: skip
    page = client.get("/api/v1/docs/")
    assert page.status_code == 200
    html = page.content.decode()
    policy = page["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    allowed = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{allowed}'" in policy
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=", html)
    assert all(address.startswith("/") for address in re.findall(r'(?:src|href)="([^"]*)"', html))
    assert "sha256" not in client.get("/health/live")["Content-Security-Policy"]
    assert client.get("/api/v1/docs/?script=")["Content-Type"].startswith("application/javascript")


def test_every_operation_says_how_it_can_fail(client: Client) -> None:
    cache.clear()
    schema = yaml.safe_load(client.get("/api/v1/schema/").content)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            assert {"400", "401", "403", "429", "500", "503"} <= set(answers), (method, path)
            assert ("404" in answers) >= ("{id}" in path)
            assert ("415" in answers) == ("requestBody" in operation)
            for status, answer in answers.items():
                # 416 has no body: whoever asks for a stretch reads its headers.
                if status >= "400" and status != "416":
                    (content,) = answer["content"].items()
                    assert content == (
                        "application/problem+json", {"schema": {"$ref": "#/components/schemas/Problem"}},
                    )  # fmt: skip
    change = schema["paths"]["/api/v1/documents/{id}/"]["patch"]
    assert {"409", "412"} <= set(change["responses"])
    assert "422" in schema["paths"]["/api/v1/documents/"]["post"]["responses"]
