"""Pages that show people what is theirs alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

from accounts.arrival import arriving, turned_away
from accounts.throttling import limited


class PutAway(PermissionDenied):
    """403 of what is somebody's own, while they look as somebody else."""

    template = "search/mine/put_away.html"


def own_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorator of a page for its own person: signed in, let in by the roll-out, and not looking as somebody else."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.seeing:  # type: ignore[attr-defined]
            raise PutAway
        viewer = arriving(request)
        return view(request, *args, **kwargs) if viewer.clearance else turned_away(request, viewer)

    return never_cache(login_required(limited()(guarded)))  # type: ignore[return-value]
