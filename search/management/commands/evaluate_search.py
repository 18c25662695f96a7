"""`evaluate_search DIR`: how good the search is on a judged set."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ingestion.embeddings import EmbeddingUnavailable
from search import evaluation
from search.query import Mode


class Command(BaseCommand):
    help = "Measure the search on a judged set (corpus.jsonl, queries.jsonl, qrels.tsv). The corpus is left as it was."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")
        parser.add_argument("--mode", choices=[mode.value for mode in Mode], default=Mode.HYBRID.value)
        parser.add_argument("--query-language", default="", help="Only queries in this language.")
        parser.add_argument("--document-language", default="", help="Only documents in this language.")
        parser.add_argument("--qrels", default="qrels.tsv", help="Name of the file with the judgements.")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            judged = evaluation.read_set(
                options["folder"],
                qrels=options["qrels"],
                query_language=options["query_language"],
                document_language=options["document_language"],
            )
        except evaluation.InvalidSet as error:
            raise CommandError(str(error)) from None
        try:
            found = evaluation.evaluate(judged, mode=Mode(options["mode"]))
        except EmbeddingUnavailable as error:
            raise CommandError(f"{error} Start an embedding node, and try again.") from None
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for name, value in found.items():
            self.stdout.write(f"{name:12}{value:>10}")
