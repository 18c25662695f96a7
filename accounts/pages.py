"""The pages of a person's own account: signing in and out, the password, and proving who they are."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate, logout, views
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordChangeForm
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.audit import note
from accounts.models import AuditEvent, User
from accounts.oidc_pages import signed_out_at_provider
from accounts.passwords import ChangedMeanwhile, write_password
from accounts.reauthentication import local_address, recently_proven, remember_proof
from accounts.sign_in import by_single_sign_on, sign_out_everywhere
from accounts.throttling import SIGN_INS_TIMES, is_sent, limited

SHOWN_ACTS = 8
"""How many of the latest sign-ins and failures somebody sees of their account."""


@method_decorator(limited(counts=is_sent, counter="sign-ins", times=SIGN_INS_TIMES), name="dispatch")
class SignInPage(views.LoginView):
    """A name and a password, and the way to the university's provider where there is one."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Django's own, and whether there is single sign-on."""
        return {**super().get_context_data(**kwargs), "single_sign_on": bool(settings.OIDC_ISSUER)}


@method_decorator(never_cache, name="dispatch")
class SignOutPage(views.LogoutView):
    """Ends this session, and the one at the provider if it began there. By POST only."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Signed out here at once; a page leads on to the provider, wherever browsers let a form lead."""
        onward = signed_out_at_provider(request) if settings.OIDC_ISSUER and by_single_sign_on(request) else ""
        if not onward:
            return super().post(request, *args, **kwargs)
        logout(request)
        page = render(request, "accounts/signed_out.html", {"onward": onward})
        page["Refresh"] = f"0; url={onward}"
        return page


@never_cache
@login_required
def security_page(request: HttpRequest) -> HttpResponse:
    """Who is signed in, how, what happened to the account lately, and what to do about it."""
    user = cast(User, request.user)
    mine = Q(actor=user, action__in=("signed_in", "password_changed")) | Q(
        subject=user.username, action__in=("sign_in_failed", "signed_out_everywhere", "password_changed")
    )
    context = {
        "acts": AuditEvent.objects.filter(mine)[:SHOWN_ACTS],
        "single_sign_on": by_single_sign_on(request),
        "has_password": user.has_usable_password(),
    }
    return render(request, "accounts/security.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def sign_out_everywhere_page(request: HttpRequest) -> HttpResponse:
    """Asks, and by POST ends all sessions and tokens of the person, this session too."""
    if request.method == "GET":
        return render(request, "accounts/sign_out_everywhere.html")
    user = cast(User, request.user)
    sign_out_everywhere(user, actor=user, request=request)
    logout(request)
    messages.success(request, _("You are signed out everywhere. Programs that used your password need it again."))
    return redirect("login")


class OwnPasswordForm(PasswordChangeForm):
    """The old password and a new one. Wrong old ones are counted like failed sign-ins."""

    request: HttpRequest
    proven: User
    """The person as the old password proved them to be."""

    def clean_old_password(self) -> str:
        """The old password. Raises ValidationError."""
        old: str = self.cleaned_data["old_password"]
        proven = authenticate(self.request, username=self.user.get_username(), password=old)
        if not isinstance(proven, User) or proven != self.user:
            raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        self.proven = proven
        return old

    def save(self, commit: bool = True) -> Any:
        """The person with the new password. Raises ChangedMeanwhile.

        Their epoch has to be that of the session: whose sign-ins were all ended is not to be signed in anew by this.
        """
        user = super().save(commit=False)
        if commit:
            epoch, old = self.user.sign_in_epoch, self.proven.password
            write_password(user, is_active=True, sign_in_epoch=epoch, password=old)
        return user


@method_decorator([never_cache, login_required], name="dispatch")
class PasswordPage(views.PasswordChangeView):
    """A new password; this session goes on, all others end, and so do all tokens."""

    form_class = OwnPasswordForm
    template_name = "accounts/password.html"
    success_url = reverse_lazy("security")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """For people who have a password here; others change it where they have it."""
        if not request.user.is_anonymous and not request.user.has_usable_password():
            return redirect("security")
        return super().dispatch(request, *args, **kwargs)

    def get_form(self, form_class: Any = None) -> Any:
        """The form, which knows the request."""
        form: Any = super().get_form(form_class)
        form.request = self.request
        return form

    def form_valid(self, form: Any) -> HttpResponse:
        """Changed: noted, and said."""
        try:
            page = super().form_valid(form)
        except ChangedMeanwhile:
            form.add_error(None, _("Your account was changed meanwhile: your password is still the one it was."))
            return self.form_invalid(form)
        user = cast(User, self.request.user)
        remember_proof(self.request)
        note("password_changed", actor=user, subject=user.username, request=self.request)
        messages.success(self.request, _("Your password is changed. Everywhere else you are signed out."))
        return page


class ProofForm(forms.Form):
    """The password, once more."""

    password = forms.CharField(strip=False, max_length=4096, widget=forms.PasswordInput)


@never_cache
@login_required
@limited(counts=is_sent, counter="sign-ins", times=SIGN_INS_TIMES)
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def confirm_page(request: HttpRequest) -> HttpResponse:
    """Asks for the password again, here or at the provider, and goes back to where it was needed."""
    given = request.POST if request.method == "POST" else request.GET
    back = local_address(request, given.get("next", "")) or reverse("security")
    user = cast(User, request.user)
    by_provider = by_single_sign_on(request)
    form = ProofForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        if authenticate(request, username=user.username, password=form.cleaned_data["password"]) == user:
            request.session.cycle_key()
            remember_proof(request)
            note("identity_confirmed", actor=user, subject=user.username, request=request)
            return HttpResponseRedirect(back)
        form.add_error("password", _("That is not your password."))
    context = {
        "form": form,
        "back": back,
        "resend": given.get("resend", ""),
        "by_provider": f"{reverse('single-sign-on')}?{urlencode({'prove': '1', 'next': _checked(back)})}"
        if by_provider
        else "",
        "has_password": user.has_usable_password(),
        "minutes": settings.REAUTHENTICATION_SECONDS // 60,
    }
    return render(request, "accounts/confirm.html", context)


@never_cache
@login_required
def confirmed_page(request: HttpRequest) -> HttpResponse:
    """Back from the provider: on to where the proof was needed, or told that the provider gave none."""
    back = local_address(request, request.GET.get("next", "")) or reverse("security")
    if recently_proven(request):
        user = cast(User, request.user)
        note("identity_confirmed", actor=user, subject=user.username, request=request, by="provider")
        return HttpResponseRedirect(back)
    return render(request, "accounts/unconfirmed.html", {"back": back}, status=403)


def _checked(back: str) -> str:
    return f"{reverse('confirmed')}?{urlencode({'next': back})}"
