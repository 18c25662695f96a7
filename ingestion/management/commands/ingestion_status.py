"""`ingestion_status [--json]`: how many documents are in which state."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from ingestion import progress


class Command(BaseCommand):
    help = "How many documents are in which state, and how many chunks wait for their vector."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        found = progress.counts() | {"waiting_chunks": progress.waiting_chunks()}
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for name, count in found.items():
            self.stdout.write(f"{name.replace('_', ' '):16}{count:>8}")
