"""What the page that asks for a proof needs beside its form."""

from __future__ import annotations

from urllib.parse import urlsplit

from django import template
from django.http import HttpRequest

from accounts.reauthentication import local_address

register = template.Library()


@register.simple_tag
def came_from(request: HttpRequest, wanted: str) -> str:
    """The page of this portal on which somebody followed the link to what asks for a proof; nothing where unknown.

    `wanted` is what asks. It is no way back, since it would only ask again.
    """
    given = urlsplit(local_address(request, request.POST.get("from") or request.headers.get("Referer", "")))
    if given.path in ("", request.path, urlsplit(wanted).path):
        return ""
    # Without its host an address may read as that of another one ("//elsewhere"): asked again.
    return local_address(request, given._replace(scheme="", netloc="", fragment="").geturl())
