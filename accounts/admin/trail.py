"""The trail of acts in the admin site: auditors and administrators read it, and nobody changes it."""

from __future__ import annotations

import json
from datetime import timedelta

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.acts import in_words
from accounts.admin.administrators import AdministratorsOnly
from accounts.audit import READINGS
from accounts.auditors import audits
from accounts.models import AuditEvent

PERIODS = (("1", "Last 24 hours"), ("7", "Last 7 days"), ("30", "Last 30 days"), ("365", "Last 12 months"))

ENDED = "ended"
"""The reason that is none: somebody ended it because they wanted to."""


class ActionFilter(admin.SimpleListFilter):
    """By what was done, of those acts that occur."""

    title = parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """The actions that occur, by their words."""
        actions = AuditEvent.objects.order_by("action").values_list("action", flat=True).distinct()
        return sorted(((action, in_words(action)) for action in actions), key=lambda one: one[1].lower())

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        """The acts of the chosen kind."""
        chosen = self.value()
        # A NUL, which no action has, would be an error of the database.
        return queryset if chosen is None else queryset.filter(action=chosen.replace("\0", ""))


class PeriodFilter(admin.SimpleListFilter):
    """By how long ago it was."""

    title = "when"
    parameter_name = "days"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> tuple[tuple[str, str], ...]:
        """Some periods that end now."""
        return PERIODS

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        """The acts of the chosen period; all of them for one that was never offered."""
        if self.value() not in dict(PERIODS):
            return queryset
        return queryset.filter(at__gte=timezone.now() - timedelta(days=int(str(self.value()))))


class TrailAdmin(AdministratorsOnly):
    """Pages of a trail, which nobody changes."""

    actions = None
    show_full_result_count = False
    list_per_page = 100
    list_fullwidth = True

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may read it."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: the portal writes it."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False


@admin.register(AuditEvent)
class AuditEventAdmin(TrailAdmin):
    """Who did what, as whom, to what, and from where. What people read, auditors alone see."""

    list_display = ("moment", "who", "act", "whom_or_what", "looking_as", "address")
    list_display_links = ("moment",)
    list_filter = (ActionFilter, PeriodFilter)
    search_fields = ("actor_name", "subject")
    search_help_text = "Who did it, or whom or what it was done to"
    counted = "acts"
    fields = ("moment", "who", "looking_as", "act", "whom_or_what", "said", "address", "request_id")
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Auditors and administrators."""
        return audits(request) or bool(request.user.is_superuser)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """All acts for auditors; for administrators those without what people read."""
        acts: QuerySet[AuditEvent] = super().get_queryset(request)
        return acts if audits(request) else acts.exclude(action__in=READINGS)

    @admin.display(description="When", ordering="at")
    def moment(self, event: AuditEvent) -> str:
        """By the university's clock, to the second."""
        return date_format(timezone.localtime(event.at), "j F Y, H:i:s")

    @admin.display(description="Who", ordering="actor_name", empty_value="nobody known")
    def who(self, event: AuditEvent) -> str | None:
        """The user name, as it was then."""
        return event.actor_name or None

    @admin.display(description="Looking as", empty_value="")
    def looking_as(self, event: AuditEvent) -> str | None:
        """As whom they looked at the portal; nothing where as themselves."""
        return event.seen_as or None

    @admin.display(description="Action", ordering="action")
    def act(self, event: AuditEvent) -> str:
        """What was done, in words, with the reason where one was noted."""
        reason = event.details.get("reason") or ("locked" if event.details.get("locked") else "")
        return in_words(event.action) if reason in ("", ENDED) else f"{in_words(event.action)} ({reason})"

    @admin.display(description="Subject", ordering="subject")
    def whom_or_what(self, event: AuditEvent) -> str:
        """Whom or what it was done to."""
        return event.subject

    @admin.display(description="Details")
    def said(self, event: AuditEvent) -> SafeString:
        """What was noted beside it, readable."""
        text = json.dumps(event.details, indent=2, ensure_ascii=False, sort_keys=True)
        return format_html('<pre class="details">{}</pre>', text)
