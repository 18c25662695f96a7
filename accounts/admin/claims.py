"""The operators' table of claim rules in the admin site, for administrators, and a page to try it."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.admin.administrators import AdministratorsOnly
from accounts.audit import note
from accounts.claims import given_now
from accounts.models import ClaimRule
from accounts.reauthentication import ReauthenticationRequired


class ClaimsForm(forms.Form):
    """Claims as the provider would send them."""

    claims = forms.CharField(
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 12, "spellcheck": "false"}),
        help_text='Such as {"groups": ["staff", "finance"], "affiliation": {"type": "employee"}}. Nothing is saved.',
    )

    def clean_claims(self) -> dict[str, Any]:
        """The claims. Raises ValidationError where they are no JSON object."""
        try:
            claims = json.loads(self.cleaned_data["claims"])
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"That is not JSON: {error}") from None
        if not isinstance(claims, dict):
            raise ValidationError("Claims are a JSON object: {…}.")
        return claims


def _as_noted(rule: ClaimRule) -> dict[str, Any]:
    """A rule, for the trail of acts."""
    return {
        "claim": rule.claim,
        "value": rule.value,
        "role": rule.role,
        "department": rule.department.name if rule.department else None,
        "campus": rule.campus.name if rule.campus else None,
        "librarian": rule.librarian,
    }


@admin.register(ClaimRule)
class ClaimRuleAdmin(ReauthenticationRequired, AdministratorsOnly):
    """What the claims of single sign-on give. Read at each sign-in, and every quarter of an hour after it."""

    change_list_template = "admin/accounts/claimrule/change_list.html"
    list_display = ("claim", "value", "role", "department", "campus", "librarian")
    list_display_links = ("claim", "value")
    list_select_related = ("department", "campus")
    search_fields = ("claim", "value", "department__name")
    fieldsets = (
        ("Whoever has this", {"fields": (("claim", "value"),)}),
        ("gets this", {"fields": ("role", ("department", "campus"), "librarian")}),
    )

    def get_urls(self) -> list[URLPattern]:
        """The page to try the table, beside Django's own."""
        page = self.admin_site.admin_view(self.try_view)
        return [path("try/", page, name="accounts_claimrule_try"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The table, which says whether it is used at all."""
        context = {**(kwargs.pop("extra_context", None) or {}), "single_sign_on": bool(settings.OIDC_ISSUER)}
        return super().changelist_view(request, *args, extra_context=context, **kwargs)

    def try_view(self, request: HttpRequest) -> HttpResponse:
        """What claims would give, as the table stands. Changes nothing, for nobody."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = ClaimsForm(request.POST or None)
        given = given_now(form.cleaned_data["claims"]) if form.is_valid() else None
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Try the claim rules",
            "form": form,
            "given": given,
            "role": next((label for value, label in ClaimRule._meta.get_field("role").flatchoices
                          if given and value == given.role), ""),
        }  # fmt: skip
        return TemplateResponse(request, "admin/accounts/claimrule/try.html", context)

    def save_model(self, request: HttpRequest, obj: ClaimRule, form: Any, change: bool) -> None:
        """Django's own, noted with what was before."""
        before = _as_noted(ClaimRule.objects.get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)
        self._note(request, obj, before, _as_noted(obj))

    def delete_model(self, request: HttpRequest, obj: ClaimRule) -> None:
        """Django's own, noted."""
        before = _as_noted(obj)
        super().delete_model(request, obj)
        self._note(request, obj, before, None)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Several at once, each noted."""
        for rule in queryset:
            self.delete_model(request, rule)

    @staticmethod
    def _note(request: HttpRequest, rule: ClaimRule, before: Any, after: Any) -> None:
        note("claim_rule_changed", actor=request.user, subject=str(rule), request=request, before=before, after=after)
