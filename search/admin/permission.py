"""Who opens the pages on which the search is looked after."""

from django.http import HttpRequest

from accounts.arrival import viewer_of
from search.curation import curates_search


def looks_after_search(request: HttpRequest) -> bool:
    """Whether this person may change best bets and synonyms."""
    return curates_search(viewer_of(request))
