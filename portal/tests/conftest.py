"""Shared fixtures: people, places and documents, made the way the portal makes them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.clearance import LIBRARIANS
from accounts.models import Campus, Department, User
from ingestion.models import Document, DocumentType, Tag

MakeDocument = Callable[..., Document]
MakePerson = Callable[..., User]


@pytest.fixture
def person(db: None) -> MakePerson:
    """Makes a person: `person("staff", departments=[finance])`."""
    number = itertools.count()

    def make(role: str, *, departments: tuple[Department, ...] = (), campus: Campus | None = None, **more: Any) -> User:
        user = User.objects.create_user(f"{role}{next(number)}", password="correct-horse-battery", role=role, **more)
        user.departments.set(departments)
        user.campus = campus
        user.save()
        return user

    return make


@pytest.fixture
def document(db: None) -> MakeDocument:
    """Makes a served document without a file behind it: `document("Title", department=finance, clearance=2)`."""

    def make(title: str, *, department: Department, shared_with: tuple[Department, ...] = (), **more: Any) -> Document:
        fields = {
            "title": title,
            "file_name": f"{title}.txt",
            "file_size": 1,
            "sha256": hashlib.sha256(title.encode()).hexdigest(),
            "department": department,
            "doc_type": DocumentType.objects.get(slug="guide"),
            "clearance": 1,
            "audience": "institution",
            "status": "ready",
            "is_searchable": True,
        } | more
        made = Document.objects.create(**fields)
        made.shared_with.set(shared_with)
        return made

    return make


@pytest.fixture
def finance(db: None) -> Department:
    return Department.objects.create(name="Finance")


@pytest.fixture
def library(db: None) -> Department:
    return Department.objects.create(name="Library")


@pytest.fixture
def unhurried(settings: Settings, tmp_path: Path) -> None:
    """No limits of requests, and originals in a folder of the test."""
    settings.THROTTLE_FACTOR = 0
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": storage}


@pytest.fixture
def paper(document: MakeDocument, library: Department) -> Document:
    """A restricted document with an original, and one row of everything else that the admin shows."""
    Campus.objects.create(name="Main")
    Tag.objects.create(name="sport")
    made = document("Paper", department=library, clearance=3)
    made.file.save("original", ContentFile(b"<script>alert(1)</script>"))
    return made


@pytest.fixture
def librarian(person: MakePerson, library: Department) -> User:
    """A librarian of the Library, staff."""
    made = person("staff", departments=(library,))
    made.groups.add(Group.objects.get_or_create(name=LIBRARIANS)[0])
    return made


@pytest.fixture
def people(person: MakePerson, librarian: User) -> dict[str, User | None]:
    return {"nobody": None, "student": person("student"), "librarian": librarian, "admin": person("admin")}


def as_person(user: User | None, **more: Any) -> Client:
    client = Client(raise_request_exception=False, **more)
    if user:
        client.force_login(user)
    return client
