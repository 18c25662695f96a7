"""What is asked most, ready in the caches before it is asked again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import Count
from django.utils import timezone

from accounts.clearance import Viewer, viewer_for
from accounts.models import User
from search import service
from search.audit import most_frequent
from search.models import SearchEvent
from search.query import InvalidQuery, SearchQuery, parse_query
from search.vectors import query_vector

ASKERS = 5
"""People who must have asked something before its answer is kept ready: what fewer ask may be about them, and that it
is answered quickly would tell that it was asked."""

RECENT = timedelta(days=7)
PEOPLE_LOOKED_AT = 100
"""Of those who searched lately, the most active, from whom the commonest kinds of viewers are taken."""


@dataclass(frozen=True)
class Warmed:
    """How many query vectors are in the cache, and how many answers, of which so many had to be made."""

    vectors: int
    answers: int
    made: int


def warm(*, vectors: int, answers: int, viewers: int) -> Warmed:
    """Have the vectors of the most frequent queries in the cache, and answers for the public and so many other viewers.

    Raises EmbeddingUnavailable where no node answers.
    """
    asked = [query for text in most_frequent(vectors) if (query := _parsed(text))]
    for query in asked:
        query_vector(query.meaning)
    common = [query for text in most_frequent(answers, askers=ASKERS) if (query := _parsed(text))]
    made = [service.warm(query, viewer=_read(viewer)) for viewer in commonest_viewers(viewers) for query in common]
    return Warmed(len(asked), len(made), sum(made))


def _read(viewer: Viewer) -> Viewer:
    """The viewer as most of them ask: with a browser in the language of the pages."""
    usual = frozenset({settings.LANGUAGE_CODE.split("-")[0]}).intersection(settings.SEARCH_LANGUAGES)
    return replace(viewer, languages=viewer.languages or usual)  # access: it orders what is found and hides nothing


def commonest_viewers(limit: int) -> list[Viewer]:
    """The public, and one viewer for each of so many kinds of people who search most."""
    own = SearchEvent.objects.filter(at__gte=timezone.now() - RECENT, seen_as="", user__isnull=False).order_by()
    searches = dict(own.values_list("user").annotate(times=Count("pk")).order_by("-times", "user")[:PEOPLE_LOOKED_AT])
    times: Counter[tuple[object, ...]] = Counter()
    examples: dict[tuple[object, ...], Viewer] = {}
    for user in User.objects.filter(pk__in=searches, is_active=True).order_by("pk"):
        viewer = viewer_for(user)
        times[viewer.sight] += searches[user.pk]
        examples.setdefault(viewer.sight, viewer)
    viewers = [viewer_for(AnonymousUser()), *(examples[sight] for sight, _ in times.most_common(limit))]
    return [viewer for viewer in viewers if viewer.clearance]


def _parsed(text: str) -> SearchQuery | None:
    """The search that these words ask, as somebody types them; None where they do not ask any today."""
    try:
        return parse_query({"q": text})
    except InvalidQuery:
        return None
