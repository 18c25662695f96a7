"""A search's answer as links: what the page shows beside the hits, and where each of it leads. Pure; no database."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import get_language_info
from django.utils.translation import gettext_lazy as _

from search.page import FacetValue, Hit, Passage, SearchPage
from search.query import MAX_PAGE, SearchQuery, Sort
from search.reviewed import ReviewAge, review_age

FACETS: dict[str, Promise] = {
    "doc_type": _("Type"),
    "department": _("Department"),
    "campus": _("Campus"),
    "language": _("Language"),
}
"""The facets in the order of the page, with their headings."""

FILTER_NAMES: dict[str, Promise] = {
    **FACETS,
    "tag": _("Key word"),
    "min_priority": _("Priority from"),
    "reviewed_after": _("Reviewed after"),
    "reviewed_before": _("Reviewed before"),
}

DATES: dict[str, Promise] = {"reviewed_after": _("from %(day)s"), "reviewed_before": _("before %(day)s")}
"""The filters whose values are dates, and how these read."""

SORTS: dict[Sort, Promise] = {Sort.RELEVANCE: _("Best match"), Sort.NEWEST: _("Newest first")}
"""In which orders the hits can stand."""

REVIEWED_WITHIN: dict[int, Promise] = {
    365: _("In the last year"),
    2 * 365: _("In the last two years"),
    5 * 365: _("In the last five years"),
}
"""Days since the last review that are offered as a filter."""

GENERIC_LANGUAGES: dict[str, Promise] = {"zh": _("Chinese"), "no": _("Norwegian")}
"""Languages that documents have without saying which written form, which is all that Django has names for."""

SECTION_SEPARATOR = " > "
"""What the chunker puts between the headings above a passage."""

FACET_VALUES_SHOWN = 6
"""How many values of a facet stand open; the rest is one click away."""

PAGES_AROUND = 2
"""How many pages before and after the current one are linked by number."""


@dataclass(frozen=True)
class FacetLink:
    """One value of a facet. `url` turns it on, or off when it is on; `key` is its id in the page."""

    key: str
    label: str
    count: int
    selected: bool
    url: str


@dataclass(frozen=True)
class FacetGroup:
    """A facet: the values that stand open, and those behind 'more'."""

    name: str
    heading: str
    values: tuple[FacetLink, ...]
    more: tuple[FacetLink, ...]


@dataclass(frozen=True)
class Chip:
    """A filter that is on. `url` asks the same without it."""

    heading: str
    label: str
    url: str


@dataclass(frozen=True)
class Choice:
    """One of several ways to have the answer; `selected` is the one that is on."""

    label: str
    url: str
    selected: bool


@dataclass(frozen=True)
class PageLink:
    """A page of the answer; `number` is None for a gap."""

    number: int | None
    url: str = ""
    current: bool = False


@dataclass(frozen=True)
class PassageLink:
    """A passage, where it stands in its document, and the address that opens the document there."""

    passage: Passage
    section: str
    url: str


@dataclass(frozen=True)
class HitLink:
    """A hit with the addresses of its passages, best first, and how long ago it was reviewed."""

    hit: Hit
    passages: tuple[PassageLink, ...]
    age: ReviewAge | None = None

    @property
    def url(self) -> str:
        """Where the title leads: the best passage."""
        return self.passages[0].url


@dataclass(frozen=True)
class Answer:
    """Everything that the page shows of an answered search."""

    query: SearchQuery
    page: SearchPage
    hits: tuple[HitLink, ...]
    facets: tuple[FacetGroup, ...]
    chips: tuple[Chip, ...]
    pages: tuple[PageLink, ...]
    sorts: tuple[Choice, ...]
    reviewed: tuple[Choice, ...]
    first_position: int
    previous_url: str
    next_url: str
    unfiltered_url: str
    correction_url: str

    @property
    def carried(self) -> list[tuple[str, str]]:
        """What the search form sends along with new words: filters, mode and page size."""
        return [(name, value) for name, value in parse_qsl(self.query.with_page(1).querystring()) if name != "q"]

    @property
    def carried_by_dates(self) -> list[tuple[str, str]]:
        """What the form of dates sends along: the whole search but its dates."""
        undated = replace(self.query, reviewed_after=None, reviewed_before=None, page=1)
        return parse_qsl(undated.querystring())

    @property
    def querystring(self) -> str:
        """What this page asks, as a form can bring it back."""
        return self.query.querystring()

    @property
    def first_url(self) -> str:
        """The first page of the answer."""
        return search_url(self.query.with_page(1))

    @property
    def last_position(self) -> int:
        """The position of the last hit that this page shows."""
        return self.first_position + len(self.hits) - 1

    @property
    def words_only(self) -> bool:
        """Whether the answer had to do without meaning."""
        return "embedding_unavailable" in self.page.degraded

    @property
    def incomplete(self) -> bool:
        """Whether it had to do without something else."""
        return bool(set(self.page.degraded) - {"embedding_unavailable"})


def language_name(code: str) -> str:
    """The name of a language in the language of the page; the code itself where Django knows no name."""
    if code in GENERIC_LANGUAGES:
        return str(GENERIC_LANGUAGES[code])
    try:
        return str(get_language_info(code)["name_translated"])
    except KeyError:
        return code


def section_path(section_title: str, document_title: str) -> tuple[str, ...]:
    """The headings above a passage, outermost first, without the document's own title, which the page shows anyway.

    Catalogues lengthen titles ('Handbook 2026/27'), so a part of it counts as the title where more headings follow.
    """
    path = tuple(part.strip() for part in section_title.split(SECTION_SEPARATOR) if part.strip())
    if not path:
        return path
    first, title = path[0].casefold(), document_title.casefold().strip()
    is_title = first == title or (len(path) > 1 and (first.startswith(title) or title.startswith(first)))
    return path[1:] if is_title else path


def search_url(query: SearchQuery) -> str:
    """The address of a search."""
    return f"{reverse('search')}?{query.querystring()}"


def present(query: SearchQuery, page: SearchPage) -> Answer:
    """The answer to `query`, with all its links."""
    facets = tuple(_facet(query, name, page.facets.get(name, ())) for name in FACETS)
    today = timezone.localdate()
    current, last = page.page, min(page.page_count, MAX_PAGE)
    return Answer(
        query=query,
        page=page,
        hits=tuple(_hit(query, hit, today) for hit in page.hits),
        facets=tuple(facet for facet in facets if facet.values),
        chips=_chips(query, page),
        pages=_pages(query, current, last) if last > 1 else (),
        sorts=_sorts(query) if query.text and page.count > 1 else (),
        reviewed=_reviewed(query, today),
        first_position=(current - 1) * page.page_size + 1,
        previous_url=search_url(query.with_page(current - 1)) if 1 < current <= last else "",
        next_url=search_url(query.with_page(current + 1)) if current < last else "",
        unfiltered_url=search_url(SearchQuery(text=query.text, mode=query.mode)) if query.filters else "",
        correction_url=_correction_url(query, page.did_you_mean),
    )


def _correction_url(query: SearchQuery, text: str | None) -> str:
    if not text:
        return ""
    return search_url(replace(query, text=text, page=1))


def _label(name: str, value: str, label: str) -> str:
    if name in DATES:
        return str(DATES[name] % {"day": _date(value)})
    return language_name(value) if name == "language" else label


def _facet(query: SearchQuery, name: str, found: tuple[FacetValue, ...]) -> FacetGroup:
    """A facet with the chosen values first; a chosen one that nothing matches stays, so that it can be taken back."""
    chosen: list[str] = query.filters.get(name, [])
    known = {value.value for value in found}
    found = (*found, *(FacetValue(value, value, 0) for value in chosen if value not in known))
    links = [
        FacetLink(
            key=f"{name}-{hashlib.blake2s(value.value.encode(), digest_size=6).hexdigest()}",
            label=_label(name, value.value, value.label),
            count=value.count,
            selected=value.value in chosen,
            url=search_url(
                query.without(name, value.value) if value.value in chosen else query.having(name, value.value)
            ),
        )
        for value in found
    ]
    links.sort(key=lambda link: not link.selected)
    # A single hidden value would cost a click and save nothing.
    shown = FACET_VALUES_SHOWN if len(links) > FACET_VALUES_SHOWN + 1 else len(links)
    return FacetGroup(name, str(FACETS[name]), tuple(links[:shown]), tuple(links[shown:]))


def _chips(query: SearchQuery, page: SearchPage) -> tuple[Chip, ...]:
    chips = []
    for name, value in query.filters.items():
        labels = {facet.value: facet.label for facet in page.facets.get(name, ())}
        values: list[Any] = value if isinstance(value, list) else [value]
        for one in values:
            label = _label(name, str(one), labels.get(str(one), str(one)))
            without = query.without(name, one) if isinstance(value, list) else query.without(name)
            chips.append(Chip(str(FILTER_NAMES[name]), label, search_url(without)))
    return tuple(chips)


def _date(iso: str) -> str:
    day = parse_date(iso)
    return date_format(day) if day else iso


def _pages(query: SearchQuery, current: int, last: int) -> tuple[PageLink, ...]:
    """The first, the last and those around the current page, with gaps between."""
    numbers = sorted({1, last, *range(max(1, current - PAGES_AROUND), min(last, current + PAGES_AROUND) + 1)})
    links: list[PageLink] = []
    for number in numbers:
        if links and number - (links[-1].number or 0) > 1:
            links.append(PageLink(None))
        links.append(PageLink(number, search_url(query.with_page(number)), number == current))
    return tuple(links)


def _sorts(query: SearchQuery) -> tuple[Choice, ...]:
    return tuple(
        Choice(str(label), search_url(replace(query, sort=sort, page=1)), query.sort is sort)
        for sort, label in SORTS.items()
    )


def _reviewed(query: SearchQuery, today: date) -> tuple[Choice, ...]:
    """From which day on documents may have been reviewed: choosing the one that is on takes it back."""
    choices = []
    for days, label in REVIEWED_WITHIN.items():
        first = today - timedelta(days=days)
        on = query.reviewed_after == first and query.reviewed_before is None
        asked = replace(query, reviewed_after=None if on else first, reviewed_before=None, page=1)
        choices.append(Choice(str(label), search_url(asked), on))
    return tuple(choices)


def _hit(query: SearchQuery, hit: Hit, today: date) -> HitLink:
    passages = tuple(_passage(query, hit, passage) for passage in hit.passages)
    return HitLink(hit, passages, review_age(hit.document.last_reviewed, today))


def _passage(query: SearchQuery, hit: Hit, passage: Passage) -> PassageLink:
    section = " › ".join(section_path(passage.section_title, hit.document.title))
    return PassageLink(passage, section, _passage_url(query, hit, passage))


def _passage_url(query: SearchQuery, hit: Hit, passage: Passage) -> str:
    """The document at this passage, with the search along, so that its page can mark the words and lead back."""
    opened = {"page": passage.page_number, "passage": passage.chunk_id}
    search = query.with_page(1).querystring()
    return f"{reverse('document', args=[hit.document.id])}?{urlencode(opened)}&{search}#passage"
