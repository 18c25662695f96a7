"""`reconcile`: queue again what was lost."""

from typing import Any

from django.core.management.base import BaseCommand

from ingestion import pipeline


class Command(BaseCommand):
    help = "Queue again documents whose run died, whose message was lost, or that waited for an embedding node."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{pipeline.reconcile()} documents queued again.")
