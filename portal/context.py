"""What every page knows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def portal(request: HttpRequest) -> dict[str, Any]:
    """The languages, each by its own name, and the demo's sign-ins, in demo mode only."""
    return {"languages": settings.LANGUAGES, "demo_password": settings.DEMO_PASSWORD if settings.DEMO_MODE else ""}
