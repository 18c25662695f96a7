"""`reconcile`: queue again what was lost, and mend what does not fit."""

from typing import Any

from django.core.management.base import BaseCommand

from ingestion import pipeline


class Command(BaseCommand):
    help = (
        "Queue again documents whose run died, whose message was lost, or that waited for an embedding node, and mend "
        "those whose chunks do not fit them."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        queued, mended = pipeline.reconcile(), pipeline.mend()
        self.stdout.write(f"{queued} documents queued again, {mended} mended.")
