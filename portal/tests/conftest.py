"""Shared fixtures: people, places and documents, made the way the portal makes them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Campus, Department, User
from ingestion.models import Document, DocumentType

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
