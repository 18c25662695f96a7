"""`warm_cache`: the vectors of what is asked most, ready before it is asked."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ingestion.embeddings import EmbeddingUnavailable
from search import audit
from search.vectors import query_vector


class Command(BaseCommand):
    help = "Put the query vectors of the most frequent searches into the cache."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queries", type=int, default=200, help="How many of them (200).")

    def handle(self, *args: Any, **options: Any) -> None:
        queries = audit.most_frequent(options["queries"])
        try:
            for query in queries:
                query_vector(query)
        except EmbeddingUnavailable as error:
            raise CommandError(f"{error} Start an embedding node, and try again.") from None
        self.stdout.write(f"{len(queries)} query vectors are in the cache.")
