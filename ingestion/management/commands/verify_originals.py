"""`verify_originals [--all] [--json]`: compare stored originals with their checksums."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ingestion import retention
from ingestion.storage import StorageAway


class Command(BaseCommand):
    help = "Compare stored originals with their checksums, the longest unchecked first, and flag bad ones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--all",
            action="store_true",
            help="All there are, with earlier versions; else as much as beat does at once.",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = retention.verify(most_bytes=None if options["all"] else settings.VERIFY_BYTES_AT_ONCE)
        except StorageAway as error:
            raise CommandError(
                f"Nothing was flagged: {error}. Is MEDIA_ROOT mounted, or the bucket reachable?"
            ) from None
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found)))
        else:
            self.stdout.write(f"{found.files} originals compared ({found.bytes / 1_000_000:.0f} MB).")
            for what, names in (("damaged", found.damaged), ("missing", found.missing)):
                for name in names:
                    self.stderr.write(f"{what}: {name}")
        if found.damaged or found.missing:
            raise CommandError(
                f"{len(found.damaged)} damaged, {len(found.missing)} missing. Bring them back from the backup, and "
                "retry their documents."
            )
