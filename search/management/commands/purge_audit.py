"""`purge_audit`: take out of the audit trail what is older than it may be."""

from typing import Any

from django.core.management.base import BaseCommand

from search import audit


class Command(BaseCommand):
    help = (
        "Delete searches older than AUDIT_RETENTION_DAYS and acts older than AUDIT_ACTS_RETENTION_DAYS from the audit "
        "trail, and leave proof of what went (beat does it daily)."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        gone = audit.purge()
        self.stdout.write(f"{gone['searches']} searches and {gone['acts']} acts deleted.")
