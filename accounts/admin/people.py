"""Departments and campuses in the admin site, for administrators: librarians hold none of these permissions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Field, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from accounts.audit import note
from accounts.models import Campus, Department
from accounts.reauthentication import ReauthenticationRequired

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


@dataclass(frozen=True)
class Use:
    """A way to be in use: the relation, what to say of one and of several (`{}`: how many), and what to do first."""

    relation: str
    one: str
    several: str

    def refusal(self, used: Any) -> str:
        """Why what is used so cannot be deleted and what to do first; empty when nothing uses it so."""
        # access: administrators only, who see every document; a number
        number = getattr(used, self.relation).count()
        return "" if not number else self.one if number == 1 else self.several.format(f"{number:,}")


OF_DOCUMENTS = Use(
    "documents",
    "one document still belongs to it. Move it first.",
    "{} documents still belong to it. Move them first.",
)
OF_PEOPLE = Use(
    "members",
    "one person still belongs to it. Take it from them on their page first.",
    "{} people still belong to it. Take it from them on their pages first.",
)
OF_CLAIM_RULES = Use(
    "claim_rules",
    "one claim rule gives it. Change or delete that rule first.",
    "{} claim rules give it. Change or delete them first.",
)


class RefusedWhileInUse(PlainChoices):
    """Something that others refer to: it is deleted only when none does, and the page says how many do."""

    uses: tuple[Use, ...] = (OF_DOCUMENTS,)

    def refusal(self, one: Any) -> str:
        """Why this cannot be deleted, and what to do first; empty when nothing uses it."""
        reasons = [reason for use in self.uses if (reason := use.refusal(one))]
        if not reasons:
            return ""
        first, *others = reasons
        return " ".join([f"{one} cannot be deleted: {first}", *(f"Also, {reason}" for reason in others)])

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Django's own, unless it is in use: then back to its page, with the reason."""
        one = self.get_object(request, unquote(object_id))
        if one and self.has_delete_permission(request, one) and (refusal := self.refusal(one)):
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
        refusals = [refusal for one in objs if (refusal := self.refusal(one))]
        return names, {str(self.opts.verbose_name_plural): len(names)}, set(), refusals

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Django's own. Raises PermissionDenied where somebody began to use it since the page was asked for."""
        with transaction.atomic():
            # Whoever begins to use it needs its row too, and waits.
            self.model._default_manager.select_for_update().filter(pk=obj.pk).first()  # access: shows nothing
            if refusal := self.refusal(obj):
                raise PermissionDenied(refusal)
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Several at once: all of them or none."""
        with transaction.atomic():
            for one in queryset:
                self.delete_model(request, one)


class PlaceAdmin(ReauthenticationRequired, RefusedWhileInUse):
    """Where people belong: rights hang on it, so that a deletion takes a fresh proof and is noted."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Django's own, noted."""
        with transaction.atomic():
            note("place_deleted", actor=request.user, subject=str(obj), request=request, kind=self.opts.model_name)
            super().delete_model(request, obj)


@admin.register(Campus)
class CampusAdmin(PlaceAdmin):
    """The sites of the university."""

    uses = (
        OF_DOCUMENTS,
        OF_PEOPLE,
        Use(
            "departments",
            "one department has its home there. Give it another first.",
            "{} departments have their home there. Give them another first.",
        ),
        OF_CLAIM_RULES,
    )
    list_display = ("name",)
    search_fields = ("name",)


@admin.register(Department)
class DepartmentAdmin(PlaceAdmin):
    """The schools, services and offices that own documents."""

    uses = (
        OF_DOCUMENTS,
        Use(
            "shared_documents",
            "one document is shared with it. Stop sharing that first.",
            "{} documents are shared with it. Stop sharing them first.",
        ),
        OF_PEOPLE,
        Use(
            "curators",
            "one person curates it. Take it from them on their page first.",
            "{} people curate it. Take it from them on their pages first.",
        ),
        Use(
            "phases",
            "one phase of the introduction opens the portal to it. Change that phase first.",
            "{} phases of the introduction open the portal to it. Change them first.",
        ),
        Use(
            "golden_queries",
            "one golden query is asked as one of its people. Change that query first.",
            "{} golden queries are asked as one of its people. Change them first.",
        ),
        OF_CLAIM_RULES,
    )
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
