"""How long ago a document was last reviewed, in words, and whether that is too long. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

WARNS_AFTER_MONTHS = 12
"""Readers are warned of a document whose last review is longer ago: most of what a university lays down, it looks
through each year."""


@dataclass(frozen=True)
class ReviewAge:
    """Whole months since the last review. `text` is a sentence's beginning: 'last reviewed 14 months ago'."""

    months: int
    text: str

    @property
    def warns(self) -> bool:
        """Whether readers are told to take care."""
        return self.months >= WARNS_AFTER_MONTHS


def review_age(last_reviewed: date | None, today: date) -> ReviewAge | None:
    """How long ago that was; None where nothing is known. A day to come counts as today."""
    if last_reviewed is None:
        return None
    months = (
        (today.year - last_reviewed.year) * 12 + today.month - last_reviewed.month - (today.day < last_reviewed.day)
    )
    months = max(0, months)
    if not months:
        return ReviewAge(0, _("reviewed within the last month"))
    if months < 24:
        return ReviewAge(
            months, ngettext("last reviewed %(n)d month ago", "last reviewed %(n)d months ago", months) % {"n": months}
        )
    years = months // 12
    return ReviewAge(
        months, ngettext("last reviewed %(n)d year ago", "last reviewed %(n)d years ago", years) % {"n": years}
    )
