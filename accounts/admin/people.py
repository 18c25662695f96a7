"""Departments and campuses in the admin site, for administrators: librarians hold none of these permissions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.contrib.auth.models import Group
from django.db.models import Count, Field, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from accounts.models import Campus, Department

# The groups are the librarians' and the curators', and membership of them is given with the person.
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
    match one.documents.count():  # access: administrators only, who see every document; a number
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
            people_count=Count("members", distinct=True),
            documents_count=Count("documents", distinct=True),  # access: administrators only; a number
        )

    @admin.display(description="People", ordering="people_count")
    def people(self, department: Any) -> int:
        """How many people belong to it."""
        return int(department.people_count)

    @admin.display(description="Documents", ordering="documents_count")
    def document_count(self, department: Any) -> int:
        """How many documents it owns."""
        return int(department.documents_count)
