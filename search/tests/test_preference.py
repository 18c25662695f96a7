"""Readers' languages: which they are, and that of answers which are alike theirs come first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client, RequestFactory

from accounts.clearance import PUBLIC_VIEWER
from accounts.models import Department
from ingestion.corpusversion import version_for
from search import answers
from search.preference import as_read_by
from search.query import Mode, SearchQuery
from search.service import search
from search.tests.corpus import serve

QUERY = SearchQuery("campus", mode=Mode.KEYWORD)


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("", set()),
        ("de-AT,de;q=0.9,en;q=0.5", {"de", "en"}),
        ("en;q=0", set()),
        ("*", set()),
        ("ja,tlh", set()),
        ("\x00;;;q=x, fr", set()),
    ],
)
def test_the_browser_says_what_is_read_unless_the_profile_does(header: str, read: set[str]) -> None:
    request = RequestFactory().get("/", headers={"Accept-Language": header})
    assert as_read_by(request, PUBLIC_VIEWER).languages == read
    known = replace(PUBLIC_VIEWER, languages=frozenset({"es"}))
    assert as_read_by(request, known) is known


def test_documents_in_the_readers_languages_win_ties(client: Client, library: Department) -> None:
    for language in ("de", "fr"):
        serve(f"Campus {language}", "Campus.", department=library, language=language, embedded=False)
    for first, language in (("de", "de-DE"), ("fr", "fr,en;q=0.5")):
        page = client.get("/search/", {"q": "campus", "mode": "keyword"}, headers={"Accept-Language": language})
        assert page.context["answer"].page.hits[0].document.language == first
        answer = client.get("/api/v1/search/?q=campus&mode=keyword", headers={"Accept-Language": language}).json()
        assert answer["results"][0]["document"]["language"] == first


def test_no_answer_is_kept_for_readers_of_another_language(library: Department) -> None:
    serve("Campus", "Campus.", department=library, embedded=False)
    german = replace(PUBLIC_VIEWER, languages=frozenset({"de"}))
    version = version_for(PUBLIC_VIEWER)
    assert answers.key_of(QUERY, german, version) != answers.key_of(QUERY, PUBLIC_VIEWER, version)
    assert not search(QUERY, viewer=PUBLIC_VIEWER).from_cache
    assert not search(QUERY, viewer=german).from_cache
    assert search(QUERY, viewer=german).from_cache
