"""The admin site: open to librarians and administrators, decided anew at each request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from csp.constants import SELF
from csp.decorators import csp_replace
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, reverse
from unfold.sites import UnfoldAdminSite

from accounts.arrival import viewer_of
from accounts.auditors import audits
from accounts.pages import SignOutPage
from ingestion.attention import attention_for
from search.curation import broken_bets
from search.goldenruns import fall_for

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
        """Whether this person curates, administers or audits (derived from role and groups, never stored).

        Not while they look as somebody else: then they only read.
        """
        user = request.user
        enters = user.is_active and user.is_authenticated and user.seen_as is None
        return enters and (user.is_staff or audits(request))

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """The admin's addresses, without those that would go round the access rule."""
        return [address for address in super().get_urls() if getattr(address, "name", None) not in SHUT_ADDRESSES]

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        """Unfold and Django load their scripts by address, without a nonce; nothing inline runs here either."""
        guarded: Callable[..., Any] = super().admin_view(csp_replace({"script-src": [SELF]})(view), cacheable)
        return guarded

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Sends people to the portal's one sign-in page.

        Whoever is signed in already and may not come in gets no way back here: it would lead round in a circle.
        """
        if self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        if request.user.is_authenticated and request.user.seen_as is not None:
            return HttpResponseRedirect(reverse("see-as"))
        if request.user.is_authenticated:
            return HttpResponseRedirect(resolve_url(settings.LOGIN_URL))
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Sends people to the portal's one page for it, which counts wrong passwords."""
        return HttpResponseRedirect(reverse("password_change"))

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """As on the pages: by POST only, and at the university's provider too."""
        page: HttpResponse = SignOutPage.as_view()(request)
        return page

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """What needs this person's attention, among the documents that they manage.

        While something is going on the page fetches this part anew, and gets it alone.
        """
        context = {"attention": attention_for(viewer_of(request)), **(extra_context or {})}
        if request.headers.get("HX-Request"):
            return TemplateResponse(request, "admin/attention.html", context)
        context["golden_fall"] = fall_for(viewer_of(request))
        context["broken_bets"] = broken_bets(viewer_of(request))
        home: TemplateResponse = super().index(request, context)
        return home
