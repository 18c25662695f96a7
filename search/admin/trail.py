"""The trail of searches in the admin site: auditors read it, which is itself noted, and nobody changes it."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.trail import PeriodFilter, TrailAdmin
from accounts.audit import note
from accounts.auditors import audits
from accounts.clearance import ANONYMOUS_ROLE, Role
from search.models import SearchEvent


class RoleFilter(admin.SimpleListFilter):
    """By what the person was."""

    title = parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Every role, and nobody signed in."""
        return [(ANONYMOUS_ROLE, "nobody signed in"), *((str(role.value), str(role.label)) for role in Role)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[SearchEvent]) -> QuerySet[SearchEvent]:
        """The searches of the chosen role; all of them for one that was never offered."""
        chosen = self.value()
        return queryset.filter(role=chosen) if chosen in {ANONYMOUS_ROLE, *Role.values} else queryset


@admin.register(SearchEvent)
class SearchEventAdmin(TrailAdmin):
    """Who searched for what, as whom, from where, and how many documents were found."""

    list_display = ("moment", "who", "looking_as", "asked", "mode", "count", "address")
    list_display_links = ("moment",)
    list_filter = (RoleFilter, PeriodFilter)
    search_fields = ("user_name", "query", "=request_id", "=session")
    search_help_text = "Who searched, words of the query, a request id, or the digest of a session"
    counted = "searches"
    fields = (
        "moment", "who", "role", "looking_as", "phase", "query", "narrowed", "mode", "said_degraded", "count", "page",
        "duration_ms", "address", "session", "request_id",
    )  # fmt: skip
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Auditors, and no administrator who is none: the queries of people are nobody else's business."""
        return audits(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list; that it was read, and what was looked for in it, is noted."""
        if self.has_view_permission(request):
            # A NUL, which the database does not take, is in nothing that could be found.
            asked = {name: [one.replace("\0", "") for one in values] for name, values in request.GET.lists()}
            note("audit_read", actor=request.user, subject="searches", request=request, asked=asked)
        return super().changelist_view(request, extra_context)

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> SearchEvent | None:
        """One search; that it was read is noted."""
        event: SearchEvent | None = super().get_object(request, *args, **kwargs)
        if event is not None and self.has_view_permission(request):
            note("audit_read", actor=request.user, subject=str(event.pk), request=request)
        return event

    @admin.display(description="When", ordering="at")
    def moment(self, event: SearchEvent) -> str:
        """By the university's clock, to the second."""
        return date_format(timezone.localtime(event.at), "j F Y, H:i:s")

    @admin.display(description="Who", ordering="user_name", empty_value="not signed in")
    def who(self, event: SearchEvent) -> str | None:
        """The user name, as it was then."""
        return event.user_name or None

    @admin.display(description="Looking as", empty_value="")
    def looking_as(self, event: SearchEvent) -> str | None:
        """As whom they looked at the portal; nothing where as themselves."""
        return event.seen_as or None

    @admin.display(description="Query", empty_value="filters alone")
    def asked(self, event: SearchEvent) -> str | None:
        """What was asked, without personal data."""
        return event.query or None

    @admin.display(description="Filters")
    def narrowed(self, event: SearchEvent) -> SafeString:
        """The filters, readable."""
        return format_html('<pre class="details">{}</pre>', json.dumps(event.filters, indent=2, ensure_ascii=False))

    @admin.display(description="Degraded", empty_value="no")
    def said_degraded(self, event: SearchEvent) -> str | None:
        """In which ways the answer was degraded."""
        return ", ".join(event.degraded) or None
