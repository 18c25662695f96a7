"""`purge_audit`: delete searches that are older than they may be."""

from typing import Any

from django.core.management.base import BaseCommand

from search import audit


class Command(BaseCommand):
    help = "Delete searches from the audit trail that are older than AUDIT_RETENTION_DAYS (beat does it daily)."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{audit.purge()} searches deleted.")
