"""`export_person NAME`: everything that is kept about a person, as JSON, for their right of access."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.audit import note
from accounts.clearance import OPERATOR
from accounts.models import User
from search.personal import personal_data


class Command(BaseCommand):
    help = "Write everything that is kept about a person as JSON. Documents are named even where they may not see them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(username=options["name"]).first()
        if person is None:
            raise CommandError(f"There is no user {options['name']!r}.")
        note("data_exported", actor=None, subject=person.username)
        self.stdout.write(json.dumps(personal_data(person, viewer=OPERATOR), ensure_ascii=False, indent=2))
