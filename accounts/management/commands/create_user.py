"""`create_user NAME --role ROLE`: make a person who can sign in."""

from __future__ import annotations

import getpass
import secrets
import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.clearance import LIBRARIANS, Role
from accounts.models import Campus, Department, User


class Command(BaseCommand):
    help = "Make a person who can sign in. Without --password one is asked for, or made and shown."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--department", action="append", default=[], help="May be given several times.")
        parser.add_argument("--campus")
        parser.add_argument("--librarian", action="store_true", help="May upload and curate.")
        parser.add_argument("--password", help="Better left out: other people of this machine may see it.")

    def handle(self, *args: Any, **options: Any) -> None:
        departments = [self._known(Department, name) for name in options["department"]]
        campus = self._known(Campus, options["campus"]) if options["campus"] else None
        if User.objects.filter(username=options["name"]).exists():
            raise CommandError(f"There is a user {options['name']!r} already. Choose another name.")
        user = User(username=options["name"], role=options["role"], campus=campus)
        password, shown = options["password"], False
        if not password and sys.stdin.isatty():
            password = getpass.getpass("Password (empty: one is made): ")
        if not password:
            password, shown = secrets.token_urlsafe(12), True
        try:
            user.full_clean(exclude=["password"])
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(f"Nobody was created. {' '.join(error.messages)}") from None
        user.set_password(password)
        with transaction.atomic():
            user.save()
            user.departments.set(departments)
            if options["librarian"]:
                user.groups.add(Group.objects.get_or_create(name=LIBRARIANS)[0])
        self.stdout.write(f"Created {user.username} ({user.role})." + (f" Password: {password}" if shown else ""))

    @staticmethod
    def _known(model: type[Department] | type[Campus], name: str) -> Any:
        found = model.objects.filter(name=name).first()
        if found is None:
            names = ", ".join(model.objects.values_list("name", flat=True)) or "none yet; the admin site makes them"
            raise CommandError(f"There is no {model._meta.verbose_name} {name!r}. Known: {names}.")
        return found
