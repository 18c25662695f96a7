"""`reembed`: change the embedding model while people search."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ingestion import reembedding, vectorspace
from ingestion.embeddings import EmbeddingUnavailable, full_name
from ingestion.models import SpaceState
from ingestion.reembedding import Standing
from ingestion.runs import Superseded

STEPS = ("status", "switch", "roll_back", "clean_up", "cancel")
REPORT_SECONDS = 2.0


class Command(BaseCommand):
    help = (
        "Embed the corpus with another model beside the one in use, check it, and switch to it. Searches go on with "
        "the old one until then. It can be rolled back until it is cleaned up."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model", help="the new model, as the nodes call it (default: EMBEDDING_MODEL)")
        parser.add_argument(
            "--wait",
            action="store_true",
            help="do it here and show how far it is; else the workers do it",
        )
        parser.add_argument("--hold", action="store_true", help="do not switch: wait for reembed --switch")
        steps = parser.add_mutually_exclusive_group()
        steps.add_argument("--status", action="store_true", help="how it stands")
        steps.add_argument("--switch", action="store_true", help="use the new model, which is complete and checked")
        steps.add_argument("--roll-back", action="store_true", help="use the old model again")
        steps.add_argument("--clean-up", action="store_true", help="do away with the old model's vectors")
        steps.add_argument("--cancel", action="store_true", help="give the new model up")
        parser.add_argument("--json", action="store_true", help="with --status: as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        step = next((step for step in STEPS if options[step]), "")
        if options["json"] and step != "status":
            raise CommandError("--json goes with --status.")
        if step and (options["model"] or options["wait"] or options["hold"]):
            raise CommandError(f"--{step.replace('_', '-')} goes with no other option.")
        try:
            if step == "status":
                self._show(as_json=options["json"])
            elif step:
                self.stdout.write(self._step(step))
            else:
                self._begin(options["model"] or settings.EMBEDDING_MODEL, wait=options["wait"], hold=options["hold"])
        except vectorspace.Refused as refusal:
            raise CommandError(str(refusal)) from None
        except EmbeddingUnavailable as error:
            raise CommandError(f"The nodes do not serve it: {error}") from None

    def _step(self, step: str) -> str:
        if step == "switch":
            reembedding.switch()
            return f"{vectorspace.live().model} is in use. Back: reembed --roll-back. For good: reembed --clean-up."
        if step == "roll_back":
            reembedding.roll_back()
            return f"{vectorspace.live().model} is in use again. Forward again: reembed --roll-back."
        done = reembedding.clean_up() if step == "clean_up" else reembedding.cancel()
        return f"The vectors of {done} are gone."

    def _begin(self, model: str, *, wait: bool, hold: bool) -> None:
        other = vectorspace.second()
        goes_on = wait and other and other.state != SpaceState.KEPT and full_name(other.model) == full_name(model)
        if not goes_on:
            space = reembedding.begin(model, held=hold, in_background=not wait)
            self.stdout.write(f"The corpus is being embedded with {space}; {vectorspace.live().model} stays in use.")
        if not wait:
            self.stdout.write("The workers do it. How it stands: reembed --status")
            return
        self._shown_at = 0.0
        try:
            reembedding.go_on(report=self._report)
        except Superseded:
            raise CommandError("A worker has taken it over. How it stands: reembed --status") from None
        except KeyboardInterrupt:
            raise CommandError("Stopped waiting. The workers go on with it; to give it up: reembed --cancel") from None
        self._show(as_json=False)
        if problem := reembedding.standing().problem:
            raise CommandError(problem)

    def _report(self) -> None:
        if time.monotonic() - self._shown_at >= REPORT_SECONDS:
            self._shown_at = time.monotonic()
            self.stdout.write(_progress(reembedding.standing()))

    def _show(self, *, as_json: bool) -> None:
        standing = reembedding.standing()
        if as_json:
            self.stdout.write(json.dumps(asdict(standing)))
            return
        self.stdout.write(f"In use: {standing.live}")
        if not standing.second:
            self.stdout.write("There is no second space.")
            return
        self.stdout.write(f"Second: {standing.second}, {SpaceState(standing.state).label}")
        self.stdout.write(_progress(standing))
        if standing.recall is not None:
            self.stdout.write(f"Recall of its index: {standing.recall:.3f} (limit {reembedding.RECALL_LIMIT})")
        if standing.held and standing.state in (SpaceState.FILLING, SpaceState.CHECKED):
            self.stdout.write("It waits for reembed --switch when it is checked.")
        if standing.problem:
            self.stdout.write(f"It does not go on: {standing.problem}")


def _progress(standing: Standing) -> str:
    """One line: how many chunks have their vectors, and how long the others take."""
    line = f"{standing.filled:,} of {standing.chunks:,} chunks have their vector"
    if standing.refused:
        line += f", {standing.refused:,} cannot be embedded"
    if standing.missing and standing.seconds_left is not None:
        minutes, seconds = divmod(standing.seconds_left, 60)
        line += f"; about {minutes} min {seconds:02} s left"
    return line
