"""Text that is none: NUL, halves of characters, bytes that are no UTF-8."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from ingestion.models import Document
from portal.tests.addresses import all_addresses
from portal.tests.conftest import as_person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unhurried")]


class TestDamagedText:
    """NUL, halves of characters, bytes that are no UTF-8: refused or taken as they are, never an error of ours."""

    NAMES = (
        "q", "department", "campus", "doc_type", "language", "tag", "min_priority", "reviewed_after", "mode", "page",
        "page_size", "part", "passage", "cursor", "next", "o", "p", "state", "upload", "type", "clearance", "audience",
        "term", "app_label", "model_name", "field_name", "role", "person", "code", "phase",
    )  # fmt: skip

    DAMAGED = ("%00", "gym%00opens", "%ed%a0%80", "%ff%fe", "%F0%9F", "%c0%ae")

    @pytest.mark.parametrize("who", ["nobody", "admin"])
    def test_no_parameter_makes_an_error_of_ours(
        self, people: dict[str, User | None], paper: Document, who: str
    ) -> None:
        client = as_person(people[who])
        for damaged in self.DAMAGED[1:3]:
            query = "&".join(f"{name}={damaged}" for name in self.NAMES)
            for address in all_addresses(paper):
                if not address.startswith("/health"):
                    assert client.get(f"{address}?{query}").status_code < 500, (address, damaged)

    @pytest.mark.parametrize("address", ["/search/", "/api/v1/search/", "/api/v1/suggest/", "document"])
    def test_no_parameter_of_a_search_does_by_itself(self, client: Client, paper: Document, address: str) -> None:
        address = paper.get_absolute_url() if address == "document" else address
        for damaged in self.DAMAGED:
            for name in self.NAMES[:15]:
                assert client.get(f"{address}?q=gym&{name}={damaged}").status_code < 500, (name, damaged)

    @pytest.mark.parametrize("damaged", ["\\u0000", "a\\u0000b", "\\ud800", "\\udfff\\ud800"])
    def test_no_body_makes_an_error_of_ours(
        self, people: dict[str, User | None], paper: Document, damaged: str
    ) -> None:
        client = as_person(people["admin"])
        fields = {
            "/api/v1/search/": ("query", "mode", "filters"),
            "/api/v1/feedback/": ("search_id", "document_id", "verdict"),
            "/api/v1/token/": ("username", "password"),
            "/api/v1/token/refresh/": ("refresh",),
            f"/api/v1/documents/{paper.pk}/": (
                "title",
                "department",
                "campus",
                "doc_type",
                "language",
                "last_reviewed",
            ),
        }
        for address, names in fields.items():
            method = client.patch if "/documents/" in address else client.post
            for name in (*names, damaged):
                body = f'{{"{name}": "{damaged}", "q": "{damaged}"}}'
                answer = method(address, body, content_type="application/json")
                assert answer.status_code < 500, (address, name)
        for tags in (f'["{damaged}"]', f'{{"{damaged}": 1}}', f'[["{damaged}"]]'):
            answer = client.patch(f"/api/v1/documents/{paper.pk}/", f'{{"tags": {tags}}}', "application/json")
            assert answer.status_code < 500

    def test_no_form_makes_an_error_of_ours(self, people: dict[str, User | None], paper: Document) -> None:
        client = as_person(people["admin"])
        given = {"username": "a\0b", "password": "a\0b", "next": "/\0", "name": "a\0b", "title": "a\0b"}
        for address in (
            "/accounts/login/",
            "/admin/ingestion/tag/add/",
            f"/admin/ingestion/document/{paper.pk}/change/",
        ):
            assert client.post(address, given).status_code < 500, address

    def test_no_path_cookie_or_header_makes_an_error_of_ours(self, client: Client) -> None:
        for address in ("/%00", "/documents/%00/", "/admin/%ff", "/api/v1/documents/%ed%a0%80/", "/static/%00"):
            assert client.get(address).status_code < 500, address
        client.cookies["sessionid"] = "\ud800".encode(errors="surrogatepass").decode("latin-1")
        for header in ("user-agent", "referer", "accept-language", "authorization", "x-request-id", "origin"):
            assert client.get("/", headers={header: "\x00\xff\x1b"}).status_code < 500, header
            assert client.get("/api/v1/me/", headers={header: "\x00\xff\x1b"}).status_code < 500, header
