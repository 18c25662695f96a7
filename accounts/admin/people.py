"""People, departments and campuses in the admin site, for administrators: librarians hold none of these permissions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Count, Field, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from accounts.clearance import LIBRARIANS, Role
from accounts.models import Campus, Department, User

# The one group is the librarians', and membership of it is given with the person.
admin.site.unregister(Group)


class PlainChoices(ModelAdmin):
    """Choices without buttons beside them: what is chosen from is made on its own page."""

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> forms.Field | None:
        """The field with its bare widget."""
        field: forms.Field | None = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field


class RefusedWhileInUse(PlainChoices):
    """Something that documents refer to: it is deleted only when none does, and the page says how many do."""

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Django's own, unless it is in use: then back to its page, with the reason."""
        one = self.get_object(request, unquote(object_id))
        if one and self.has_delete_permission(request, one) and (refusal := _refusal(one)):
            self.message_user(request, refusal, messages.ERROR)
            return HttpResponseRedirect(
                reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[one.pk])
            )
        page: HttpResponse = super().delete_view(request, object_id, extra_context)
        return page

    def get_deleted_objects(
        self, objs: QuerySet[Any] | list[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What a deletion would take with it; in the last place, why it is refused."""
        names = [str(one) for one in objs]
        refusals = [refusal for one in objs if (refusal := _refusal(one))]
        return names, {str(self.opts.verbose_name_plural): len(names)}, set(), refusals


def _refusal(one: Any) -> str:
    """Why this cannot be deleted; empty when no document refers to it."""
    match one.documents.count():
        case 0:
            return ""
        case 1:
            return f"{one} cannot be deleted: one document still belongs to it. Move it first."
        case number:
            return f"{one} cannot be deleted: {number} documents still belong to it. Move them first."


@admin.register(Campus)
class CampusAdmin(RefusedWhileInUse):
    """The sites of the university."""

    list_display = ("name",)
    search_fields = ("name",)


@admin.register(Department)
class DepartmentAdmin(RefusedWhileInUse):
    """The schools, services and offices that own documents."""

    list_display = ("name", "campus", "people", "document_count")
    list_select_related = ("campus",)
    list_filter = ("campus",)
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Department]:
        """Departments with how many people and documents each has."""
        departments: QuerySet[Department] = super().get_queryset(request)
        return departments.annotate(
            people_count=Count("members", distinct=True), documents_count=Count("documents", distinct=True)
        )

    @admin.display(description="People", ordering="people_count")
    def people(self, department: Any) -> int:
        """How many people belong to it."""
        return int(department.people_count)

    @admin.display(description="Documents", ordering="documents_count")
    def document_count(self, department: Any) -> int:
        """How many documents it owns."""
        return int(department.documents_count)


class PersonCreationForm(UserCreationForm):
    """A new person, complete in one step: what they are, where they belong, and whether they curate."""

    librarian = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanWidget(),
        help_text="May upload documents and edit those of their departments.",
    )

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "role", "departments", "campus")
        widgets = {
            "username": UnfoldAdminTextInputWidget,
            "first_name": UnfoldAdminTextInputWidget,
            "last_name": UnfoldAdminTextInputWidget,
            "email": UnfoldAdminEmailInputWidget,
            "role": UnfoldAdminSelectWidget,
            "departments": UnfoldAdminCheckboxSelectMultipleWidget,
            "campus": UnfoldAdminSelectWidget,
        }

    def _save_m2m(self) -> None:
        super()._save_m2m()
        if self.cleaned_data["librarian"]:
            self.instance.groups.add(Group.objects.get(name=LIBRARIANS))


class PersonForm(UserChangeForm):
    """An existing person. Nobody can lock themselves out of the administration."""

    acting: User
    """Who fills the form in; set by `UserAdmin.get_form`."""

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
            "is_active",
        )
        widgets = {
            "departments": UnfoldAdminCheckboxSelectMultipleWidget,
            "groups": UnfoldAdminCheckboxSelectMultipleWidget,
        }

    def clean(self) -> dict[str, Any]:
        """Refuses that administrators take the role from themselves or close their own account."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        itself = self.instance.pk == self.acting.pk
        if itself and (cleaned.get("role") != Role.ADMIN or not cleaned.get("is_active")):
            raise ValidationError(
                "You cannot take the administrator's role from yourself or close your own account. "
                "Ask another administrator."
            )
        return cleaned


@admin.register(User)
class UserAdmin(DjangoUserAdmin, PlainChoices):
    """People. Rights follow from role, departments and groups, so only these are edited."""

    form = PersonForm
    add_form = PersonCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "full_name", "role", "belongs_to", "campus", "curates", "is_active")
    list_filter = ("role", "groups", "is_active", "departments", "campus")
    list_select_related = ("campus",)
    search_fields = ("username", "first_name", "last_name", "email")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        ("Person", {"fields": ("username", "password", ("first_name", "last_name"), "email")}),
        ("What they may see", {"fields": ("role", "departments", "campus")}),
        ("What they may do", {"fields": ("groups", "is_active")}),
        ("Dates", {"fields": (("last_login", "date_joined"),)}),
    )
    add_fieldsets = (
        ("Person", {"fields": ("username", ("first_name", "last_name"), "email")}),
        ("What they may see", {"fields": ("role", "departments", "campus")}),
        ("What they may do", {"fields": ("librarian",)}),
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
