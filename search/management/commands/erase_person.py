"""`erase_person NAME`: take away what a person saved, asked and said, for their right to erasure."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.audit import erase_readings
from accounts.closing import close_account
from accounts.models import User
from search import audit
from search.personal import erase


class Command(BaseCommand):
    help = "Erase what a person saved, asked, said and prefers. The account and the audit trail stay unless named."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--trail", action="store_true", help="Also their searches and what they read, out of the audit trail."
        )
        parser.add_argument("--close", action="store_true", help="Also names, address and rights; ends the account.")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(username=options["name"]).first()
        if person is None:
            raise CommandError(f"There is no user {options['name']!r}.")
        counts = erase(person, actor=None)
        if options["trail"]:
            counts |= {"searches of the trail": audit.erase(person), "readings of the trail": erase_readings(person)}
        for name, number in counts.items():
            self.stdout.write(f"{name.replace('_', ' ')}: {number}")
        if options["close"]:
            self.stdout.write(f"The account is closed, and is called {close_account(person)} now.")
