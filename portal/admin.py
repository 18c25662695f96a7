"""The admin site: open to librarians and administrators, decided anew at each request."""

from django.http import HttpRequest
from unfold.sites import UnfoldAdminSite


class PortalAdminSite(UnfoldAdminSite):
    """The librarians' and administrators' home."""

    site_header = "Cloister"
    site_title = "Cloister"
    index_title = "Curating"

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether this person curates or administers (derived from role and groups, never stored)."""
        user = request.user
        return user.is_active and user.is_authenticated and user.is_staff
