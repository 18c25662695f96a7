"""People whom tests make, and their browsers."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.test import Client

from accounts.clearance import LIBRARIANS
from accounts.models import Department, User


def person(name: str, role: str, *departments: Department, librarian: bool = False) -> User:
    user = User.objects.create_user(name, role=role)
    user.departments.set(departments)
    if librarian:
        user.groups.add(Group.objects.get(name=LIBRARIANS))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client
