"""What the API refuses: every 403 names what it takes and what the person has, and nobody gives more than they have."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django.fixtures import Settings
from rest_framework_simplejwt.tokens import AccessToken

from accounts.clearance import CURATORS, LIBRARIANS, viewer_for
from accounts.models import Department, User
from ingestion import pipeline
from ingestion.models import Document, DocumentType
from ingestion.tests.admin.conftest import post_confirmed
from portal.tests.conftest import MakeDocument, MakePerson

pytestmark = pytest.mark.django_db

DOCUMENTS = "/api/v1/documents/"
METHODS = ("get", "post", "patch", "delete")


@pytest.fixture(autouse=True)
def apart(settings: Settings, tmp_path: Path) -> None:
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": storage}
    settings.THROTTLE_FACTOR = 0


def addresses(patterns: list[Any] | None = None, prefix: str = "/") -> list[str]:
    """Every address of the API, with a place for a document's id."""
    found = []
    for pattern in patterns if patterns is not None else get_resolver().url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += addresses(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path.startswith("/api/v1/"):
            found.append(path)
    return found


@pytest.fixture
def people(person: MakePerson, library: Department, finance: Department) -> dict[str, User]:
    """One of each kind, and of each kind of curator."""
    kinds = {
        "student": person("student"),
        "staff": person("staff", departments=(finance,)),
        "academic": person("academic", departments=(library,)),
        "admin": person("admin"),
        "librarian": person("staff", departments=(library,)),
        "curator": person("staff", departments=(library, finance)),
        "service": person("staff", departments=(library,), is_service=True),
    }
    kinds["librarian"].groups.add(Group.objects.get(name=LIBRARIANS))
    kinds["curator"].groups.add(Group.objects.get_or_create(name=CURATORS)[0])
    kinds["curator"].curated_departments.add(library)
    return kinds


class TestEvery403:
    def test_names_what_is_required_and_what_there_is(
        self, people: dict[str, User], document: MakeDocument, finance: Department
    ) -> None:
        made = document("Minutes", department=finance, clearance=3, audience="department")
        unknown = "00000000-0000-4000-8000-000000000000"
        clients = {"anonymous": Client()}
        for kind, user in people.items():
            clients[kind] = Client()
            clients[kind].force_login(user)
        for kind in ("student", "admin"):
            clients[f"{kind} without a CSRF token"] = Client(enforce_csrf_checks=True)
            clients[f"{kind} without a CSRF token"].force_login(people[kind])
            bearer = f"Bearer {AccessToken.for_user(people[kind])}"
            clients[f"{kind} with a token"] = Client(headers={"Authorization": bearer})
        refused: set[tuple[str, str]] = set()
        for (who, client), address, method in itertools.product(clients.items(), addresses(), METHODS):
            for pk in (str(made.pk), unknown) if "<uuid:pk>" in address else ("",):
                answer = getattr(client, method)(address.replace("<uuid:pk>", pk))
                assert answer.status_code < 500, (who, method, address)
                if answer.status_code != 403:
                    continue
                refused.add((who, method))
                assert answer["Content-Type"] == "application/problem+json"
                assert {"required", "current"} <= set(answer.json()), (who, method, address)
        assert {who for who, _ in refused} >= {"student", "staff", "academic", "student with a token"}
        assert ("admin without a CSRF token", "post") in refused
        assert not {who for who, _ in refused} & {"anonymous", "admin", "librarian", "curator", "admin with a token"}

    def test_the_same_whether_the_document_exists_or_not(
        self, people: dict[str, User], document: MakeDocument, library: Department
    ) -> None:
        hidden = document("Minutes", department=library, clearance=4, audience="department")
        client = Client(headers={"X-Request-ID": "the-same-id"})
        client.force_login(people["student"])
        for method in ("patch", "delete"):
            there, nowhere = (
                getattr(client, method)(f"{DOCUMENTS}{pk}/")
                for pk in (hidden.pk, "00000000-0000-4000-8000-000000000000")
            )
            assert there.status_code == nowhere.status_code == 403
            assert there.content == nowhere.content
            assert dict(there.headers) == dict(nowhere.headers)


CASES = [
    # role, belongs to a department, what may be set at most
    ("student", True, 2),
    ("staff", True, 3),
    ("academic", True, 4),
    ("admin", False, 4),
]


def curator(person: MakePerson, library: Department, role: str, belongs: bool, group: str) -> User:
    user = person(role, departments=(library,) if belongs else ())
    if role != "admin":
        user.groups.add(Group.objects.get_or_create(name=group)[0])
        user.curated_departments.set([library] if group == CURATORS else [])
    return User.objects.get(pk=user.pk)


@pytest.mark.parametrize("group", [LIBRARIANS, CURATORS])
@pytest.mark.parametrize(("role", "belongs", "most"), CASES)
class TestNobodySetsMoreThanTheirOwn:
    """At each of the doors by which a clearance is set."""

    def test_by_upload_to_the_api(
        self, person: MakePerson, library: Department, role: str, belongs: bool, most: int, group: str
    ) -> None:
        client = Client()
        client.force_login(curator(person, library, role, belongs, group))
        for clearance in range(1, 5):
            file = SimpleUploadedFile("a.md", f"# Number {clearance}\n\nText.".encode())
            fields = {"file": file, "department": "Library", "doc_type": "guide", "clearance": clearance}
            answer = client.post(DOCUMENTS, fields)
            if clearance <= most:
                assert answer.status_code == 202, answer.content
                assert answer.json()["clearance"] == clearance
            else:
                assert answer.status_code == 403
                assert (answer.json()["required"], answer.json()["current"]) == (clearance, most)
        assert Document.objects.count() == most

    def test_by_change_through_the_api(
        self, person: MakePerson, library: Department, document: MakeDocument, role: str, belongs: bool, most: int,
        group: str,
    ) -> None:  # fmt: skip
        user = curator(person, library, role, belongs, group)
        client = Client()
        client.force_login(user)
        for owner in (None, user):
            made = document(f"Of {owner}", department=library, clearance=1, owner=owner)
            for clearance in (*range(1, 5), 0, 5, -1):
                address = f"{DOCUMENTS}{made.pk}/"
                answer = client.patch(address, {"clearance": clearance}, content_type="application/json")
                made.refresh_from_db()
                if 1 <= clearance <= most:
                    assert (answer.status_code, made.clearance) == (200, clearance)
                elif clearance in range(5):
                    assert answer.status_code == (403 if clearance else 400)
                    assert made.clearance <= most
                else:
                    assert answer.status_code == 400
                    assert made.clearance <= most

    def test_by_upload_in_the_admin_site(
        self, person: MakePerson, library: Department, role: str, belongs: bool, most: int, group: str
    ) -> None:
        client = Client()
        client.force_login(curator(person, library, role, belongs, group))
        guide = DocumentType.objects.get(slug="guide")
        for clearance in range(1, 5):
            before = Document.objects.count()
            file = SimpleUploadedFile("a.md", f"# Number {clearance}\n\nText.".encode())
            fields = {
                "originals": [file], "department": library.pk, "doc_type": guide.pk, "clearance": clearance,
                "audience": "department", "priority": 3,
            }  # fmt: skip
            client.post("/admin/ingestion/document/upload/", fields)
            assert Document.objects.count() - before == (clearance <= most)
        assert not Document.objects.filter(clearance__gt=most).exists()

    def test_by_change_in_the_admin_site(
        self, person: MakePerson, library: Department, document: MakeDocument, role: str, belongs: bool, most: int,
        group: str,
    ) -> None:  # fmt: skip
        user = curator(person, library, role, belongs, group)
        client = Client()
        client.force_login(user)
        made = document("Loans", department=library, clearance=1, owner=user)
        for clearance in range(1, 6):
            fields = {
                "title": "Loans", "doc_type": made.doc_type_id, "language": "", "campus": "", "priority": 3, "tags": "",
                "last_reviewed": "", "department": library.pk, "clearance": clearance, "audience": "institution",
                "visible_from": "", "visible_until": "",
            }  # fmt: skip
            post_confirmed(client, f"/admin/ingestion/document/{made.pk}/change/", fields)
            made.refresh_from_db()
            assert made.clearance == min(clearance, most)

    def test_by_registering_a_file_however_it_came(
        self, person: MakePerson, library: Department, role: str, belongs: bool, most: int, group: str
    ) -> None:
        user = curator(person, library, role, belongs, group)
        guide = DocumentType.objects.get(slug="guide")
        for clearance in (None, *range(1, 5)):
            file = SimpleUploadedFile("a.md", f"# Number {clearance}\n\nText.".encode())
            metadata = pipeline.DocumentMetadata(department=library, doc_type=guide, clearance=clearance)
            if clearance is None or clearance <= most:
                made = pipeline.register_upload(file, file_name="a.md", uploader=user, metadata=metadata)
                assert made.clearance == (clearance or most)
            else:
                with pytest.raises(pipeline.UploadRejected, match="above your own"):
                    pipeline.register_upload(file, file_name="a.md", uploader=user, metadata=metadata)


def test_without_a_department_nobody_sets_what_needs_one(person: MakePerson, library: Department) -> None:
    user = curator(person, library, "academic", False, LIBRARIANS)
    assert viewer_for(user).effective_clearance == 2
    client = Client()
    client.force_login(user)
    digest = hashlib.sha256(b"x").hexdigest()
    mine = Document.objects.create(
        title="Mine", file_name="a.md", file_size=1, sha256=digest, department=library, owner=user, clearance=1,
        doc_type=DocumentType.objects.get(slug="guide"),
    )  # fmt: skip
    answer = client.patch(f"{DOCUMENTS}{mine.pk}/", {"clearance": 3}, content_type="application/json")
    assert answer.status_code == 403
    assert (answer.json()["required"], answer.json()["current"]) == (3, 2)
