"""People in the admin site, for administrators: what they are, where they belong, and the end of their sign-ins."""

from __future__ import annotations

import json
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.crypto import constant_time_compare, salted_hmac
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from accounts.admin.people import PlainChoices
from accounts.audit import note
from accounts.claims import rights_of
from accounts.clearance import CURATORS, LIBRARIANS, Role
from accounts.models import User
from accounts.passwords import ChangedMeanwhile, write_password
from accounts.reauthentication import ReauthenticationRequired, proof_required
from accounts.sign_in import sign_out_everywhere

UNTIL_THE_NEXT_SIGN_IN = (
    "This person comes by single sign-on: what you change here holds until their next sign-in, when the claim rules "
    "set it anew. To change it for good, change the claims or the rules."
)


class PersonCreationForm(UserCreationForm):
    """A new person, complete in one step: what they are, where they belong, and whether they curate."""

    data: Any

    librarian = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanWidget(),
        help_text="May upload documents and edit those of their departments.",
    )

    class Meta:
        model = User
        fields = (
            "username",
            "first_name",
            "last_name",
            "email",
            "role",
            "departments",
            "campus",
            "curated_departments",
            "is_service",
        )
        widgets = {
            "username": UnfoldAdminTextInputWidget,
            "first_name": UnfoldAdminTextInputWidget,
            "last_name": UnfoldAdminTextInputWidget,
            "email": UnfoldAdminEmailInputWidget,
            "role": UnfoldAdminSelectWidget,
            "departments": UnfoldAdminCheckboxSelectMultipleWidget,
            "campus": UnfoldAdminSelectWidget,
            "curated_departments": UnfoldAdminCheckboxSelectMultipleWidget,
            "is_service": UnfoldBooleanWidget,
        }
        help_texts = {
            "curated_departments": "Makes them a curator: they upload documents of these departments and edit them."
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.is_bound and self.data.get("is_service"):
            # Another system has keys; nobody is to think of a password for it.
            self.data = self.data.copy()
            self.data["usable_password"] = "false"  # noqa: S105  # nosec B105  # a choice of the form

    def clean(self) -> dict[str, Any]:
        """Refuses to let somebody curate where they do not belong."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        _require_own_departments(cleaned)
        return cleaned

    def _save_m2m(self) -> None:
        super()._save_m2m()
        if self.cleaned_data["librarian"]:
            self.instance.groups.add(Group.objects.get(name=LIBRARIANS))
        if self.cleaned_data["curated_departments"]:
            self.instance.groups.add(Group.objects.get(name=CURATORS))


def _require_own_departments(cleaned: dict[str, Any]) -> None:
    """Curators curate departments that they belong to."""
    strange = set(cleaned.get("curated_departments") or ()) - set(cleaned.get("departments") or ())
    if strange:
        names = ", ".join(sorted(department.name for department in strange))
        raise ValidationError(f"They curate {names}, but do not belong there. Add it to their departments first.")


class PersonForm(UserChangeForm):
    """An existing person. Nobody can lock themselves out of the administration."""

    acting: User
    """Who fills the form in; set by `UserAdmin.get_form`."""

    rights_before: dict[str, Any]
    """What they might see and do before; set by `UserAdmin.save_model`."""

    data: Any

    rights_seen = forms.CharField(required=False, widget=forms.HiddenInput)
    """The person as this form showed them, as a digest: an old form must not give back what was taken meanwhile."""

    class Meta:
        model = User
        fields = (
            "username",
            "password",
            "first_name",
            "last_name",
            "email",
            "role",
            "departments",
            "campus",
            "groups",
            "curated_departments",
            "is_active",
            "is_service",
        )
        widgets = {
            "departments": UnfoldAdminCheckboxSelectMultipleWidget,
            "groups": UnfoldAdminCheckboxSelectMultipleWidget,
            "curated_departments": UnfoldAdminCheckboxSelectMultipleWidget,
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["rights_seen"] = _digest_of(self.instance)

    def clean(self) -> dict[str, Any]:
        """Refuses old forms, and that administrators take the role from themselves or close their own account."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self._require_unchanged(cleaned.get("rights_seen", ""))
        _require_own_departments(cleaned)
        groups = [group.name for group in cleaned.get("groups") or ()]
        if cleaned.get("curated_departments") and CURATORS not in groups:
            self.add_error("curated_departments", f"This is for members of {CURATORS}: tick that group, or none here.")
        itself = self.instance.pk == self.acting.pk
        locks_out = cleaned.get("role") != Role.ADMIN or not cleaned.get("is_active") or cleaned.get("is_service")
        if itself and locks_out:
            raise ValidationError(
                "You cannot take the administrator's role from yourself or close your own account. "
                "Ask another administrator."
            )
        return cleaned

    def _require_unchanged(self, seen: str) -> None:
        """Refuses a form that showed the person otherwise than they are; sent once more, it is meant so.

        Locks the person until the form is saved, so that nothing changes between this and that.
        """
        now = User.objects.select_for_update().get(pk=self.instance.pk)
        digest = _digest_of(now)
        if constant_time_compare(seen, digest) and self.initial["rights_seen"] == digest:
            return
        self.data = self.data.copy()
        self.data[self.add_prefix("rights_seen")] = digest
        told = "; ".join(
            f"{self.fields[name].label}: {_in_words(now, name)}"
            for name, value in forms.model_to_dict(now, fields=self.fields).items()
            if self.fields[name].has_changed(value, self[name].data)
        )
        differs = f"what you sent differs from what they are now ({told})" if told else "they are now what you sent"
        raise ValidationError(
            f"Somebody changed this person meanwhile: {differs}; look again. "
            "Below is what you sent: it is saved if you send it once more."
        )

    def _save_m2m(self) -> None:
        """Writes only what was changed in the form."""
        for name in ("departments", "groups", "curated_departments"):
            if name in self.changed_data:
                getattr(self.instance, name).set(self.cleaned_data[name])


def _digest_of(person: User) -> str:
    shown = {**rights_of(person), "person": [person.username, person.first_name, person.last_name, person.email]}
    text = json.dumps(shown, sort_keys=True)
    return salted_hmac("accounts.admin.users", text, algorithm="sha256").hexdigest()


def _in_words(person: User, name: str) -> str:
    """What a field of the form says of this person."""
    field = User._meta.get_field(name)
    if field.many_to_many:
        return ", ".join(sorted(str(one) for one in getattr(person, name).all())) or "none"
    if isinstance(value := getattr(person, name), bool):
        return "yes" if value else "no"
    return str(person.get_role_display() if name == "role" else value or "none")


class PersonPasswordForm(AdminPasswordChangeForm):
    """A new password for somebody, or none; nothing else of theirs is written."""

    def save(self, commit: bool = True) -> Any:
        """The person with the new password. Raises ChangedMeanwhile when they were closed or opened meanwhile."""
        user = super().save(commit=False)
        if commit:
            write_password(user, is_active=user.is_active, external_id=user.external_id)
        return user


@admin.register(User)
class UserAdmin(ReauthenticationRequired, DjangoUserAdmin, PlainChoices):
    """People. Rights follow from role, departments and groups, so only these are edited."""

    change_form_template = "admin/accounts/user/change.html"

    form = PersonForm
    add_form = PersonCreationForm
    change_password_form = PersonPasswordForm
    list_display = ("username", "full_name", "role", "belongs_to", "campus", "curates", "is_active")
    list_filter = ("role", "groups", "is_active", "is_service", "departments", "campus")
    list_select_related = ("campus",)
    search_fields = ("username", "first_name", "last_name", "email")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        ("Person", {"fields": ("username", "password", ("first_name", "last_name"), "email")}),
        ("What they may see", {"fields": ("role", "departments", "campus")}),
        ("What they may do", {"fields": ("groups", "curated_departments", "is_active", "is_service")}),
        ("Dates", {"fields": (("last_login", "date_joined"),)}),
    )
    add_fieldsets = (
        ("Person", {"fields": ("username", ("first_name", "last_name"), "email")}),
        ("What they may see", {"fields": ("role", "departments", "campus")}),
        ("What they may do", {"fields": ("librarian", "curated_departments", "is_service")}),
        ("Sign-in", {"fields": ("usable_password", "password1", "password2")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """People with their departments and groups at hand."""
        return super().get_queryset(request).prefetch_related("departments", "groups")

    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """The form, which knows who fills it in."""
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"acting": request.user})

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        """Without a password for people who have theirs elsewhere, and with a word about how long changes hold."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not obj.external_id:
            return fieldsets
        (_, person), (see, seeing), *others = fieldsets
        return (
            ("Person", {"fields": tuple(name for name in person["fields"] if name != "password")}),
            (see, {**seeing, "description": UNTIL_THE_NEXT_SIGN_IN}),
            *others,
        )

    def get_urls(self) -> list[URLPattern]:
        """The page that asks before somebody is signed out everywhere, beside Django's own."""
        page = self.admin_site.admin_view(self.sign_out_view)
        return [path("<int:pk>/sign-out/", page, name="accounts_user_sign_out"), *super().get_urls()]

    def sign_out_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks, and by POST ends every session and token of this person."""
        person = self.get_object(request, str(pk))
        if not self.has_change_permission(request, person):
            raise PermissionDenied
        if person is None:
            raise Http404
        return self._sign_out(request, person)

    @proof_required
    def _sign_out(self, request: HttpRequest, person: User) -> HttpResponse:
        if request.method != "POST":
            request.current_app = self.admin_site.name
            title = f"Sign {person.username} out everywhere?"
            context = {**self.admin_site.each_context(request), "opts": self.opts, "title": title, "person": person}
            return TemplateResponse(request, "admin/accounts/user/sign_out.html", context)
        sign_out_everywhere(person, actor=cast(User, request.user), request=request)
        self.message_user(request, f"{person} is signed out everywhere.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[person.pk]))

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Django's own, for people who have a password here; it is noted."""
        person = self.get_object(request, id)
        if not self.has_change_permission(request, person):
            raise PermissionDenied
        if person is None:
            raise Http404
        if person.external_id:
            self.message_user(request, f"{person} signs in at the university, not with a password.", messages.ERROR)
            return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[person.pk]))
        return self._change_password(request, person, form_url)

    @proof_required
    def _change_password(self, request: HttpRequest, person: User, form_url: str) -> HttpResponse:
        try:
            page: HttpResponse = super().user_change_password(request, str(person.pk), form_url)
        except ChangedMeanwhile:
            self.message_user(request, f"Somebody closed or opened {person}'s account meanwhile.", messages.ERROR)
            return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[person.pk]))
        after = User.objects.get(pk=person.pk)
        if after.password != person.password:
            note("password_changed", actor=request.user, subject=after.username, request=request)
        return page

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Writes only what was changed in the form; remembers what was before. A closed account's sign-ins end."""
        form.rights_before = rights_of(User.objects.get(pk=obj.pk)) if change else {}
        if not change:
            super().save_model(request, obj, form, change)
            return
        changed = [name for name in form.changed_data if not User._meta.get_field(name).many_to_many]
        # The model takes the password from a service account.
        obj.save(update_fields=[*changed, "password"] if "is_service" in changed and obj.is_service else changed)
        if "is_active" in changed and not obj.is_active:
            sign_out_everywhere(obj, actor=cast(User, request.user), request=request)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Django's own; then notes who gave whom which rights."""
        super().save_related(request, form, formsets, change)
        person = User.objects.get(pk=form.instance.pk)
        after = rights_of(person)
        if after != form.rights_before:
            note(
                "role_changed",
                actor=request.user,
                subject=person.username,
                request=request,
                before=form.rights_before,
                after=after,
            )

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether one of the list's filters asks so; others (`?username__regex=(`) end in an error of the database."""
        column, _, how = lookup.partition("__")
        return column in self.list_filter and how in {"exact", "id__exact", "isnull"}

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody: a deleted person would take the history of what they did along. Accounts are closed instead."""
        return False

    @admin.display(description="Name", ordering="last_name")
    def full_name(self, person: User) -> str:
        """First and last name."""
        return person.get_full_name()

    @admin.display(description="Departments")
    def belongs_to(self, person: User) -> str:
        """The names of their departments."""
        return ", ".join(department.name for department in person.departments.all())

    @admin.display(description="Librarian", boolean=True)
    def curates(self, person: User) -> bool:
        """Whether they are in the group of librarians."""
        return any(group.name == LIBRARIANS for group in person.groups.all())
