"""The link in each mail that ends these mails, without a sign-in (RFC 8058)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.throttling import limited
from search.alerts import unsubscribe, unsubscriber


# A mail program sends this form, which knows no cookie and so no token of ours: the signed link is what it proves.
@csrf_exempt
@never_cache
@limited()
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe_page(request: HttpRequest, token: str) -> HttpResponse:
    """Asks, and by POST ends the mails of whom the link was made for. 400 for a link that nobody made."""
    person = unsubscriber(token)
    if person is not None and request.method == "POST":
        unsubscribe(person)
    context = {"known": person is not None, "done": request.method == "POST"}
    return render(request, "search/mine/unsubscribe.html", context, status=400 if person is None else 200)
