"""`check_readiness`: is this installation fit to be opened to people."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal import readiness


class Command(BaseCommand):
    help = "Check everything that the portal needs. Exit status 1 when something that it cannot do without is missing."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = readiness.findings()
        ready = all(one.ok for one in findings if one.needed)
        if options["json"]:
            self.stdout.write(json.dumps({"ready": ready, "findings": [asdict(one) for one in findings]}))
        else:
            for one in findings:
                mark = "ok" if one.ok else "MISSING" if one.needed else "note"
                self.stdout.write(f"{mark:8}{one.name:20}{one.detail}")
        if not ready:
            raise CommandError("Not ready: see what is missing above.")
