"""How the pages word what the models hold as codes."""

from __future__ import annotations

from datetime import date

from django import template
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.clearance import Clearance
from search import presentation, reviewed
from search.reviewed import ReviewAge

register = template.Library()

CLEARANCE_NAMES = {
    Clearance.PUBLIC: _("Public"),
    Clearance.MEMBERS: _("Students and staff"),
    Clearance.STAFF: _("Staff"),
    Clearance.RESTRICTED: _("Restricted"),
}
"""The short names that stand on badges."""

LABELS = (
    gettext_noop("student"),
    gettext_noop("staff"),
    gettext_noop("academic"),
    gettext_noop("administrator"),
    gettext_noop("1 – public"),
    gettext_noop("2 – students and staff"),
    gettext_noop("3 – staff with a department"),
    gettext_noop("4 – restricted, academics with a department"),
    gettext_noop("whole institution"),
    gettext_noop("owning department and those it is shared with"),
)
"""What roles, clearances and audiences are called. The desk and the trail have the words as they are; readers' pages
translate them, and this is what the catalogues take them from."""


@register.filter
def clearance_name(clearance: int) -> str:
    """The short name of a clearance; empty for 0, which sees nothing."""
    return str(CLEARANCE_NAMES[Clearance(clearance)]) if clearance in Clearance.values else ""


@register.filter
def review_age(last_reviewed: date | None) -> ReviewAge | None:
    """How long ago that was: `text` in words, and `warns` where that is too long."""
    return reviewed.review_age(last_reviewed, timezone.localdate())


@register.filter
def language_name(code: str) -> str:
    """The name of a language, such as German for de."""
    return presentation.language_name(code)
