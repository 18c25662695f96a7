"""`reembed`: embed the whole corpus anew with the configured model."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ingestion import pipeline
from ingestion.embeddings import EmbeddingUnavailable, client_from_settings


class Command(BaseCommand):
    help = "Drop all vectors and embed the corpus anew with EMBEDDING_MODEL. It stays searchable by words meanwhile."

    # The check that the stored vectors are of the configured model is what this command mends.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            model = client_from_settings().describe()
        except EmbeddingUnavailable as error:
            raise CommandError(f"Nothing was changed: {error}") from None
        if model.dimensions != settings.EMBEDDING_DIMENSIONS:
            raise CommandError(
                f"Nothing was changed: {model.name} gives {model.dimensions} dimensions, "
                f"but EMBEDDING_DIMENSIONS is {settings.EMBEDDING_DIMENSIONS}. Set it to {model.dimensions}."
            )
        self.stdout.write(f"{pipeline.reembed()} documents are queued to be embedded with {model.name}.")
