"""The phases of the introduction, and groups of people to invite, in the admin site, for administrators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import date_format
from unfold.widgets import (
    BASE_INPUT_CLASSES,
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldBooleanWidget,
)

from accounts.admin.administrators import AdministratorsOnly
from accounts.admin.people import RefusedWhileInUse, Use
from accounts.arrival import viewer_of
from accounts.audit import note
from accounts.clearance import AUDITORS, CURATORS, LIBRARIANS
from accounts.models import Phase, User
from accounts.reauthentication import ReauthenticationRequired
from accounts.rollout import admission_of, admitted_people, people_of

CONFIRMED = "_confirmed"
"""Name in the form: the administrator has read what the change takes from people."""
GOING_BACK = "_back"
"""Name in the form: they came back from that question to go on with the form, which then must not be saved."""


@dataclass(frozen=True)
class Opening:
    """To whom the portal is open at one moment: ids of people, and whether to those who are not signed in."""

    people: frozenset[int]
    nameless: bool
    total: int

    @classmethod
    def now(cls) -> Opening:
        """As it stands in the database."""
        people = frozenset(admitted_people().values_list("pk", flat=True))
        total = User.objects.filter(is_active=True).count()
        return cls(people, settings.PUBLIC_SEARCH and admission_of(None).admitted, total)


@dataclass(frozen=True)
class Effect:
    """What a change of the phases does at once."""

    before: Opening
    after: Opening

    @property
    def lost(self) -> int:
        """How many people can no longer use the portal."""
        return len(self.before.people - self.after.people)

    @property
    def gained(self) -> int:
        """How many people can use it who could not before."""
        return len(self.after.people - self.before.people)

    @property
    def closed_to_the_nameless(self) -> bool:
        """Whether people who are not signed in lose it."""
        return self.before.nameless and not self.after.nameless

    @property
    def opened_to_the_nameless(self) -> bool:
        """Whether people who are not signed in gain it."""
        return self.after.nameless and not self.before.nameless

    @property
    def takes_away(self) -> bool:
        """Whether anybody loses the portal."""
        return bool(self.lost) or self.closed_to_the_nameless

    def __str__(self) -> str:
        said = f"The portal is now open to {len(self.after.people):,} of {self.after.total:,} people"
        said += ", and without signing in." if self.after.nameless else "."
        changes = [f"{self.gained:,} gained it"] if self.gained else []
        changes += [f"{self.lost:,} lost it"] if self.lost else []
        return f"{said} {' and '.join(changes).capitalize()}." if changes else said


def groups_to_invite() -> QuerySet[Group]:
    """Groups that give no rights; librarians and curators are let in anyway, and auditors audit."""
    return Group.objects.exclude(name__in=(LIBRARIANS, CURATORS, AUDITORS)).order_by("name")


class MomentInput(forms.DateTimeInput):
    """The browser's own field for a date and a time."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(attrs={"class": " ".join(BASE_INPUT_CLASSES)}, format="%Y-%m-%dT%H:%M")


class PhaseForm(forms.ModelForm):
    """A phase. Dates are of the university's clock."""

    going_back = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups = cast(forms.ModelMultipleChoiceField, self.fields["groups"])
        groups.queryset = groups_to_invite()
        # Without the button that removes all: it would stand in a list of which it is no line.
        self.fields["people"].widget.is_required = True

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.going_back:
            self.add_error(None, "Nothing is saved yet. Change what you like, and save again.")

    class Meta:
        model = Phase
        fields = ("name", "starts_at", "ends_at", "everyone", "departments", "groups", "people", "percentage")
        field_classes = {"starts_at": forms.DateTimeField, "ends_at": forms.DateTimeField}
        widgets = {
            "starts_at": MomentInput(),
            "ends_at": MomentInput(),
            "everyone": UnfoldBooleanWidget(),
            "departments": UnfoldAdminCheckboxSelectMultipleWidget(),
            "groups": UnfoldAdminCheckboxSelectMultipleWidget(),
            "percentage": UnfoldAdminIntegerFieldWidget(attrs={"min": 0, "max": 100}),
        }
        help_texts = {
            "starts_at": f"By the university's clock ({settings.TIME_ZONE}). Those whom it lets in are told this day.",
            "ends_at": "Leave empty for no end. From this moment it admits nobody, whom it had let in included.",
            "departments": "All who belong to one of these.",
            "groups": "All who are in one of these. Make them under Groups to invite; add people on their own pages.",
            "people": "Type a part of a name, user name or address. They are in whatever the percentage is.",
        }


