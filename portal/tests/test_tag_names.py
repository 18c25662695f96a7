"""Tags by machine: they come with documents, and no answer tells whether somebody else's document bears one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.clearance import LIBRARIANS
from accounts.models import Department
from ingestion.models import Document, Tag
from portal.tests.conftest import MakeDocument, MakePerson

pytestmark = pytest.mark.django_db

DOCUMENTS = "/api/v1/documents/"


@pytest.fixture(autouse=True)
def originals(settings: Settings, tmp_path: Path) -> None:
    default = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": default}


@pytest.fixture
def desk(person: MakePerson, library: Department) -> APIClient:
    """A librarian of the Library."""
    user = person("staff", departments=(library,))
    user.groups.add(Group.objects.get(name=LIBRARIANS))
    client = APIClient()
    client.force_authenticate(type(user).objects.get(pk=user.pk))
    return client


@pytest.fixture
def hidden(document: MakeDocument, finance: Department) -> Document:
    """Another department's own document, which bears `redundancy`."""
    made = document("Plan", department=finance, audience="department", clearance=3)
    made.tags.add(Tag.objects.create(name="redundancy"))
    return made


def shape(answer: Any, name: str) -> tuple[int, str]:
    """Status and body of an answer, without what differs from request to request, and without this name."""
    body = re.sub(r'"(id|request_id|url|sha256|created_at|updated_at)":"[^"]*"', r'"\1"', answer.content.decode())
    return answer.status_code, body.replace(name, "NAME")


def test_an_upload_brings_its_tags_along(desk: APIClient) -> None:
    file = SimpleUploadedFile("new.txt", b"New.")
    body = desk.post(
        DOCUMENTS, {"file": file, "department": "Library", "doc_type": "guide", "tags": ["loans", " late  fees "]}
    )
    assert body.status_code == 202
    assert body.json()["tags"] == ["late fees", "loans"]


def test_a_refused_upload_leaves_none(desk: APIClient) -> None:
    file = SimpleUploadedFile("empty.txt", b"")
    assert (
        desk.post(
            DOCUMENTS, {"file": file, "department": "Library", "doc_type": "guide", "tags": ["loans"]}
        ).status_code
        == 400
    )
    assert not Tag.objects.exists()


@pytest.mark.parametrize("typed", ["{}", "{} ", "{}!"])
def test_hidden_and_unknown_names_are_answered_alike(
    typed: str, desk: APIClient, hidden: Document, document: MakeDocument, library: Department
) -> None:
    answers = []
    for name in ("redundancy", "undreamt-of"):
        mine = document("Mine", department=library)
        given = desk.patch(f"{DOCUMENTS}{mine.pk}/", {"tags": [typed.format(name)]}, format="json")
        assert given.status_code == 200
        shown = desk.get(f"{DOCUMENTS}{mine.pk}/")
        answers.append((shape(given, name), shape(shown, name)))
        mine.delete()
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", ["redundancy", "Redundancy", "undreamt-of"])
def test_the_search_for_a_tag_finds_the_same_nothing(name: str, desk: APIClient, hidden: Document) -> None:
    answer = desk.get("/api/v1/search/", {"q": "plan", "mode": "keyword", "tag": name}).json()
    assert (answer["count"], answer["results"], answer["facets"]["department"]) == (0, [], [])


def test_a_change_of_other_things_leaves_the_tags(desk: APIClient, document: MakeDocument, library: Department) -> None:
    mine = document("Mine", department=library)
    desk.patch(f"{DOCUMENTS}{mine.pk}/", {"tags": ["loans"]}, format="json")
    assert desk.patch(f"{DOCUMENTS}{mine.pk}/", {"priority": 5}, format="json").json()["tags"] == ["loans"]
    assert desk.patch(f"{DOCUMENTS}{mine.pk}/", {"tags": []}, format="json").json()["tags"] == []
