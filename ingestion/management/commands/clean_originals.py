"""`clean_originals [--dry-run]`: delete stored files that nothing refers to."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ingestion import retention
from ingestion.storage import StorageAway


class Command(BaseCommand):
    help = "Delete stored files older than a day that no document and no earlier version refers to."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Name them, and delete nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = retention.clean(dry_run=options["dry_run"])
        except StorageAway as error:
            raise CommandError(f"{error}. Is MEDIA_ROOT mounted, or the bucket reachable?") from None
        for stored in found.removed:
            self.stdout.write(stored.name)
        size = sum(stored.size for stored in found.removed) / 1_000_000
        self.stdout.write(
            f"{len(found.removed)} of {found.looked_at} stored files {'would be' if options['dry_run'] else 'were'} "
            f"deleted ({size:.1f} MB); {found.too_young} are too young to tell."
        )