def _as_noted(phase: Phase) -> dict[str, Any]:
    """A phase, for the trail of acts."""
    return {
        "name": phase.name,
        "starts_at": phase.starts_at.isoformat(),
        "ends_at": phase.ends_at.isoformat() if phase.ends_at else None,
        "everyone": phase.everyone,
        "percentage": phase.percentage,
        "people": sorted(phase.people.values_list("username", flat=True)),
        "groups": sorted(phase.groups.values_list("name", flat=True)),
        "departments": sorted(phase.departments.values_list("name", flat=True)),
    }


@admin.register(Phase)
class PhaseAdmin(ReauthenticationRequired, AdministratorsOnly):
    """The phases. A change that takes the portal from people says from how many, and is done when that is confirmed."""

    form = PhaseForm
    change_list_template = "admin/accounts/phase/change_list.html"
    change_form_template = "admin/accounts/phase/change_form.html"
    delete_confirmation_template = "admin/accounts/phase/delete.html"
    list_display = ("name", "state", "starts", "ends", "whom", "share", "people_now")
    autocomplete_fields = ("people",)
    actions = None
    fieldsets = (
        ("When", {"fields": ("name", ("starts_at", "ends_at"))}),
        ("To whom it opens the portal", {"fields": ("everyone", "departments", "groups", "percentage")}),
        ("And to these, by name", {"fields": ("people",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Phase]:
        """Phases with whom they are for at hand."""
        phases: QuerySet[Phase] = super().get_queryset(request)
        return phases.prefetch_related("departments", "groups").annotate(invited_count=Count("people"))

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The list, which says first to how many people the portal is open now."""
        context = {**(kwargs.pop("extra_context", None) or {}), "opening": Opening.now()}
        return super().changelist_view(request, *args, extra_context=context, **kwargs)

    # --- The list ------------------------------------------------------------------------------------------------

    @admin.display(description="State")
    def state(self, phase: Phase) -> str:
        """Whether it is still to come, runs, or is over."""
        now = timezone.now()
        if phase.starts_at > now:
            return "planned"
        return "over" if phase.ends_at and phase.ends_at <= now else "running"

    @admin.display(description="Starts", ordering="starts_at")
    def starts(self, phase: Phase) -> str:
        """By the university's clock."""
        return _moment(phase.starts_at)

    @admin.display(description="Ends", ordering="ends_at")
    def ends(self, phase: Phase) -> str:
        """By the university's clock."""
        return _moment(phase.ends_at) if phase.ends_at else "no end"

    @admin.display(description="For")
    def whom(self, phase: Any) -> str:
        """In a few words."""
        places = [str(one) for one in (*phase.departments.all(), *phase.groups.all())]
        invited = phase.invited_count
        named = [f"{invited:,} invited by name"] if invited else []
        if phase.everyone:
            return " and ".join(["everyone", *named])
        return ", ".join([*places[:3], *([f"{len(places) - 3} more"] if places[3:] else []), *named]) or "nobody"

    @admin.display(description="Share")
    def share(self, phase: Phase) -> str:
        """The percentage."""
        return f"{phase.percentage} %"

    @admin.display(description="People")
    def people_now(self, phase: Phase) -> str:
        """How many people it admits, or would if it ran now."""
        return f"{people_of(phase).count():,}"

    # --- Changing ------------------------------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> type[forms.ModelForm]:
        """The form, which knows whether somebody comes back to it."""
        form = super().get_form(request, *args, **kwargs)
        return type(form.__name__, (form,), {"going_back": GOING_BACK in request.POST})

    def save_model(self, request: HttpRequest, obj: Phase, form: Any, change: bool) -> None:
        """Django's own; remembers what was before."""
        viewer_of(request)  # whoever asks is who they were before the change, which may be taken back
        form.before = _as_noted(Phase.objects.get(pk=obj.pk)) if change else None
        form.opening = Opening.now()
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Django's own; then notes what was done and what it did."""
        super().save_related(request, form, formsets, change)
        after = _as_noted(form.instance)
        request.effect = Effect(form.opening, Opening.now())  # type: ignore[attr-defined]
        if after != form.before:
            self._note(request, form.instance.name, form.before, after)

    @staticmethod
    def _note(request: HttpRequest, name: str, before: Any, after: Any) -> None:
        effect: Effect = request.effect  # type: ignore[attr-defined]
        done = {"before": before, "after": after, "gained": effect.gained, "lost": effect.lost}
        note("phase_changed", actor=request.user, subject=name, request=request, **done)

    def response_add(self, request: HttpRequest, obj: Phase, *args: Any, **kwargs: Any) -> HttpResponse:
        """Back to the list, or the question whether it is really meant."""
        return self._asked_first(request) or super().response_add(request, obj, *args, **kwargs)

    def response_change(self, request: HttpRequest, obj: Phase) -> HttpResponse:
        """Back to the list, or the question whether it is really meant."""
        return self._asked_first(request) or super().response_change(request, obj)

    def _asked_first(self, request: HttpRequest) -> HttpResponse | None:
        """Takes everything back and asks, where people would lose the portal and nobody has confirmed that.

        Nothing is guessed: the change was made, counted, and is now rolled back.
        """
        effect: Effect = request.effect  # type: ignore[attr-defined]
        if not effect.takes_away or CONFIRMED in request.POST:
            self.message_user(request, str(effect), messages.INFO)
            return None
        transaction.set_rollback(True)
        request.current_app = self.admin_site.name
        sent = [(name, value) for name, values in request.POST.lists() for value in values]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Close the portal to people?",
            "effect": effect,
            "sent": [pair for pair in sent if pair[0] not in ("csrfmiddlewaretoken", GOING_BACK)],
            "confirmed": CONFIRMED,
            "going_back": GOING_BACK,
        }
        return TemplateResponse(request, "admin/accounts/phase/confirm.html", context)

    # --- Deleting ------------------------------------------------------------------------------------------------

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Django's own, which says what it would do to people."""
        phase = self.get_object(request, object_id) if self.has_delete_permission(request) else None
        context = {**(extra_context or {})}
        if phase is not None and request.method == "GET":
            with transaction.atomic():
                before = Opening.now()
                Phase.objects.filter(pk=phase.pk).delete()
                context["effect"] = Effect(before, Opening.now())
                context["last"] = not Phase.objects.exists()
                transaction.set_rollback(True)
        return super().delete_view(request, object_id, context)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """The phases alone: whom they were for is no loss of its own."""
        names = [str(one) for one in objs]
        return names, {str(self.opts.verbose_name_plural): len(names)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Phase) -> None:
        """Django's own, noted."""
        opening, before = Opening.now(), _as_noted(obj)
        super().delete_model(request, obj)
        request.effect = Effect(opening, Opening.now())  # type: ignore[attr-defined]
        self._note(request, before["name"], before, None)
        self.message_user(request, str(request.effect), messages.INFO)  # type: ignore[attr-defined]


def _moment(moment: Any) -> str:
    """A moment by the university's clock."""
    return date_format(timezone.localtime(moment), "j F Y, H:i")


@admin.register(Group)
class GroupAdmin(ReauthenticationRequired, RefusedWhileInUse, AdministratorsOnly):
    """Groups of people to invite together. They give no rights; those of librarians and curators stay as they are."""

    # People who are in it lose nothing but an invitation that nobody has made.
    uses = (
        Use(
            "phases",
            "one phase of the introduction opens the portal to it. Take it out of that phase first.",
            "{} phases of the introduction open the portal to it. Take it out of them first.",
        ),
    )
    fields = ("name",)
    list_display = ("name", "people")
    search_fields = ("name",)
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """Groups with how many people are in each; those that give rights are given with the person."""
        return groups_to_invite().annotate(people_count=Count("user", distinct=True))

    @admin.display(description="People", ordering="people_count")
    def people(self, group: Any) -> int:
        """How many people are in it."""
        return int(group.people_count)
