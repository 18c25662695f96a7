"""People, departments and documents for the tests of the admin site, and what its forms post."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any, cast

import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from accounts.clearance import Role
from accounts.models import Department, User
from accounts.tests.people import person, signed_in
from ingestion.models import Document, DocumentType

LIST = "/admin/ingestion/document/"
UPLOAD = "/admin/ingestion/document/upload/"
UPLOADS = "/admin/ingestion/document/uploads/"
Make = Callable[..., Document]


@pytest.fixture(autouse=True)
def originals(settings: Settings, tmp_path: Path) -> None:
    default = cast(dict[str, Any], django_settings.STORAGES["default"])
    default = default | {"OPTIONS": {"location": str(tmp_path), "base_url": None}}
    settings.STORAGES = {**django_settings.STORAGES, "default": default}


@pytest.fixture
def finance() -> Department:
    return Department.objects.create(name="Finance")


@pytest.fixture
def library() -> Department:
    return Department.objects.create(name="Library")


@pytest.fixture
def librarian(finance: Department) -> User:
    """A librarian of Finance whose own clearance is 3."""
    return person("librarian", Role.STAFF, finance, librarian=True)


@pytest.fixture
def desk(librarian: User) -> Client:
    return signed_in(librarian)


@pytest.fixture
def admin_desk() -> Client:
    return signed_in(person("warden", Role.ADMIN))


@pytest.fixture
def make() -> Make:
    """Makes a document with an original: `make("Title", finance, clearance=2)`."""

    def made(title: str, department: Department, **more: Any) -> Document:
        content = title.encode()
        fields = {
            "file_name": f"{title}.txt",
            "file_size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "doc_type": DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})[0],
            "clearance": 1,
            "audience": "institution",
            "language": "en",
            "status": "ready",
            "is_searchable": True,
        } | more
        document = Document(title=title, department=department, **fields)
        document.file.save("original", ContentFile(content), save=False)
        document.save()
        return document

    return made


@pytest.fixture
def managed(make: Make, finance: Department, library: Department, librarian: User) -> list[Document]:
    """What the librarian of Finance manages: everything of Finance up to clearance 3, and what they own."""
    return [
        make("Ours public", finance),
        make("Ours for staff", finance, clearance=3, audience="department"),
        make(
            "Ours failed", finance, status="failed", is_searchable=False, error="It is broken.", error_reason="broken"
        ),
        make("Ours archived", finance, status="archived", is_searchable=False),
        make("Uploaded for the library", library, clearance=2, audience="department", owner=librarian),
    ]


@pytest.fixture
def hidden(make: Make, finance: Department, library: Department) -> list[Document]:
    """What that librarian must not reach, though some of it they may read."""
    return [
        make("Theirs public", library),
        make("Theirs for the department", library, audience="department"),
        make("Ours but restricted", finance, clearance=4),
        make("Theirs failed", library, status="failed", is_searchable=False, error="Secret reason."),
    ]


def change(document: Document) -> str:
    return f"{LIST}{document.pk}/change/"


def metadata(document: Document, **more: Any) -> dict[str, Any]:
    """What the change form posts for a document as it is, with these changes."""
    return {
        "title": document.title,
        "doc_type": document.doc_type_id,
        "language": document.language,
        "campus": "",
        "priority": document.priority,
        "tags": "",
        "last_reviewed": "",
        "department": document.department_id,
        "clearance": document.clearance,
        "audience": document.audience,
        "visible_from": "",
        "visible_until": "",
    } | more


HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
BUTTON = re.compile(r'<button type="submit" id="(confirm|back)"[^>]* name="([^"]+)" value="([^"]*)">')


def asks(answer: Any) -> bool:
    """Whether the page is the question before who sees something changes."""
    return answer.status_code == 200 and 'id="confirm"' in answer.content.decode()


def press(client: Client, address: str, answer: Any, button: str = "confirm") -> Any:
    """Press a button of that question, sending what a browser would."""
    text = answer.content.decode()
    sent: dict[str, list[str]] = {}
    for name, value in HIDDEN.findall(text[text.index('<form method="post" class="upload"') :]):
        if name != "csrfmiddlewaretoken":
            sent.setdefault(name, []).append(unescape(value))
    named = {found: (name, value) for found, name, value in BUTTON.findall(text)}
    name, value = named[button]
    return client.post(address, sent | {name: value})


def post_confirmed(client: Client, address: str, data: dict[str, Any] | None = None) -> Any:
    """Post a form, and answer the question with yes if there is one."""
    answer = client.post(address, data or {})
    return press(client, address, answer) if asks(answer) else answer


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def upload(client: Client, department: Department, *files: tuple[str, bytes], **more: Any) -> Any:
    guide = DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})[0]
    fields = {
        "originals": [SimpleUploadedFile(name, content) for name, content in files],
        "department": department.pk,
        "doc_type": guide.pk,
        "clearance": 2,
        "audience": "department",
        "priority": 4,
    }
    return client.post(UPLOAD, fields | more)
