"""What `migrate` and `check --database default` look at: the configured embedding model must be the one that the
stored vectors are of. Web servers and workers ask the same when they start (`vectorspace.require_at_start`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from ingestion.vectorspace import mismatch


@register(Tags.database)
def vector_space_matches(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The vectors in the database are of the configured model and dimension (run with `check --database default`)."""
    if not databases:
        return []
    problem = mismatch(settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS)
    return [Error(problem, hint="Run: ./cloister manage reembed", id="ingestion.E001")] if problem else []
