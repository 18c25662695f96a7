"""What is new for me, my saved searches, my documents, and what I asked lately."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.dateparse import parse_date
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.arrival import viewer_of
from accounts.models import User
from accounts.ownpages import own_page
from accounts.reauthentication import local_address
from search.history import SHOWN, remembered
from search.models import Alert, Rhythm, SavedSearch
from search.presentation import DATES, FILTER_NAMES, language_name
from search.query import InvalidQuery, SearchQuery, parse_query
from search.saved import (
    NotSaved,
    address_of,
    change_search,
    digest_of,
    drop_document,
    mark_seen,
    news,
    query_of,
    save_document,
    save_search,
    saved_documents,
)

MOST_NAMED = 5
"""Filters that a line about a search names; the rest shows when it is opened."""


class SavedSearchForm(forms.Form):
    """How a saved search is called, and how its person is told of what is new."""

    name = forms.CharField(max_length=100)
    alert = forms.ChoiceField(choices=Alert.choices)
    rhythm = forms.ChoiceField(choices=Rhythm.choices)


def _me(request: HttpRequest) -> User:
    return cast(User, request.user)


def _value(name: str, value: str) -> str:
    """A filter's value as people read it."""
    day = parse_date(value) if name in DATES else None
    return date_format(day) if day else language_name(value) if name == "language" else value


def in_words(query: SearchQuery) -> str:
    """A search in one line: its words, and its filters."""
    parts = [query.text] if query.text else []
    for name, value in query.filters.items():
        several = value if isinstance(value, list) else [value]
        parts += [f"{FILTER_NAMES[name]}: {_value(name, str(one))}" for one in several]
    return " · ".join(parts[: MOST_NAMED + 1]) + (" …" if len(parts) > MOST_NAMED + 1 else "")


def _kept_in_words(address: str) -> str:
    """A kept address in one line; as it stands where it asks nothing any more."""
    try:
        return in_words(query_of(address))
    except InvalidQuery:
        return address


@own_page
@require_safe
def news_page(request: HttpRequest) -> HttpResponse:
    """What is new in my saved searches."""
    viewer = viewer_of(request)
    context = {
        "viewer": viewer,
        "news": news(_me(request), viewer=viewer),
        "watched": SavedSearch.objects.filter(owner=_me(request)).exclude(alert=Alert.OFF).count(),
        "here": "news",
    }
    return render(request, "search/mine/news.html", context)


@own_page
@require_POST
def mark_news_seen(request: HttpRequest) -> HttpResponse:
    """What is shown as new is new no longer."""
    mark_seen(_me(request), viewer=viewer_of(request))
    return redirect("mine")


@own_page
@require_safe
def searches_page(request: HttpRequest) -> HttpResponse:
    """My saved searches."""
    mine = SavedSearch.objects.filter(owner=_me(request))
    searches = [{"saved": saved, "asks": _kept_in_words(saved.address)} for saved in mine]
    context = {"viewer": viewer_of(request), "searches": searches, "here": "searches"}
    return render(request, "search/mine/searches.html", context)


@own_page
@require_http_methods(["GET", "POST"])
def new_search_page(request: HttpRequest) -> HttpResponse:
    """Save the search that the address asks, or change it where it is saved already."""
    try:
        query = parse_query(request.GET)
    except InvalidQuery:
        messages.info(request, _("Search for something first; then it can be saved."))
        return redirect("search")
    known = SavedSearch.objects.filter(owner=_me(request), digest=digest_of(address_of(query))).first()
    if known is not None and request.method == "GET":
        return redirect("mine-search", pk=known.pk)
    initial = {"name": in_words(query)[:100], "alert": Alert.OFF, "rhythm": Rhythm.DAY}
    form = SavedSearchForm(request.POST if request.method == "POST" else None, initial=initial)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        try:
            saved = save_search(_me(request), query, **form.cleaned_data)
        except NotSaved as error:
            refusal = str(error)
        else:
            messages.success(request, _("Saved as “%(name)s”.") % {"name": saved.name})
            return redirect("mine-searches")
    return _search_form(request, form, query=query, refusal=refusal)


