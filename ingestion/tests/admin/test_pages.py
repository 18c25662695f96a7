"""The admin's pages themselves: nothing inline, nothing that runs what people typed."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from accounts.models import Department
from ingestion.models import Document
from ingestion.tests.admin.conftest import LIST, UPLOAD, Make, change, text_of, upload

pytestmark = pytest.mark.django_db


INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|javascript:", re.IGNORECASE)
"""What the content security policy would block."""


def test_every_page_lives_under_the_portals_own_policy(
    admin_desk: Client, managed: list[Document], finance: Department
) -> None:
    progress = upload(admin_desk, finance, ("one.txt", b"One."), ("empty.txt", b""))["Location"]
    for address in (
        "/admin/",
        LIST,
        UPLOAD,
        progress,
        change(managed[0]),
        change(managed[2]),
        f"{LIST}{managed[0].pk}/replace/",
        f"{LIST}{managed[0].pk}/history/",
        f"{LIST}{managed[0].pk}/delete/",
        "/admin/ingestion/tag/",
        "/admin/ingestion/documenttype/add/",
        "/admin/accounts/user/",
        "/admin/accounts/user/add/",
        f"/admin/accounts/department/{finance.pk}/change/",
    ):
        answer = admin_desk.get(address)
        assert answer.status_code == 200, address
        policy = answer["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "script-src 'self'" in policy
        assert not INLINE.findall(answer.content.decode()), address


def test_markup_in_titles_and_names_is_shown_and_never_run(desk: Client, make: Make, finance: Department) -> None:
    attack = "<script>alert(1)</script>"
    document = make("Attack", finance, status="failed", is_searchable=False, error=attack)
    Document.objects.filter(pk=document.pk).update(title=attack, file_name=f'"{attack}.pdf')
    for address in ("/admin/", LIST, change(document), f"{LIST}{document.pk}/replace/"):
        text = text_of(desk, address)
        assert attack not in text
        assert "&lt;script&gt;alert(1)" in text


def test_what_keeps_itself_up_to_date_is_fetched_alone(desk: Client, make: Make, finance: Department) -> None:
    """Markup with the page's scripts in it would be refused by the browser, which lets no text become a script."""
    document = make("Waiting", finance, status="queued", is_searchable=False)
    for address, part in (("/admin/", "attention"), (change(document), "state")):
        whole = text_of(desk, address)
        assert f'id="{part}"' in whole
        assert f'hx-get="{address}"' in whole
        fetched = desk.get(address, headers={"HX-Request": "true"}).content.decode()
        assert f'id="{part}"' in fetched
        assert "hx-trigger=" in fetched
        assert "<script" not in fetched
        assert "<html" not in fetched
    Document.objects.update(status="ready")
    fetched = desk.get(change(document), headers={"HX-Request": "true"}).content.decode()
    assert "hx-trigger=" not in fetched
    assert "Show the page anew" in fetched
