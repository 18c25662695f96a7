"""Everything that is kept about me: taking it with me, and having it erased."""

from __future__ import annotations

import json
from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.arrival import viewer_of
from accounts.audit import note
from accounts.models import User
from accounts.ownpages import own_page
from accounts.reauthentication import proof_required
from search.personal import erase, personal_data


@own_page
@proof_required
@require_safe
def data_page(request: HttpRequest) -> HttpResponse:
    """What is kept about me, what an erasure takes, and what it leaves."""
    return render(request, "search/mine/data.html", {"viewer": viewer_of(request), "here": "data"})


@own_page
@proof_required
@require_POST
def export_data(request: HttpRequest) -> HttpResponse:
    """All of it as one JSON file."""
    user = cast(User, request.user)
    note("data_exported", actor=user, subject=user.username, request=request)
    data = personal_data(user, viewer=viewer_of(request))
    response = HttpResponse(json.dumps(data, ensure_ascii=False, indent=2), content_type="application/octet-stream")
    response["Content-Disposition"] = 'attachment; filename="cloister-my-data.json"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


@own_page
@proof_required
@require_POST
def erase_data(request: HttpRequest) -> HttpResponse:
    """What is mine is gone, where I ticked that I mean it."""
    if request.POST.get("sure") != "1":
        messages.warning(request, _("Nothing was erased: tick the box to say that you mean it."))
        return redirect("mine-data")
    user = cast(User, request.user)
    erase(user, actor=user, request=request)
    messages.success(
        request, _("What was yours is erased: saved searches and documents, history, feedback, preferences.")
    )
    return redirect("mine-data")
