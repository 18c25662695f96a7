"""`warm_cache`: what is asked most, ready before it is asked."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ingestion.embeddings import EmbeddingUnavailable
from search import warming


class Command(BaseCommand):
    help = "Put the query vectors of the most frequent searches, and answers for the commonest viewers, into the cache."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queries", type=int, default=200, help="How many query vectors (200).")
        parser.add_argument(
            "--answers", type=int, default=settings.WARM_ANSWERS, help="How many queries' answers (%(default)s)."
        )
        parser.add_argument(
            "--viewers", type=int, default=settings.WARM_VIEWERS, help="For how many kinds of people (%(default)s)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            warmed = warming.warm(vectors=options["queries"], answers=options["answers"], viewers=options["viewers"])
        except EmbeddingUnavailable as error:
            raise CommandError(f"{error} Start an embedding node, and try again.") from None
        self.stdout.write(f"{warmed.vectors} query vectors and {warmed.answers} answers are in the cache.")
