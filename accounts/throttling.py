"""How many requests a minute a person may make of the API, by role (DESIGN, section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from accounts.clearance import ANONYMOUS_ROLE, Role

if TYPE_CHECKING:
    from rest_framework.views import APIView

REQUESTS_A_MINUTE: dict[str, int] = {
    ANONYMOUS_ROLE: 20,
    Role.STUDENT: 30,
    Role.STAFF: 60,
    Role.ACADEMIC: 100,
    Role.ADMIN: 200,
}


class RoleThrottle(SimpleRateThrottle):
    """Counts per person, and per address for those who are not signed in."""

    scope = "role"
    rate = f"{REQUESTS_A_MINUTE[ANONYMOUS_ROLE]}/min"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        """The counter of this person or address, with the rate of their role set beside it."""
        role = request.user.role if request.user.is_authenticated else ANONYMOUS_ROLE
        self.num_requests, self.duration = REQUESTS_A_MINUTE[role], 60
        ident = request.user.pk if request.user.is_authenticated else self.get_ident(request)
        return self.cache_format % {"scope": role, "ident": ident}
