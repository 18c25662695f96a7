"""Pages for administrators alone."""

from __future__ import annotations

from django.db.models import Model
from django.http import HttpRequest

from accounts.admin.lookups import OfferedFiltersOnly
from accounts.admin.people import PlainChoices


class AdministratorsOnly(OfferedFiltersOnly, PlainChoices):
    """Pages whose permissions are given to nobody but follow from the role."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Administrators."""
        return bool(request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Administrators."""
        return bool(request.user.is_superuser)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Administrators."""
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Administrators."""
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Administrators."""
        return bool(request.user.is_superuser)
