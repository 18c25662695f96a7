"""Curators' forms: what may be said about a document, and by whom.

Choices leave out what the person may not set; `clean` refuses it once more, because a choice can be posted by hand and
what a document already has stays choosable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.conf import settings
from django.conf.locale import LANG_INFO
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from unfold.widgets import (
    BASE_INPUT_CLASSES,
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.clearance import Audience, Clearance, Viewer
from accounts.models import Campus, Department
from accounts.readership import Access
from ingestion.audience import AudienceChange, access_of, readers_of, reclassification
from ingestion.metadata import WHO_READS
from ingestion.models import Document, DocumentType
from ingestion.registration import DocumentMetadata
from ingestion.tags import InvalidTag, clean_names, tags_named
from ingestion.trail import state_of

LANGUAGES: dict[str, str] = {
    code: info["name"]
    for code, info in sorted(LANG_INFO.items(), key=lambda pair: str(pair[1].get("name")))
    if len(code) == 2 and "name" in info
} | {"zh": "Chinese", "no": "Norwegian"}
"""ISO 639-1 code -> English name, for those that Django knows."""

MAX_FILES_PER_BATCH = 2_000
"""Files that the browser sends one by one for one upload; more are a matter for `ingest_folder`."""

PRIORITIES = (
    (1, "1 – stub"),
    (2, "2 – background"),
    (3, "3 – ordinary"),
    (4, "4 – important"),
    (5, "5 – authoritative"),
)


class DateInput(forms.DateInput):
    """The browser's own date field: no script, and everybody's calendar."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(attrs={"class": " ".join(BASE_INPUT_CLASSES)}, format="%Y-%m-%d")


class MomentInput(forms.DateTimeInput):
    """The browser's own field for a date and a time."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(attrs={"class": " ".join(BASE_INPUT_CLASSES)}, format="%Y-%m-%dT%H:%M")


class SeveralFilesInput(forms.FileInput):
    """A file field that takes several files; browsers let people drop files onto it."""

    allow_multiple_selected = True


class SeveralFilesField(forms.FileField):
    """One or more files. Empty ones pass: each file's fate is told on its own."""

    widget = SeveralFilesInput(attrs={"class": "file-drop"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_empty_file=True, **kwargs)

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        """The uploaded files. Raises ValidationError when there is none, or too many."""
        files = [super(SeveralFilesField, self).clean(one, initial) for one in data or [None]]
        if len(files) > settings.MAX_FILES_PER_UPLOAD:
            raise ValidationError(
                f"These are {len(files)} files. Up to {settings.MAX_FILES_PER_UPLOAD} can be uploaded at once."
            )
        return files


class TagsField(forms.CharField):
    """Tags as words between commas."""

    def __init__(self) -> None:
        super().__init__(
            required=False,
            max_length=600,
            help_text="Separated by commas.",
            widget=UnfoldAdminTextInputWidget(),
        )

    def prepare_value(self, value: Any) -> Any:
        """Tags of a document as text; what a person typed stays as it is."""
        return value if isinstance(value, str) or value is None else ", ".join(tag.name for tag in value)

    def clean(self, value: Any) -> list[str]:
        """The names, each once. Raises ValidationError for a name that no tag may have."""
        try:
            return clean_names(super().clean(value).split(","))
        except InvalidTag as error:
            raise ValidationError(str(error)) from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether other tags are asked for than there are."""
        return super().has_changed(self.prepare_value(initial), data)


class WithinRights(forms.BaseForm):
    """What any form about documents checks: department and clearance are the person's to give."""

    viewer: Viewer
    """Who fills the form in."""
    current: Document | None = None
    """The document as it stands, or None when it is new."""

    def offer_only_what_is_allowed(self) -> None:
        """Leave out of the choices what the person may not set. What the document has now stays."""
        if "department" not in self.fields:
            return
        if not self.viewer.every_department:
            own = set(self.viewer.curated) | ({self.current.department_id} if self.current else set())
            departments = cast(forms.ModelChoiceField, self.fields["department"])
            departments.queryset = Department.objects.filter(pk__in=own)
        clearances, languages = (cast(forms.ChoiceField, self.fields[name]) for name in ("clearance", "language"))
        clearances.choices = [(value, label) for value, label in Clearance.choices if self._may_set_clearance(value)]
        language = self.current.language if self.current else ""
        known = LANGUAGES if language in ("", *LANGUAGES) else {language: language, **LANGUAGES}
        languages.choices = [("", "Found by itself"), *known.items()]

    def _may_set_clearance(self, value: int) -> bool:
        return value <= self.viewer.effective_clearance or bool(self.current and self.current.clearance == value)

    def _may_set_department(self, department: Department) -> bool:
        if self.viewer.may_file_under(department.pk):
            return True
        return bool(self.current and self.current.department_id == department.pk)

    def clean(self) -> dict[str, Any]:
        """Refuses a clearance above the person's own, a department that is not theirs, and a window without room."""
        cleaned = super().clean() or self.cleaned_data
        clearance, department = cleaned.get("clearance"), cleaned.get("department")
        if clearance and not self._may_set_clearance(clearance):
            self.add_error("clearance", f"Your own clearance is {self.viewer.effective_clearance}; choose a lower one.")
        if department and not self._may_set_department(department):
            self.add_error("department", f"You do not curate {department}. Choose a department that you curate.")
        current = self.current
        if current and not self.viewer.may_reclassify(current.clearance, current.department_id):
            for name in WHO_READS.intersection(self.changed_data):
                self.add_error(name, "This document was restricted beyond your own rights; leave this as it is.")
        opens, closes = cleaned.get("visible_from"), cleaned.get("visible_until")
        if opens and closes and closes <= opens:
            self.add_error("visible_until", "This is not after the moment from which it is visible.")
        return cleaned


def _choice(**kwargs: Any) -> forms.TypedChoiceField:
    """A field for a small number that has names."""
    return forms.TypedChoiceField(coerce=int, widget=UnfoldAdminSelectWidget(), **kwargs)


def _clearance() -> forms.TypedChoiceField:
    return _choice(choices=Clearance.choices, help_text="The lowest clearance that a reader needs.")


def _priority() -> forms.TypedChoiceField:
    return _choice(choices=PRIORITIES, initial=3, help_text="A higher one ranks a little higher.")


def _language() -> forms.ChoiceField:
    return forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget())


