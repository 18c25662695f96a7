"""What `migrate` and `check --database default` look at: whether the settings name the model that is in use.

Web servers and workers say the same in their log when they start (`vectorspace.prepare_process`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004  (Django's name for it)

from ingestion.vectorspace import difference


@register(Tags.database)
def settings_name_the_live_model(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The settings name the model that the corpus is embedded with (run with `check --database default`)."""
    if not databases:
        return []
    problem = difference()
    return [Warning(problem, hint="Run: ./cloister manage reembed --status", id="ingestion.W001")] if problem else []
