"""The form for a change of several documents: only what is filled in is changed."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldBooleanWidget,
)

from accounts.clearance import Audience, Clearance, Viewer
from accounts.models import Campus, Department
from ingestion.bulk import Asked
from ingestion.forms import PRIORITIES, DateInput, MomentInput, TagsField
from ingestion.metadata import LABELS, Names, as_json
from ingestion.models import DocumentType

LEAVE = ("", "Leave as it is")
ALL_CAMPUSES = "all"
SHARING = {"add": "Share with these too", "remove": "No longer share with these", "set": "Share with exactly these"}
DATES = ("visible_from", "visible_until", "last_reviewed", "review_by")
EMPTIED = ("visible_from", "visible_until", "review_by")
"""Dates that can be taken away."""


def _select(label: str, *choices: tuple[Any, str], **more: Any) -> forms.ChoiceField:
    return forms.ChoiceField(
        required=False, label=label, choices=[LEAVE, *choices], widget=UnfoldAdminSelectWidget(), **more
    )


def _row(label: str, rows: Any) -> forms.ModelChoiceField:
    return forms.ModelChoiceField(
        rows, required=False, label=label, empty_label=LEAVE[1], widget=UnfoldAdminSelectWidget()
    )


class BulkForm(forms.Form):
    """What shall become different on several documents. A choice that the person may not make is not offered."""

    department = _row(LABELS["department"], Department.objects.all())
    clearance = _select(LABELS["clearance"])
    audience = _select(LABELS["audience"], *Audience.choices)
    sharing = _select("Sharing with other departments", *SHARING.items())
    shared_with = forms.ModelMultipleChoiceField(
        Department.objects.all(),
        required=False,
        label="These departments",
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="They may read a document whose audience is the department.",
    )
    visible_from = forms.DateTimeField(required=False, widget=MomentInput(), help_text="Hidden before this moment.")
    visible_until = forms.DateTimeField(required=False, widget=MomentInput(), help_text="Hidden from this moment.")
    doc_type = _row(LABELS["doc_type"], DocumentType.objects.all())
    campus = _select(LABELS["campus"])
    priority = _select(LABELS["priority"], *PRIORITIES)
    add_tags = TagsField()
    remove_tags = TagsField()
    last_reviewed = forms.DateField(required=False, widget=DateInput())
    review_by = forms.DateField(required=False, label=LABELS["review_by"], widget=DateInput())
    no_visible_from = forms.BooleanField(required=False, label="Take the date away", widget=UnfoldBooleanWidget())
    no_visible_until = forms.BooleanField(required=False, label="Take the date away", widget=UnfoldBooleanWidget())
    no_review_by = forms.BooleanField(
        required=False, label="Take the date away: 24 months after the last review", widget=UnfoldBooleanWidget()
    )

    def __init__(self, *args: Any, viewer: Viewer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not viewer.every_department:
            departments = cast(forms.ModelChoiceField, self.fields["department"])
            departments.queryset = Department.objects.filter(pk__in=viewer.curated)
        clearances, campuses = (cast(forms.ChoiceField, self.fields[name]) for name in ("clearance", "campus"))
        own = [(value, label) for value, label in Clearance.choices if value <= viewer.effective_clearance]
        clearances.choices = [LEAVE, *own]
        campuses.choices = [LEAVE, (ALL_CAMPUSES, "All campuses"), *Campus.objects.values_list("pk", "name")]

    @property
    def readers_fields(self) -> list[forms.BoundField]:
        """What says who may read them, as it stands on the page."""
        return [self[name] for name in ("department", "clearance", "audience", "sharing", "shared_with")]

    @property
    def about_fields(self) -> list[forms.BoundField]:
        """What says what they are."""
        return [self[name] for name in ("doc_type", "campus", "priority", "add_tags", "remove_tags")]

    def clean(self) -> dict[str, Any]:
        """Refuses a form that asks for nothing, and one that asks for two things at once."""
        cleaned = super().clean() or self.cleaned_data
        for name in EMPTIED:
            if cleaned.get(name) and cleaned.get(f"no_{name}"):
                self.add_error(name, "Give a date or take it away, not both.")
        sharing, departments = cleaned.get("sharing"), cleaned.get("shared_with")
        if departments and not sharing:
            self.add_error("sharing", "Say what is to be done with the departments that you ticked.")
        if sharing in ("add", "remove") and not departments:
            self.add_error("shared_with", "Tick at least one department.")
        opens, closes = cleaned.get("visible_from"), cleaned.get("visible_until")
        if opens and closes and closes <= opens:
            self.add_error("visible_until", "This is not after the moment from which they are visible.")
        if not self.errors and not self.asked():
            self.add_error(None, "Nothing is filled in. Choose what is to become different.")
        return cleaned

    def asked(self) -> Asked:
        """What is asked for, of a valid form: only what is filled in."""
        said, asked = self.cleaned_data, Asked()
        for name in ("department", "doc_type"):
            if said[name] is not None:
                asked[name] = said[name].pk
        for name in ("clearance", "priority"):
            if said[name]:
                asked[name] = int(said[name])
        if said["audience"]:
            asked["audience"] = said["audience"]
        if said["sharing"]:
            departments = sorted(department.pk for department in said["shared_with"])
            asked["shared_with"] = {"how": said["sharing"], "departments": departments}
        if said["campus"]:
            asked["campus"] = None if said["campus"] == ALL_CAMPUSES else int(said["campus"])
        asked |= {name: said[name] for name in ("add_tags", "remove_tags") if said[name]}
        asked |= {name: as_json(said[name]) for name in DATES if said[name]}
        return asked | {name: None for name in EMPTIED if said[f"no_{name}"]}


def asked_in_words(asked: Asked, names: Names) -> list[str]:
    """What was asked for, a clause each."""
    clauses = [
        f"{LABELS[name]}: {names.in_words(name, asked[name])}"
        for name in LABELS
        if name in asked and name != "shared_with"
    ]
    if shared := asked.get("shared_with"):
        departments = names.in_words("shared_with", shared["departments"])
        clauses.append(f"{SHARING[shared['how']]}: {departments}")
    for name, label in (("add_tags", "Tags added"), ("remove_tags", "Tags taken away")):
        if asked.get(name):
            clauses.append(f"{label}: {', '.join(asked[name])}")
    if asked.get("reviewed"):
        clauses.append(f"Reviewed on {names.in_words('last_reviewed', asked['reviewed'])}")
    return clauses
