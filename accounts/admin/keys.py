"""API keys in the admin site, for administrators: made, shown once, listed, revoked; never changed or shown again."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from unfold.widgets import (
    BASE_INPUT_CLASSES,
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accounts import api_keys
from accounts.admin.administrators import AdministratorsOnly
from accounts.audit import note
from accounts.models import ApiKey, Scope, User
from accounts.reauthentication import proof_required

# The library's own pages: nobody edits by hand which tokens were used.
admin.site.unregister([OutstandingToken, BlacklistedToken])


class KeyForm(forms.Form):
    """What a new key is for, whose it is, what it may do, and until when."""

    name = forms.CharField(
        max_length=100,
        widget=UnfoldAdminTextInputWidget(),
        help_text="What will use it, such as: VLE search box. It stands in this list only.",
    )
    user = forms.ModelChoiceField(
        User.objects.none(),
        label="Service account",
        widget=UnfoldAdminSelectWidget(),
        help_text="The key sees what this account's role and departments allow, and nothing else.",
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        initial=[Scope.READ],
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="read: search, look at documents. upload: add, change and archive them; for that the account must "
        "also be a librarian or a curator.",
    )
    expires_on = forms.DateField(
        label="Valid until",
        widget=forms.DateInput(attrs={"type": "date", "class": " ".join(BASE_INPUT_CLASSES)}, format="%Y-%m-%d"),
        help_text="The last day on which it works; at most two years away.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = User.objects.filter(is_service=True, is_active=True)
        cast(forms.ModelChoiceField, self.fields["user"]).queryset = people
        self.fields["expires_on"].initial = timezone.localdate() + api_keys.DEFAULT_LIFETIME

    def clean_name(self) -> str:
        """A name of its own among the keys that hold: sending the form again makes no second key."""
        name: str = self.cleaned_data["name"]
        if ApiKey.objects.filter(name=name, revoked_at__isnull=True, expires_at__gt=timezone.now()).exists():
            raise ValidationError("There is a key of this name. Choose another one, or revoke that key first.")
        return name

    def clean_expires_on(self) -> datetime:
        """The end of that day, here."""
        last_day = self.cleaned_data["expires_on"]
        today = timezone.localdate()
        if not today <= last_day <= today + api_keys.LONGEST_LIFETIME - timedelta(days=1):
            raise ValidationError("Choose a day from today on, within two years.")
        return timezone.make_aware(datetime.combine(last_day, time.max))


@admin.register(ApiKey)
class ApiKeyAdmin(AdministratorsOnly):
    """The keys that there are and were. Revoked ones stay, for the record."""

    change_form_template = "admin/accounts/apikey/change.html"
    list_display = ("name", "account", "shown_prefix", "may", "expires_at", "last_used_at", "state")
    list_select_related = ("user",)
    list_filter_submit = False
    search_fields = ("name", "prefix", "user__username")
    search_help_text = "Name, account, or the first characters of a key"
    ordering = ("-created_at",)
    fields = (
        "name", "account", "shown_prefix", "may", "state", "created_at", "created_by", "expires_at", "last_used_at",
        "revoked_at",
    )  # fmt: skip
    readonly_fields = fields

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody: another key is made instead."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody: a key is revoked, and stays in the list."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """The page that asks before a key is revoked, beside Django's own."""
        revoke = self.admin_site.admin_view(self.revoke_view)
        return [path("<int:pk>/revoke/", revoke, name="accounts_apikey_revoke"), *super().get_urls()]

    # --- Making --------------------------------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The form for a new key, and the one page that shows it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._make(request)

    @proof_required
    def _make(self, request: HttpRequest) -> HttpResponse:
        form = KeyForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            context = {"title": "New API key", "form": form, "accounts": form.fields["user"].queryset.exists()}  # type: ignore[attr-defined]
            return self._page(request, "admin/accounts/apikey/new.html", context)
        actor = cast(User, request.user)
        given = form.cleaned_data
        with transaction.atomic():
            key, text = api_keys.issue(
                given["user"],
                name=given["name"],
                scopes=given["scopes"],
                expires_at=given["expires_on"],
                created_by=actor,
            )
            note("api_key_made", actor=actor, subject=str(key), request=request, scopes=key.scopes)
        # The answer itself shows the key, without a redirect: it is kept nowhere on the way, and pages of the admin
        # site are not cached.
        context = {"title": "Your new API key", "key": key, "text": text, "scheme": api_keys.SCHEME}
        return self._page(request, "admin/accounts/apikey/made.html", context)

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            template,
            {**self.admin_site.each_context(request), "opts": self.opts, "page_title": context["title"], **context},
        )

    # --- Revoking ------------------------------------------------------------------------------------------------

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks first; then the key holds no longer, from the next request on."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = self.get_object(request, str(pk))
        if key is None:
            answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, str(pk))
            return answer
        return self._revoke(request, key)

    @proof_required
    def _revoke(self, request: HttpRequest, key: ApiKey) -> HttpResponse:
        if request.method != "POST":
            return self._page(
                request, "admin/accounts/apikey/revoke.html", {"title": "Revoke this API key?", "key": key}
            )
        with transaction.atomic():
            if api_keys.revoke(key):
                note("api_key_revoked", actor=request.user, subject=str(key), request=request)
        self.message_user(request, f"{key} is revoked. Nothing can sign in with it any more.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:accounts_apikey_changelist"))

    # --- Columns -------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        """All keys, without what could be compared with one."""
        keys: QuerySet[ApiKey] = super().get_queryset(request).defer("digest")
        return keys

    @admin.display(description="Service account", ordering="user__username")
    def account(self, key: ApiKey) -> str:
        """The account's user name."""
        return key.user.username

    @admin.display(description="Begins with")
    def shown_prefix(self, key: ApiKey) -> str:
        """By what a key that was found somewhere is recognised."""
        return f"clst_{key.prefix}_…"

    @admin.display(description="Scopes")
    def may(self, key: ApiKey) -> str:
        """What it was made for."""
        return ", ".join(key.scopes)

    @admin.display(description="State")
    def state(self, key: ApiKey) -> SafeString:
        """Whether it works, and if not, why."""
        if key.revoked_at is not None:
            kind, words = "failed", "revoked"
        elif key.expires_at <= timezone.now():
            kind, words = "archived", "expired"
        elif not key.user.is_active or not key.user.is_service:
            kind, words = "warning", "account closed"
        else:
            kind, words = "ready", "works"
        return render_to_string("admin/accounts/apikey/state.html", {"kind": kind, "words": words})
