"""Synonyms in the admin site: groups of words of the same meaning, and a page that says what a query becomes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.admin import OfferedFiltersOnly, PlainChoices
from accounts.audit import note
from ingestion.lexemes import TEXT_SEARCH_CONFIGS, phrase
from search import curation
from search.admin.lines import FoundByLines, LinesField
from search.admin.lists import WITHIN, YES, AsList
from search.admin.permission import looks_after_search
from search.models import SynonymGroup
from search.operators import read_operators
from search.presentation import language_name
from search.query import InvalidQuery, QueryField, SearchQuery, parse_query
from search.words import read_words

FEWEST_TERMS, MOST_TERMS = 2, 12
MOST_WORDS = 6
"""Words of one term."""

LONGEST_TERM = 100


def _checked(term: str) -> str:
    """A term as it is written. Raises ValidationError where the search could not look for it."""
    if len(term) > LONGEST_TERM or len(phrase(term)) > MOST_WORDS:
        raise ValidationError(f"{term[:LONGEST_TERM]}: at most {MOST_WORDS} words and {LONGEST_TERM} characters.")
    if not phrase(term):
        raise ValidationError(f"{term}: there is no word in it.")
    marked = read_operators(term)
    if marked.required or marked.excluded or parse_query({"q": term}).filters:
        raise ValidationError(f"{term}: without quotation marks, signs and filters, please.")
    return term


class SynonymForm(forms.ModelForm):
    """A group of synonyms."""

    terms = LinesField(
        most=MOST_TERMS,
        label="Words",
        help_text="Words or phrases of the same meaning, one a line, each in its usual form: “student cards” is known "
        "to be “student card”, as far as endings tell.",
    )

    class Meta:
        model = SynonymGroup
        fields = ("terms", "one_way", "language", "note", "is_active")
        widgets = {"language": UnfoldAdminSelectWidget()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = {code for code in settings.SEARCH_LANGUAGES if code in TEXT_SEARCH_CONFIGS}
        known |= {self.instance.language} - {""}
        offered = sorted((language_name(code), code) for code in known)
        choices = [("", "any"), *((code, name) for name, code in offered)]
        self.fields["language"] = forms.ChoiceField(
            choices=choices,
            required=False,
            help_text="In which the words are inflected. Leave it open unless another language has the same words.",
            widget=UnfoldAdminSelectWidget(choices=choices),
        )

    def clean_terms(self) -> list[str]:
        """The terms, each another one. Raises ValidationError."""
        terms: list[str] = self.cleaned_data["terms"]
        if len(terms) < FEWEST_TERMS:
            raise ValidationError("At least two: what means the same as what?")
        try:
            distinct = {" ".join(phrase(_checked(term))): term for term in terms}
        except InvalidQuery as error:
            raise ValidationError([said for errors in error.errors.values() for said in errors]) from None
        if len(distinct) < len(terms):
            raise ValidationError("Two of these are the same to the search: case, accents and marks do not matter.")
        return terms


def _as_noted(one: SynonymGroup) -> dict[str, Any]:
    """A group, for the trail of acts."""
    return {
        "terms": one.terms,
        "one_way": one.one_way,
        "language": one.language,
        "note": one.note,
        "active": one.is_active,
    }


class TryForm(forms.Form):
    """A query to look at."""

    q = QueryField(label="Query", help_text="As somebody would type it.", widget=UnfoldAdminTextInputWidget)


@admin.register(SynonymGroup)
class SynonymGroupAdmin(AsList, FoundByLines, OfferedFiltersOnly, PlainChoices):
    """Synonyms, which hold for every search; for whoever looks after the search."""

    form = SynonymForm
    columns = ("words", "one_way", "language", "note", "active")
    searched_lines = "terms"
    search_fields = ("terms",)
    list_display = ("group", "in_language", "note", "is_active")
    list_filter = ("is_active", "one_way")
    readonly_fields = ("becomes",)
    actions = None
    change_list_template = "admin/search/synonymgroup/change_list.html"
    fieldsets = (
        ("These mean the same", {"fields": ("terms", "one_way", "language", "becomes")}),
        ("Beside that", {"fields": ("is_active", "note")}),
    )

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever looks after the search."""
        return looks_after_search(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The same."""
        return looks_after_search(request)

    has_add_permission = has_module_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission

    @admin.display(description="Words")
    def group(self, one: SynonymGroup) -> str:
        """All of them."""
        return str(one)

    @admin.display(description="Language")
    def in_language(self, one: SynonymGroup) -> str:
        """Its name."""
        return language_name(one.language) if one.language else "any"

    @admin.display(description="What a query becomes")
    def becomes(self, one: Any) -> str:
        """For each term what the search is given when somebody asks for it alone, by all groups in use."""
        if one.pk is None:
            return "Told once it is saved."
        given = ((term, ", ".join(curation.curated(SearchQuery(text=term)).synonyms) or "–") for term in one.terms)
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{} → {}</li>", given))

    def get_urls(self) -> list[URLPattern]:
        """The page to try a query, beside Django's own."""
        page = self.admin_site.admin_view(self.try_view)
        return [path("try/", page, name="search_synonymgroup_try"), *super().get_urls()]

    def try_view(self, request: HttpRequest) -> HttpResponse:
        """What a query becomes, as the groups stand."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = TryForm(request.GET if "q" in request.GET else None)
        curated = None
        if form.is_valid():
            try:
                curated = curation.curated(parse_query({"q": form.cleaned_data["q"]}))
            except InvalidQuery as error:
                form.add_error("q", [said for errors in error.errors.values() for said in errors])
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "What a query becomes",
            "form": form,
            "curated": curated,
        }
        return TemplateResponse(request, "admin/search/synonymgroup/try.html", context)

    noted = staticmethod(_as_noted)

    # --- As a list -----------------------------------------------------------------------------------------------

    def row_of(self, one: SynonymGroup) -> dict[str, object]:
        """A group as a line."""
        return dict(zip(self.columns, (WITHIN.join(one.terms), one.one_way, one.language, one.note, one.is_active),
                        strict=True))  # fmt: skip

    def data_of(self, row: dict[str, str]) -> dict[str, str]:
        """A line as the form takes it."""
        data = {
            "terms": row["words"].replace(WITHIN.strip(), "\n"),
            "language": row["language"],
            "note": row["note"],
            "one_way": row["one_way"].casefold() == YES and "on",
            "is_active": row["active"].casefold() in (YES, "") and "on",
        }
        return {name: value for name, value in data.items() if value}

    def known(self, request: HttpRequest, form: SynonymForm) -> SynonymGroup | None:
        """The group of the same words in the same language, in whatever order."""
        terms = {" ".join(phrase(term)) for term in form.cleaned_data["terms"]}
        return next(
            (one for one in SynonymGroup.objects.filter(language=form.cleaned_data["language"])
             if {" ".join(phrase(term)) for term in one.terms} == terms),
            None,
        )  # fmt: skip

    # --- Changing ------------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: SynonymGroup, form: Any, change: bool) -> None:
        """Saves it with the forms of its words, notes it, and warns of words that stand in nearly every question."""
        before = _as_noted(SynonymGroup.objects.get(pk=obj.pk)) if change else None
        curation.settle(obj)
        self._note(request, obj, before, _as_noted(obj))
        asked = obj.terms[:1] if obj.one_way else obj.terms
        if common := [term for term in asked if all(word.common for word in read_words(term).words)]:
            said = f"So common that many questions hold it without meaning it: {', '.join(common)}. Try a few queries."
            self.message_user(request, said, messages.WARNING)

    def delete_model(self, request: HttpRequest, obj: SynonymGroup) -> None:
        """Django's own, noted."""
        before = _as_noted(obj)
        super().delete_model(request, obj)
        self._note(request, obj, before, None)

    @staticmethod
    def _note(request: HttpRequest, group: SynonymGroup, before: Any, after: Any) -> None:
        if before != after:
            note(
                "synonyms_changed", actor=request.user, subject=str(group), request=request, before=before, after=after
            )
