"""`export_audit`: the audit trail as JSON lines, and the proof that it is whole."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import is_naive, make_aware

from accounts import anchors, chain
from accounts.audit import note
from search import audit

FOLLOWED_SECONDS = 2.0
"""How often `--follow` looks for what is new."""


class Command(BaseCommand):
    help = (
        "Write the audit trail to standard output, one JSON object a line, in the order of its chains; or, with "
        "--verify, follow the chains and say what is broken first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kind", choices=chain.CHAINS, help="Only this chain; otherwise both.")
        parser.add_argument("--since", help="Only events from this date or moment on, as in 2026-11-24T09:00.")
        parser.add_argument(
            "--after", type=int, default=0, metavar="POSITION", help="Only behind this position, with --kind."
        )
        parser.add_argument("--follow", action="store_true", help="Stay, and write what comes.")
        parser.add_argument("--verify", action="store_true", help="Write no events: exit 1 where a chain is broken.")
        parser.add_argument(
            "--anchor", type=Path, metavar="FILE", help="With --verify: signed ends that were kept elsewhere."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        kinds = (options["kind"],) if options["kind"] else chain.CHAINS
        if options["verify"]:
            self._verify(kinds, options["anchor"])
            return
        if options["after"] and not options["kind"]:
            raise CommandError("--after is a position of one chain: say which with --kind.")
        since = _moment(options["since"])
        note("audit_exported", actor=None, subject=" ".join(kinds), by="command line", since=options["since"] or "")
        after = dict.fromkeys(kinds, options["after"])
        while True:
            chain.seal()
            for kind in kinds:
                for line in audit.export(kind, after[kind]):
                    after[kind] = line["position"]
                    if since is None or "at" not in line or datetime.fromisoformat(line["at"]) >= since:
                        self.stdout.write(json.dumps(line))
            if not options["follow"]:
                return
            self.stdout.flush()
            time.sleep(FOLLOWED_SECONDS)

    def _verify(self, kinds: tuple[str, ...], kept: Path | None) -> None:
        proofs = [chain.verify(kind) for kind in kinds]
        for proof in proofs:
            self.stdout.write(str(proof))
        wrong: list[str] = []
        if kept is not None:
            try:
                with kept.open(encoding="utf-8") as lines:
                    wrong = anchors.contradictions(lines)
            except OSError as error:
                raise CommandError(f"{kept} cannot be read: {error.strerror}.") from error
            self.stdout.write("\n".join(f"anchor {one}" for one in wrong) or "anchors: nothing contradicts them.")
        if wrong or not all(proof.intact for proof in proofs):
            raise CommandError("The audit trail is not as it was written.")


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = parse_datetime(text)
        if moment is None and (day := parse_date(text)):
            moment = datetime(day.year, day.month, day.day)  # noqa: DTZ001  (made aware below)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(f"{text} is no date: write it as 2026-11-24 or 2026-11-24T09:00.")
    return make_aware(moment) if is_naive(moment) else moment
