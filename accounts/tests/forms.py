"""Forms of the admin site, sent as a browser sends them."""

from __future__ import annotations

from typing import Any

from django.test import Client


def sent_from(client: Client, page: str) -> dict[str, Any]:
    """What a browser sends from this page when nobody changes anything in its form."""
    form = client.get(page).context["adminform"].form
    values = {field.html_name: field.value() for field in form if not field.field.disabled}
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = [getattr(one, "pk", one) for one in value]
    return {name: "on" if value is True else value for name, value in values.items() if value not in (None, False)}