def _shared_with() -> forms.ModelMultipleChoiceField:
    return forms.ModelMultipleChoiceField(
        Department.objects.all(),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="Further departments that may read it when the audience is the department.",
    )


class DocumentForm(WithinRights, forms.ModelForm):
    """What is known about a document. An emptied title or language is found in the file again.

    A change that lets people see the document who did not, or takes it from people who did, is valid only once it is
    `confirmed`: until then the form has a `question`.
    """

    confirmed = ""
    """The token of the change that the person has confirmed."""
    going_back = False
    """Whether the person came back from the question to go on with the form, which then must not be saved."""
    question: AudienceChange | None = None

    title = forms.CharField(
        required=False,
        max_length=300,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Left empty, it is taken from the file.",
    )
    language = _language()
    clearance = _clearance()
    priority = _priority()
    shared_with = _shared_with()
    tags = TagsField()

    class Meta:
        model = Document
        fields = (
            "title",
            "doc_type",
            "language",
            "campus",
            "priority",
            "tags",
            "last_reviewed",
            "review_by",
            "department",
            "clearance",
            "audience",
            "shared_with",
            "visible_from",
            "visible_until",
        )
        widgets = {
            "last_reviewed": DateInput(),
            "review_by": DateInput(),
            "visible_from": MomentInput(),
            "visible_until": MomentInput(),
        }
        field_classes = {"visible_from": forms.DateTimeField, "visible_until": forms.DateTimeField}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.current = self.instance
        self.access = access_of(self.instance)
        self.before = state_of(self.instance) if self.is_bound else {}
        cast(forms.ModelChoiceField, self.fields["campus"]).empty_label = "All campuses"
        self.offer_only_what_is_allowed()
        if self.instance.is_attachment:
            for name in WHO_READS:
                # A browser's change of these would come to nothing: the database takes them from the mail.
                self.fields[name].disabled = True

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.going_back:
            self.add_error(None, "Nothing is saved yet. Change what you like, and save again.")
        if self.errors or not WHO_READS.intersection(self.changed_data):
            return
        change = reclassification(self.instance, self.access, self._access_asked_for())
        if change.effects and change.token != self.confirmed:
            self.question = change
            self.add_error(None, "This changes who sees the document, and is not confirmed yet. Nothing was saved.")

    def _access_asked_for(self) -> Access:
        """What the access rule will read once this is saved."""
        asked = self.cleaned_data
        return Access(
            clearance=asked["clearance"],
            readers=readers_of(asked["audience"], asked["department"], asked["shared_with"]),
            is_searchable=self.access.is_searchable,
            visible_from=asked["visible_from"],
            visible_until=asked["visible_until"],
        )

    def _save_m2m(self) -> None:
        self.cleaned_data["tags"] = tags_named(self.cleaned_data["tags"], self.viewer)
        super()._save_m2m()  # type: ignore[misc]


