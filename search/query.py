"""What is asked: a form, a JSON body or a query string becomes one frozen `SearchQuery`, or a clear error a field."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from search.operators import read_operators
from search.textfilters import take_filters

MAX_QUERY_LENGTH = 500
MAX_FILTER_VALUES = 50
DEFAULT_PAGE_SIZE = 10
MAX_PAGE_SIZE = 50
MAX_PAGE = 1000


class Mode(StrEnum):
    """Which legs answer: meaning, words, or both."""

    HYBRID = "hybrid"
    SEMANTIC = "semantic"
    KEYWORD = "keyword"


class Sort(StrEnum):
    """In which order: the best first, or what was reviewed, or else came, last."""

    RELEVANCE = "relevance"
    NEWEST = "newest"


@dataclass(frozen=True)
class SearchQuery:
    """One search as it was asked. Filters narrow; an empty one asks for nothing.

    An empty `text` asks for everything that the filters leave, newest first.
    """

    text: str
    departments: tuple[str, ...] = ()
    campuses: tuple[str, ...] = ()
    doc_types: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    min_priority: int | None = None
    reviewed_after: date | None = None
    reviewed_before: date | None = None
    mode: Mode = Mode.HYBRID
    page: int = 1
    page_size: int = DEFAULT_PAGE_SIZE
    sort: Sort = Sort.RELEVANCE

    @property
    def meaning(self) -> str:
        """What is looked for, without the marks of phrases and of required and excluded words: what is embedded."""
        return read_operators(self.text).text

    @property
    def filters(self) -> dict[str, Any]:
        """The filters that are set, by their public names."""
        return {name: value for name in FILTERS if (value := _plain(getattr(self, FILTERS[name])))}

    def querystring(self) -> str:
        """The query string that asks the same; a page of 1 and other defaults are left out."""
        pairs: list[tuple[str, str]] = [("q", self.text)]
        for name, value in self.filters.items():
            pairs += [(name, str(one)) for one in (value if isinstance(value, list) else [value])]
        if self.mode is not Mode.HYBRID:
            pairs.append(("mode", self.mode.value))
        if self.sort is not Sort.RELEVANCE:
            pairs.append(("sort", self.sort.value))
        if self.page_size != DEFAULT_PAGE_SIZE:
            pairs.append(("page_size", str(self.page_size)))
        if self.page != 1:
            pairs.append(("page", str(self.page)))
        return urlencode(pairs)

    def with_page(self, page: int) -> SearchQuery:
        """The same search, another page of it."""
        return replace(self, page=page)

    def without(self, name: str, value: str | None = None) -> SearchQuery:
        """The same search from its first page, without this filter, or without this one value of it."""
        current = getattr(self, FILTERS[name])
        left = tuple(one for one in current if one != value) if isinstance(current, tuple) and value else None
        changes: dict[str, Any] = {FILTERS[name]: left or (() if isinstance(current, tuple) else None)}
        return replace(self, page=1, **changes)

    def having(self, name: str, value: str) -> SearchQuery:
        """The same search from its first page, with one more value of this (repeatable) filter."""
        changes: dict[str, Any] = {FILTERS[name]: (*getattr(self, FILTERS[name]), value)}
        return replace(self, page=1, **changes)


FILTERS = {
    "department": "departments",
    "campus": "campuses",
    "doc_type": "doc_types",
    "language": "languages",
    "tag": "tags",
    "min_priority": "min_priority",
    "reviewed_after": "reviewed_after",
    "reviewed_before": "reviewed_before",
}
"""Public name of a filter -> attribute of `SearchQuery`."""

REPEATABLE = ("department", "campus", "doc_type", "language", "tag")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value.isoformat() if isinstance(value, date) else value


_INVISIBLE = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")
"""Zero-width and direction marks: nobody types them, and shown again they could turn a page's text around. The joiners
(U+200C, U+200D) stay: Persian, the Indic scripts and emoji need them."""


def normalise(text: str) -> str:
    """NFKC; control, private and direction characters and lone surrogates out; white space folded.

    Ordinary words such as DROP stay: safety comes from bound parameters and escaped output.
    """
    kept = (" " if char.isspace() else char for char in unicodedata.normalize("NFKC", text))
    shown = (char for char in kept if char not in _INVISIBLE and unicodedata.category(char) not in ("Cc", "Cs", "Co"))
    return " ".join("".join(shown).split())


def _has_words(text: str) -> bool:
    """Letters, digits and symbols such as emoji can be searched for; punctuation alone cannot."""
    return any(unicodedata.category(char)[0] in "LN" or unicodedata.category(char) == "So" for char in text)


class QueryField(forms.CharField):
    """The words of a search: normalised, at most 500 characters, with something in it that can be searched for."""

    def to_python(self, value: Any) -> str:
        if value is not None and not isinstance(value, str):
            raise ValidationError("This must be text.")
        return normalise(value or "")

    def validate(self, value: str) -> None:
        super().validate(value)
        if len(value) > MAX_QUERY_LENGTH:
            raise ValidationError(
                _("A query may have at most %(most)d characters; this one has %(length)d. Shorten it.")
                % {"most": MAX_QUERY_LENGTH, "length": len(value)}
            )
        if value and not _has_words(value):
            raise ValidationError(_("There is no word in this query. Type at least one letter or digit."))


class ValuesField(forms.Field):
    """A repeatable filter: a list of short texts, doubles and empties dropped."""

    widget = forms.MultipleHiddenInput

    def to_python(self, value: Any) -> tuple[str, ...]:
        values = value if isinstance(value, list | tuple) else [] if value in (None, "") else [value]
        if len(values) > MAX_FILTER_VALUES:
            raise ValidationError(_("At most %(most)d values are allowed.") % {"most": MAX_FILTER_VALUES})
        if any(not isinstance(one, str) for one in values):
            raise ValidationError("Each value must be text.")
        return tuple(dict.fromkeys(cleaned for one in values if (cleaned := normalise(one)[:200])))


class DayField(forms.DateField):
    """A date as text; anything else that JSON can hold is a mistake."""

    def to_python(self, value: Any) -> date | None:
        if value is not None and not isinstance(value, str):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class SearchForm(forms.Form):
    """Validates a search, whichever way it came. Filters may stand alone."""

    q = QueryField(required=False)
    department = ValuesField(required=False)
    campus = ValuesField(required=False)
    doc_type = ValuesField(required=False)
    language = ValuesField(required=False)
    tag = ValuesField(required=False)
    min_priority = forms.IntegerField(required=False, min_value=1, max_value=5)
    reviewed_after = DayField(
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": gettext_lazy("Give a date as YYYY-MM-DD.")},
    )
    reviewed_before = DayField(
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": gettext_lazy("Give a date as YYYY-MM-DD.")},
    )
    mode = forms.ChoiceField(
        required=False,
        choices=[(mode.value, mode.value) for mode in Mode],
        error_messages={"invalid_choice": gettext_lazy("Choose hybrid, semantic or keyword.")},
    )
    sort = forms.ChoiceField(
        required=False,
        choices=[(sort.value, sort.value) for sort in Sort],
        error_messages={"invalid_choice": gettext_lazy("Choose relevance or newest.")},
    )
    page = forms.IntegerField(required=False, min_value=1, max_value=MAX_PAGE)
    page_size = forms.IntegerField(required=False, min_value=1, max_value=MAX_PAGE_SIZE)

    def clean(self) -> dict[str, Any]:
        """Take the filters out of the words, and ask for something to look for."""
        data: dict[str, Any] = self.cleaned_data
        if self.errors:
            return data
        data["q"], typed = take_filters(data["q"])
        if typed and not _has_words(data["q"]):
            data["q"] = ""
        for name, value in typed.items():
            data[name] = tuple(dict.fromkeys((*data[name], *value))) if name in REPEATABLE else value
        if not data["q"] and not any(data[name] for name in FILTERS):
            self.add_error("q", _("Type what you are looking for."))
        return data

    def to_query(self) -> SearchQuery:
        """The query of a valid form."""
        data = self.cleaned_data
        return SearchQuery(
            text=data["q"],
            departments=data["department"],
            campuses=data["campus"],
            doc_types=data["doc_type"],
            languages=data["language"],
            tags=data["tag"],
            min_priority=data["min_priority"],
            reviewed_after=data["reviewed_after"],
            reviewed_before=data["reviewed_before"],
            mode=Mode(data["mode"] or Mode.HYBRID),
            sort=Sort(data["sort"] or Sort.RELEVANCE),
            page=data["page"] or 1,
            page_size=data["page_size"] or DEFAULT_PAGE_SIZE,
        )


class InvalidQuery(ValueError):
    """A search that cannot be run; `errors` names each field and says what to do."""

    def __init__(self, errors: Mapping[str, Iterable[object]]) -> None:
        self.errors = {name: [str(error) for error in found] for name, found in errors.items()}
        super().__init__("; ".join(f"{name}: {' '.join(found)}" for name, found in self.errors.items()))


def parse_query(data: Mapping[str, Any]) -> SearchQuery:
    """The query that a query string (`QueryDict`) or a flat mapping of the public names asks.

    Raises InvalidQuery. Unknown names are ignored, so that addresses survive what mail programs append to them.
    """
    if not isinstance(data, MultiValueDict):
        data = MultiValueDict(
            {name: value if isinstance(value, list) else [value] for name, value in data.items() if value is not None}
        )
    form = SearchForm(data)
    if not form.is_valid():
        raise InvalidQuery(dict(form.errors))
    return form.to_query()


def search_behind(given: MultiValueDict[str, Any]) -> SearchQuery | None:
    """The search that a document's address carries along, or None. Its `page`, if any, is the document's own."""
    asked = given.copy()
    asked.pop("page", None)
    try:
        return parse_query(asked)
    except InvalidQuery:
        return None


def parse_body(body: Any) -> SearchQuery:
    """The query of a JSON body `{query, filters{}, mode, page, page_size}`. Raises InvalidQuery."""
    if not isinstance(body, dict):
        raise InvalidQuery({"non_field_errors": ["Send a JSON object with at least a query."]})
    filters = body.get("filters")
    if filters is None:
        filters = {}
    if not isinstance(filters, dict):
        raise InvalidQuery({"filters": ["This must be an object."]})
    unknown = sorted(set(body) - {"query", "q", "filters", "mode", "sort", "page", "page_size"})
    unknown += [f"filters.{name}" for name in sorted(set(filters) - set(FILTERS))]
    if unknown:
        raise InvalidQuery({name[:100]: ["Unknown field."] for name in unknown})
    flat = {"q": body.get("query", body.get("q")), **filters}
    flat |= {name: body.get(name) for name in ("mode", "sort", "page", "page_size")}
    if several := [name for name, value in flat.items() if name not in REPEATABLE and isinstance(value, list | dict)]:
        raise InvalidQuery({_in_body(name): ["Give one value."] for name in several})
    try:
        return parse_query(flat)
    except InvalidQuery as error:
        raise InvalidQuery({_in_body(name): found for name, found in error.errors.items()}) from None


def _in_body(name: str) -> str:
    """Where a JSON body has what the query string calls so."""
    return "query" if name == "q" else f"filters.{name}" if name in FILTERS else name
