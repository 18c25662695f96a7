"""The pages on which curators choose as whom to look at the portal, and end it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.clearance import ANONYMOUS_ROLE, Role
from accounts.models import Department, User
from accounts.reauthentication import proof_required
from accounts.seeing import end, start

FOUND_PEOPLE = 20
"""How many people a search by name shows."""

ROLES = (
    (ANONYMOUS_ROLE, "somebody who is not signed in"),
    (Role.STUDENT.value, "student"),
    (Role.STAFF.value, "staff"),
    (Role.ACADEMIC.value, "academic"),
)
"""As whom one can look. Not as an administrator: what both may see would be what one sees oneself."""


class RoleForm(forms.Form):
    """A role, and the departments that somebody of that role belongs to."""

    role = forms.ChoiceField(choices=ROLES, initial=Role.STUDENT.value, widget=forms.RadioSelect)
    departments = forms.ModelMultipleChoiceField(
        Department.objects.all(), required=False, widget=forms.CheckboxSelectMultiple
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def see_as_page(request: HttpRequest) -> HttpResponse:
    """Choose a role and departments, and begin. While one looks as somebody else: how to end it."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if not request.user.is_staff:
        raise PermissionDenied
    form = RoleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        departments = [department.pk for department in form.cleaned_data["departments"]]
        start(request, {"role": form.cleaned_data["role"], "departments": departments})
        return HttpResponseRedirect(_next(request))
    return render(
        request, "see_as/page.html", {"form": form, "next": _next(request), "people": _may_be_people(request)}
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def see_as_person_page(request: HttpRequest) -> HttpResponse:
    """Find a person by name, and begin to look as them. For administrators, who have just proved who they are."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if not _may_be_people(request):
        raise PermissionDenied
    return _person_page(request)


@proof_required
def _person_page(request: HttpRequest) -> HttpResponse:
    people = User.objects.filter(is_active=True).exclude(username=request.user.get_username())
    if request.method == "POST":
        person = get_object_or_404(people, pk=_number(request.POST.get("person", "")))
        start(request, {"person": person.pk})
        return HttpResponseRedirect(_next(request))
    name = " ".join(request.GET.get("name", "")[:100].replace("\0", "").split())
    found = list(named(people, name).prefetch_related("departments")[: FOUND_PEOPLE + 1]) if name else []
    context: dict[str, Any] = {"name": name, "found": found[:FOUND_PEOPLE], "more": len(found) > FOUND_PEOPLE}
    return render(request, "see_as/person.html", {**context, "next": _next(request)})


@require_http_methods(["GET", "HEAD", "POST"])
def see_as_end_page(request: HttpRequest) -> HttpResponse:
    """Be oneself again, by POST only; who opens the address gets the page that says how."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("see-as"))
    end(request)
    return HttpResponseRedirect(_next(request))


def named(people: QuerySet[User], name: str) -> QuerySet[User]:
    """Those of these people whose names have all of these words, by user name."""
    for word in name.split():
        people = people.filter(
            Q(username__icontains=word) | Q(first_name__icontains=word) | Q(last_name__icontains=word)
        )
    return people.order_by("username")


def _may_be_people(request: HttpRequest) -> bool:
    """Whether this person may look as named people: it tells their roles and departments, so administrators only."""
    return request.user.is_authenticated and request.user.role == Role.ADMIN


def _number(text: str) -> int:
    """A posted key; 0, which nobody has, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _next(request: HttpRequest) -> str:
    """Where the person came from or wanted to go, if that is on this site; else the search."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    here = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if here else reverse("search")
