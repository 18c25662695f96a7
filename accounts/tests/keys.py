"""API keys that are made and sent as programs send them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from accounts.api_keys import issue
from accounts.models import ApiKey, User


def make(user: User, *scopes: str, days: float = 30) -> tuple[ApiKey, str]:
    ends = timezone.now() + timedelta(days=days)
    return issue(user, name="VLE", scopes=list(scopes or ("read",)), expires_at=ends, created_by=None)


def send(text: str, path: str = "/api/v1/me/", method: str = "get", scheme: str = "Api-Key", **more: Any) -> Any:
    return getattr(Client(), method)(path, headers={"Authorization": f"{scheme} {text}"}, **more)
