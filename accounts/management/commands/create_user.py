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
from django.db.models import Manager

from accounts.clearance import CURATORS, LIBRARIANS, Role
from accounts.models import Campus, Department, User


class Command(BaseCommand):
    help = "Make a person who can sign in. Without --password one is asked for, or made and shown."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--department", action="append", default=[], help="May be given several times.")
        parser.add_argument("--campus")
        parser.add_argument("--librarian", action="store_true", help="May upload and curate.")
        parser.add_argument(
            "--curates",
            action="append",
            default=[],
            metavar="DEPARTMENT",
            help="May upload and curate for this department of theirs only. May be given several times.",
        )
        parser.add_argument("--service", action="store_true", help="Another system: API keys instead of a password.")
        parser.add_argument("--password", help="Better left out: other people of this machine may see it.")

    def handle(self, *args: Any, **options: Any) -> None:
        departments = [self._known(Department.objects, name) for name in options["department"]]
        curated = [self._known(Department.objects, name) for name in options["curates"]]
        if strange := [one.name for one in curated if one not in departments]:
            raise CommandError(f"Curators belong to what they curate. Add --department {strange[0]!r}.")
        campus = self._known(Campus.objects, options["campus"]) if options["campus"] else None
        if User.objects.filter(username=options["name"]).exists():
            raise CommandError(f"There is a user {options['name']!r} already. Choose another name.")
        service = options["service"]
        if service and options["password"]:
            raise CommandError("A service account has no password. Leave one of --service and --password out.")
        user = User(username=options["name"], role=options["role"], campus=campus, is_service=service)
        password, shown = options["password"], False
        if not service and not password and sys.stdin.isatty():
            password = getpass.getpass("Password (empty: one is made): ")
        if not service and not password:
            password, shown = secrets.token_urlsafe(12), True
        try:
            user.full_clean(exclude=["password"])
            if not service:
                validate_password(password, user)
        except ValidationError as error:
            raise CommandError(f"Nobody was created. {' '.join(error.messages)}") from None
        user.set_password(None if service else password)
        with transaction.atomic():
            user.save()
            user.departments.set(departments)
            if options["librarian"]:
                user.groups.add(Group.objects.get_or_create(name=LIBRARIANS)[0])
            if curated:
                user.curated_departments.set(curated)
                user.groups.add(Group.objects.get_or_create(name=CURATORS)[0])
        self.stdout.write(f"Created {user.username} ({user.role})." + (f" Password: {password}" if shown else ""))

    @staticmethod
    def _known(rows: Manager[Any], name: str) -> Any:
        found = rows.filter(name=name).first()
        if found is None:
            names = ", ".join(rows.values_list("name", flat=True)) or "none yet; the admin site makes them"
            raise CommandError(f"There is no {rows.model._meta.verbose_name} {name!r}. Known: {names}.")
        return found
