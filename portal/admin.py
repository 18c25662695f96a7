"""The admin site: open to librarians and administrators, decided anew at each request."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, reverse
from unfold.sites import UnfoldAdminSite

from accounts.clearance import viewer_for
from ingestion.attention import attention_for

SHUT_ADDRESSES = frozenset({"view_on_site", "search"})
"""Addresses of Django's and unfold's own that are not served.

`view_on_site` looks any row up without asking the access rule, and so tells which documents exist; `search` keeps what
a person found for five minutes, beyond a change of their rights.
"""


class PortalAdminSite(UnfoldAdminSite):
    """The librarians' and administrators' home."""

    site_header = "Cloister"
    site_title = "Cloister"
    index_title = "Home"
    index_template = "admin/home.html"

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether this person curates or administers (derived from role and groups, never stored)."""
        user = request.user
        return user.is_active and user.is_authenticated and user.is_staff

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """The admin's addresses, without those that would go round the access rule."""
        return [address for address in super().get_urls() if getattr(address, "name", None) not in SHUT_ADDRESSES]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Sends people to the portal's one sign-in page.

        Whoever is signed in already and may not come in gets no way back here: it would lead round in a circle.
        """
        if self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        if request.user.is_authenticated:
            return HttpResponseRedirect(resolve_url(settings.LOGIN_URL))
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """What needs this person's attention, among the documents that they manage."""
        context = {"attention": attention_for(viewer_for(request.user)), **(extra_context or {})}
        home: TemplateResponse = super().index(request, context)
        return home
