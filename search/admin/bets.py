"""Best bets in the admin site: which document stands first for which queries, and whether it does at the moment."""

from __future__ import annotations

import re
from typing import Any, ClassVar, cast
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import F, Model, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from accounts.admin import OfferedFiltersOnly, PlainChoices
from accounts.arrival import viewer_of
from accounts.audit import note
from accounts.clearance import Viewer
from accounts.models import User
from ingestion.lexemes import searchable
from ingestion.models import Document
from search import curation
from search.admin.lines import FoundByLines, LinesField
from search.admin.lists import WITHIN, YES, AsList
from search.admin.permission import looks_after_search
from search.models import BestBet
from search.operators import read_operators
from search.query import InvalidQuery, parse_query

MOST_QUERIES = 30
MOST_PLACES = 9
GONE = "cannot be found any more"

_ID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


def _checked(query: str) -> str:
    """A query as people type it. Raises ValidationError where no best bet can be on it."""
    try:
        read = parse_query({"q": query})
    except InvalidQuery as error:
        raise ValidationError([f"{query}: {said}" for errors in error.errors.values() for said in errors]) from None
    marked = read_operators(read.text)
    if read.filters or marked.required or marked.excluded:
        raise ValidationError(f"{query}: without filters and marks, please. A best bet is for plain words.")
    return query