@own_page
@require_http_methods(["GET", "POST"])
def search_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One of my saved searches: its name, and how I am told."""
    saved = SavedSearch.objects.filter(owner=_me(request), pk=pk).first()
    if saved is None:
        raise Http404
    initial = {"name": saved.name, "alert": saved.alert, "rhythm": saved.rhythm}
    form = SavedSearchForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        change_search(saved, **form.cleaned_data)
        messages.success(request, _("Saved as “%(name)s”.") % {"name": saved.name})
        return redirect("mine-searches")
    return _search_form(request, form, saved=saved)


def _search_form(
    request: HttpRequest,
    form: SavedSearchForm,
    *,
    query: SearchQuery | None = None,
    saved: SavedSearch | None = None,
    refusal: str = "",
) -> HttpResponse:
    address = saved.address if saved else address_of(query) if query else ""
    context: dict[str, Any] = {
        "viewer": viewer_of(request),
        "form": form,
        "saved": saved,
        "asks": _kept_in_words(address),
        "search_url": f"{reverse('search')}?{address}",
        "refusal": refusal,
        "has_address": bool(_me(request).email),
        "here": "searches",
    }
    return render(request, "search/mine/search.html", context, status=400 if form.errors or refusal else 200)


@own_page
@require_POST
def remove_search(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Keep one of my searches no longer."""
    if not SavedSearch.objects.filter(owner=_me(request), pk=pk).delete()[0]:
        raise Http404
    messages.success(request, _("The saved search is removed."))
    return redirect("mine-searches")


@own_page
@require_safe
def documents_page(request: HttpRequest) -> HttpResponse:
    """My saved documents, as far as I may see them now."""
    viewer = viewer_of(request)
    context = {"viewer": viewer, "documents": saved_documents(_me(request), viewer=viewer), "here": "documents"}
    return render(request, "search/mine/documents.html", context)


@own_page
@require_POST
def keep_document(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Save a document that I see, or (`keep=0`) keep it no longer; back to where I was, or htmx's new button."""
    viewer, keep, refusal = viewer_of(request), request.POST.get("keep") != "0", ""
    try:
        known = (save_document if keep else drop_document)(_me(request), pk, viewer=viewer)
    except NotSaved as error:
        known, keep, refusal = True, False, str(error)
    if not known:
        raise Http404
    if request.headers.get("HX-Request"):
        context = {"document_id": pk, "title": request.POST.get("title", ""), "kept": keep, "refusal": refusal}
        context["next"] = request.POST.get("next", "")
        return render(request, "search/mine/keep.html", context)
    if refusal:
        messages.warning(request, refusal)
    else:
        messages.success(request, _("The document is saved.") if keep else _("The document is saved no longer."))
    return HttpResponseRedirect(local_address(request, request.POST.get("next", "")) or reverse("mine-documents"))


@own_page
@require_safe
def history_page(request: HttpRequest) -> HttpResponse:
    """What I asked lately."""
    asked = [{"one": one, "asks": _kept_in_words(one.address)} for one in remembered(_me(request))[:SHOWN]]
    context = {"viewer": viewer_of(request), "asked": asked, "keeps": _me(request).keeps_history, "here": "history"}
    return render(request, "search/mine/history.html", context)


@own_page
@require_POST
def forget(request: HttpRequest) -> HttpResponse:
    """Forget one search that I asked, or with `everything` all of them; `keeps` (0 or 1) switches the history."""
    mine = remembered(_me(request))
    given: QueryDict = request.POST
    if (keeps := given.get("keeps")) in ("0", "1"):
        user = _me(request)
        user.keeps_history = keeps == "1"
        user.save(update_fields=["keeps_history"])
        said = _("Your searches are kept from now on.") if keeps == "1" else _("Your searches are not kept any more.")
    elif given.get("everything"):
        mine.delete()
        said = _("Your search history is erased.")
    elif (one := given.get("search", "")).isascii() and one.isdigit() and len(one) < 16:
        mine.filter(pk=int(one)).delete()
        said = _("That search is forgotten.")
    else:
        raise Http404
    messages.success(request, said)
    return redirect("mine-history")
