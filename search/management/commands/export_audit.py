"""`export_audit`: the audit trail of searches as JSON lines."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from search import audit


class Command(BaseCommand):
    help = "Write the audit trail of searches to standard output, one JSON object a line, oldest first."

    def handle(self, *args: Any, **options: Any) -> None:
        for event in audit.export():
            self.stdout.write(json.dumps(event))