class BestBetForm(forms.ModelForm):
    """A best bet. Its document is one that the person sees."""

    viewer: ClassVar[Viewer]

    queries = LinesField(
        most=MOST_QUERIES,
        help_text="One a line, as people ask it. Case, accents and punctuation do not matter; all of the words do.",
    )
    document = forms.CharField(
        help_text="The address of its page, copied from the browser. You can choose what you can see.",
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = BestBet
        fields = ("queries", "document", "place", "starts_on", "ends_on", "note", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and curation.document_of(self.instance, self.viewer) is None:
            self.initial["document"] = ""
        place = self.fields["place"]
        place.validators += [MinValueValidator(1), MaxValueValidator(MOST_PLACES)]
        place.widget = UnfoldAdminIntegerFieldWidget(attrs={"min": 1, "max": MOST_PLACES})

    def clean_queries(self) -> list[str]:
        """The queries, each of which can be one. Raises ValidationError."""
        return [_checked(query) for query in self.cleaned_data["queries"]]

    def clean_document(self) -> Document:
        """The document behind an address. Raises ValidationError where the person sees none there."""
        found = _ID.search(self.cleaned_data["document"])
        seen = Document.objects.visible_to(self.viewer)
        document: Document | None = seen.filter(pk=UUID(found[0])).first() if found else None
        if document is None:
            raise ValidationError("There is no document that you can see at this address.")
        return document

    def clean(self) -> dict[str, Any]:
        """What the fields say together. Raises ValidationError where no day is meant."""
        said = cast(dict[str, Any], super().clean())
        if said.get("starts_on") and said.get("ends_on") and said["ends_on"] < said["starts_on"]:
            raise ValidationError({"ends_on": "The last day is before the first."})
        return said


def _as_noted(one: BestBet) -> dict[str, Any]:
    """A best bet, for the trail of acts."""
    return {
        "queries": one.queries,
        "document": str(one.document_id) if one.document_id else None,
        "place": one.place,
        "from": str(one.starts_on) if one.starts_on else None,
        "until": str(one.ends_on) if one.ends_on else None,
        "note": one.note,
        "active": one.is_active,
    }


@admin.register(BestBet)
class BestBetAdmin(AsList, FoundByLines, OfferedFiltersOnly, PlainChoices):
    """The best bets that a person may see; the permissions follow from that they look after the search."""

    form = BestBetForm
    columns = ("queries", "document", "title", "place", "from", "until", "note", "active")
    searched_lines = "queries"
    search_fields = ("queries",)
    list_display = ("for_queries", "shown_document", "state", "place")
    list_filter = ("is_active",)
    readonly_fields = ("shown_document", "made_by")
    actions = None
    change_list_template = "admin/search/bestbet/change_list.html"
    fieldsets = (
        ("Who asks this", {"fields": ("queries",)}),
        ("is shown this first", {"fields": ("document", "shown_document", "place")}),
        ("in this time", {"fields": (("starts_on", "ends_on"), "is_active", "note", "made_by")}),
    )

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever looks after the search."""
        return looks_after_search(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The same; which ones, `get_queryset` says."""
        return looks_after_search(request)

    has_add_permission = has_module_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission

    def get_queryset(self, request: HttpRequest) -> QuerySet[BestBet]:
        """Those that this person may see, with the name of the document as far as they may know it."""
        viewer = viewer_of(request)
        name = Coalesce(NullIf("title", Value("")), F("file_name"))
        seen = Document.objects.visible_to(viewer).filter(pk=OuterRef("document_id")).annotate(name=name)
        managed = Document.objects.manageable_by(viewer).filter(pk=OuterRef("document_id")).annotate(name=name)
        return curation.best_bets(viewer).order_by("queries", "pk").annotate(
            seen_name=Subquery(seen.order_by().values("name")[:1]),
            managed_name=Subquery(managed.order_by().values("name")[:1]),
        )  # fmt: skip

    def get_fieldsets(self, request: HttpRequest, obj: BestBet | None = None) -> Any:
        """What can be said; of a new one there is nothing to be told."""
        told = ("shown_document", "made_by") if obj is None else ()
        return [
            (name, {"fields": [field for field in options["fields"] if field not in told]})
            for name, options in self.fieldsets
        ]

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> type[forms.ModelForm]:
        """The form, for what this person may choose."""
        form = super().get_form(request, *args, **kwargs)
        return type("BestBetForm", (form,), {"viewer": viewer_of(request)})

    @admin.display(description="Queries")
    def for_queries(self, bet: BestBet) -> str:
        """The first of them, and how many more."""
        first, *more = bet.queries
        return f"{first} and {len(more)} more" if more else first

    @admin.display(description="Its name")
    def shown_document(self, bet: Any) -> str:
        """Its name, with a link, as far as the person may know it."""
        if bet.pk is None:
            return "–"
        name = bet.seen_name or bet.managed_name
        return format_html('<a href="{}">{}</a>', reverse("document", args=[bet.document_id]), name) if name else GONE

    @admin.display(description="State")
    def state(self, bet: Any) -> str:
        """Whether it is shown at the moment."""
        today = timezone.localdate()
        if not bet.is_active:
            return "not in use"
        if bet.ends_on and bet.ends_on < today:
            return f"over since {date_format(bet.ends_on)}"
        if bet.seen_name is None:
            return GONE
        return f"from {date_format(bet.starts_on)}" if bet.starts_on and bet.starts_on > today else "shown"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list, below those that show nothing."""
        context = {**(extra_context or {}), "broken_bets": curation.broken_bets(viewer_of(request))}
        page: HttpResponse = super().changelist_view(request, extra_context=context)
        return page

    noted = staticmethod(_as_noted)

    # --- As a list -----------------------------------------------------------------------------------------------

    def row_of(self, one: Any) -> dict[str, object]:
        """A best bet as a line; its document as far as the person may know it. The title is there to be read."""
        title = one.seen_name or one.managed_name
        document = reverse("document", args=[one.document_id]) if title else ""
        days = (one.starts_on, one.ends_on)
        said = (WITHIN.join(one.queries), document, title, one.place, *days, one.note, one.is_active)
        return dict(zip(self.columns, said, strict=True))

    def data_of(self, row: dict[str, str]) -> dict[str, str]:
        """A line as the form takes it."""
        data = {
            "queries": row["queries"].replace(WITHIN.strip(), "\n"),
            "document": row["document"],
            "place": row["place"] or "1",
            "starts_on": row["from"],
            "ends_on": row["until"],
            "note": row["note"],
            "is_active": row["active"].casefold() in (YES, "") and "on",
        }
        return {name: value for name, value in data.items() if value}

    def known(self, request: HttpRequest, form: BestBetForm) -> BestBet | None:
        """The best bet on the same document for the same queries."""
        asked = sorted({searchable(query) for query in form.cleaned_data["queries"]})
        return self.get_queryset(request).filter(document=form.cleaned_data["document"], asked=asked).first()

    # --- Changing ------------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: BestBet, form: Any, change: bool) -> None:
        """Django's own, noted with what was before."""
        before = _as_noted(BestBet.objects.get(pk=obj.pk)) if change else None
        if not change:
            obj.made_by = cast(User, request.user)
        super().save_model(request, obj, form, change)
        self._note(request, obj, before, _as_noted(obj))

    def delete_model(self, request: HttpRequest, obj: BestBet) -> None:
        """Django's own, noted."""
        before = _as_noted(obj)
        super().delete_model(request, obj)
        self._note(request, obj, before, None)

    @staticmethod
    def _note(request: HttpRequest, bet: BestBet, before: Any, after: Any) -> None:
        if before != after:
            note("best_bet_changed", actor=request.user, subject=str(bet), request=request, before=before, after=after)
