"""People whom the tests of accounts share."""

from __future__ import annotations

import pytest

from accounts.models import Department, User


@pytest.fixture
def library(db: None) -> Department:
    return Department.objects.create(name="Library")


@pytest.fixture
def robot(library: Department) -> User:
    user = User.objects.create_user("robot", role="staff", is_service=True)
    user.departments.add(library)
    return user


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_user("root", password="correct-horse-battery", role="admin")