@dataclass(frozen=True)
class Upload:
    """What a filled-in upload form asks for."""

    files: list[UploadedFile]
    metadata: DocumentMetadata


class MetadataForm(WithinRights, forms.Form):
    """What is to be said about all files of an upload."""

    title = forms.CharField(
        required=False,
        max_length=300,
        widget=UnfoldAdminTextInputWidget(),
        help_text="For a single file. Left empty, it is taken from the file.",
    )
    department = forms.ModelChoiceField(
        Department.objects.all(), empty_label="Choose a department", widget=UnfoldAdminSelectWidget()
    )
    doc_type = forms.ModelChoiceField(
        DocumentType.objects.all(), label="Type", empty_label="Choose a type", widget=UnfoldAdminSelectWidget()
    )
    campus = forms.ModelChoiceField(
        Campus.objects.all(), required=False, empty_label="All campuses", widget=UnfoldAdminSelectWidget()
    )
    clearance = _clearance()
    audience = forms.ChoiceField(
        choices=Audience.choices, initial=Audience.DEPARTMENT, widget=UnfoldAdminSelectWidget()
    )
    shared_with = _shared_with()
    language = _language()
    priority = _priority()
    tags = TagsField()
    last_reviewed = forms.DateField(required=False, widget=DateInput())
    visible_from = forms.DateTimeField(required=False, widget=MomentInput(), help_text="Hidden before this moment.")
    visible_until = forms.DateTimeField(required=False, widget=MomentInput(), help_text="Hidden from this moment.")

    def __init__(self, *args: Any, viewer: Viewer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.viewer = viewer
        self.offer_only_what_is_allowed()
        self.fields["clearance"].initial = viewer.effective_clearance
        if len(self.departments) == 1:
            self.fields["department"].initial = self.departments[0]

    @property
    def readers_fields(self) -> list[forms.BoundField]:
        """What says who may read them, as it stands on the page."""
        return [self[name] for name in ("department", "clearance", "audience", "shared_with")]

    @property
    def about_fields(self) -> list[forms.BoundField]:
        """What says what they are."""
        return [self[name] for name in ("doc_type", "campus", "language", "title", "tags", "priority")]

    @property
    def departments(self) -> list[Department]:
        """Those that the person may file documents under."""
        return list(cast(forms.ModelChoiceField, self.fields["department"]).queryset or ())

    def refuse_title_of_several(self, number: int) -> None:
        """Refuses one title for so many files."""
        if self.cleaned_data.get("title") and number > 1:
            self.add_error("title", "One title cannot be given to several files. Leave it empty, or upload one file.")


class UploadForm(MetadataForm):
    """Several files, and what is to be said about all of them."""

    originals = SeveralFilesField()

    def clean(self) -> dict[str, Any]:
        """Refuses one title for several files."""
        cleaned = super().clean()
        self.refuse_title_of_several(len(cleaned.get("originals") or ()))
        return cleaned

    def upload(self) -> Upload:
        """The files and their metadata, of a valid form."""
        said = {**self.cleaned_data}
        files = said.pop("originals")
        said["tags"], said["shared_with"] = tuple(said["tags"]), tuple(said["shared_with"])
        return Upload(files, DocumentMetadata(**said))


class AnnouncedUploadForm(MetadataForm):
    """What is to be said about files that are sent afterwards, one by one."""

    announced = forms.IntegerField(
        min_value=1,
        max_value=MAX_FILES_PER_BATCH,
        error_messages={"max_value": f"Up to {MAX_FILES_PER_BATCH:,} files can be sent at once. Choose fewer."},
    )

    def clean(self) -> dict[str, Any]:
        """Refuses one title for several files."""
        cleaned = super().clean()
        self.refuse_title_of_several(cleaned.get("announced") or 0)
        return cleaned


class ReplacementForm(forms.Form):
    """A new original for a document."""

    file = forms.FileField(
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"class": "file-drop"}),
        help_text="What is searched now stays until the new file has been read.",
    )
