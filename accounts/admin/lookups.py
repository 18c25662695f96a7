"""What may be asked of a list by its address."""

from __future__ import annotations

from django.http import HttpRequest
from unfold.admin import ModelAdmin


class OfferedFiltersOnly(ModelAdmin):
    """A list that is narrowed by its own filters and by nothing else.

    Django lets addresses name any column and any comparison (`?title__regex=(`). That asks about columns the list does
    not show, and a comparison which the database refuses ends in a server error.
    """

    def lookup_allowed(self, lookup: str, value: object, request: HttpRequest) -> bool:
        """Whether one of the list's filters goes by this name; for others Django answers 400."""
        return lookup in {getattr(offered, "parameter_name", offered) for offered in self.get_list_filter(request)}
