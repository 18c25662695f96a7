"""The proof that the proof can fail: every way of loosening the rule that is listed here is caught."""

from __future__ import annotations

import pickle
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

import pytest
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import Q
from pytest_django.fixtures import Settings

from accounts import clearance
from accounts.clearance import OPERATOR, CuratedQuerySet, RestrictedQuerySet, Viewer
from ingestion import api as documents_api
from ingestion import registration, statistics
from ingestion.admin import filters, vocabulary
from ingestion.admin.documents import DocumentAdmin
from ingestion.models import Document
from portal.tests.noninterference.comparison import Browser, Leak, Tally, leaks
from portal.tests.noninterference.stories import apply
from portal.tests.noninterference.university import CHANGES, DOCUMENTS, FORMER, LIBRARIAN, UNIVERSITY, asks
from portal.tests.noninterference.world import make
from search import api as search_api
from search import pages, service, viewing
from search.facets import tallied
from search.page import SearchPage
from search.vocabulary import refresh as read_vocabulary

pytestmark = pytest.mark.django_db

Loosen = Callable[[pytest.MonkeyPatch], None]

VIEWERS = (0, 2, 3, 5, LIBRARIAN, FORMER)
"""Those who look in the short run: of each kind one."""


def directed(*doors: str) -> Iterator[Leak]:
    """The leaks of the university by hand, one after the other: before what happens to it, and after. With `doors`
    only through these."""
    with transaction.atomic():
        world = make(UNIVERSITY)
        browsers = [Browser(world.people[place]) for place in VIEWERS]
        asked = [ask for ask in asks(len(DOCUMENTS)) if not doors or ask.door in doors][:: 1 + len(doors) // 4]
        tally = Tally()
        try:
            for changes in ((), CHANGES):
                for change in changes:
                    apply(world, change)
                statistics.refresh()
                read_vocabulary()
                for browser in browsers:
                    # In handfuls, so that a leak is found before everything was asked.
                    for first in range(0, len(asked), 12):
                        yield from leaks(world, browser, asked[first : first + 12], tally)
        finally:
            transaction.set_rollback(True)


def _access(condition: Callable[[Viewer], Q]) -> Loosen:
    """The rule with another condition in the place of clearance, affiliation and audience."""
    return lambda patch: patch.setattr(clearance, "_access_met", condition)


def _audience(viewer: Viewer) -> Q:
    return Q() if viewer.every_department else Q(readers__overlap=[clearance.EVERYONE, *sorted(viewer.departments)])


def _without(name: str) -> Loosen:
    """`visible_to` without one of its conditions."""

    def visible_to(self: RestrictedQuerySet, viewer: Viewer) -> RestrictedQuerySet:
        now = clearance.Now()
        conditions = {
            "is_searchable": Q(is_searchable=True),
            "visible_from": Q(visible_from__isnull=True) | Q(visible_from__lte=now),
            "visible_until": Q(visible_until__isnull=True) | Q(visible_until__gt=now),
        }
        kept = [condition for of, condition in conditions.items() if of != name]
        return self.filter(clearance._access_met(viewer), *kept)

    return lambda patch: patch.setattr(RestrictedQuerySet, "visible_to", visible_to)


def _viewer(change: Callable[[Viewer], dict[str, Any]]) -> Loosen:
    """Every viewer with something more than is theirs."""
    known = Viewer.__init__

    def generous(self: Viewer, *args: Any, **given: Any) -> None:
        known(self, *args, **given)
        for name, value in change(self).items():
            object.__setattr__(self, name, value)

    return lambda patch: patch.setattr(Viewer, "__init__", generous)


@contextmanager
def _seeing_everything() -> Iterator[None]:
    """For as long as this lasts `visible_to` lets everything through."""
    known = RestrictedQuerySet.visible_to
    RestrictedQuerySet.visible_to = lambda self, viewer: self.all()  # type: ignore[method-assign]
    try:
        yield
    finally:
        RestrictedQuerySet.visible_to = known  # type: ignore[method-assign]


def _blind(owner: Any, name: str) -> Loosen:
    """One function without the rule."""
    known = getattr(owner, name)

    @wraps(known)
    def without_the_rule(*args: Any, **given: Any) -> Any:
        with _seeing_everything():
            return known(*args, **given)

    return lambda patch: patch.setattr(owner, name, without_the_rule)


def _shares_outlive_their_end(_patch: pytest.MonkeyPatch) -> None:
    """The database does not hear any more that a share was withdrawn. Undone with the test's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION ingestion_document_shared() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF TG_OP <> 'DELETE' THEN UPDATE ingestion_document SET audience = audience WHERE id = NEW.document_id; "
            "END IF; RETURN NULL; END $$"
        )


def _attachments_stay_behind(_patch: pytest.MonkeyPatch) -> None:
    """A mail is restricted, and what came with it stays as it was. Undone with the test's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER ingestion_document_to_attachments ON ingestion_document")


def _rights_of_the_sign_in(patch: pytest.MonkeyPatch) -> None:
    """Rights are kept from the first request on, for the life of the process."""
    kept: dict[int, Viewer] = {}
    known = clearance.Viewer

    def remembered(*args: Any, **given: Any) -> Viewer:
        viewer = known(*args, **given)
        return kept.setdefault(viewer.user_id, viewer) if viewer.user_id else viewer

    patch.setattr(clearance, "Viewer", remembered)


def _facets_of_everything(patch: pytest.MonkeyPatch) -> None:
    known = service.counted

    def counted(*args: Any, **given: Any) -> Any:
        everything = Document.objects.order_by().values_list("pk", flat=True)
        facets = tallied(service._describe(everything, OPERATOR).values())
        return replace(known(*args, **given), facets=facets)

    patch.setattr(service, "counted", counted)


def _answers_shared_between_people(patch: pytest.MonkeyPatch) -> None:
    """A cache of answers that forgets whose they are."""
    known = service._answer

    def cached(query: Any, viewer: Viewer, started: float) -> SearchPage:
        key = f"answer {query.querystring()}"
        kept = cache.get(key)
        if kept is None:
            page = known(query, viewer, started)
            cache.set(key, b64encode(pickle.dumps(page)).decode())
            return page
        page = pickle.loads(b64decode(kept))  # noqa: S301  (our own, of this test)
        assert isinstance(page, SearchPage)
        return page

    patch.setattr(service, "_answer", cached)


def _forbidden_not_unknown(patch: pytest.MonkeyPatch) -> None:
    known = documents_api.DocumentView.get_object

    def get_object(self: Any) -> Any:
        visible = self.get_queryset().filter(pk=self.kwargs["pk"]).exists()
        if not visible and Document.objects.filter(pk=self.kwargs["pk"]).exists():
            raise PermissionDenied
        return known(self)

    patch.setattr(documents_api.DocumentView, "get_object", get_object)


def _lists_of_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(DocumentAdmin, "get_queryset", lambda self, request: Document.objects.order_by("-created_at", "pk"))


def _counts_of_everything(patch: pytest.MonkeyPatch) -> None:
    def counts(request: Any, model_admin: Any) -> Any:
        known = {column: filters.Counter() for column in (*filters.COUNTED, "trouble")}
        for values in Document.objects.values_list(*filters.COUNTED):
            for column, value in zip(filters.COUNTED, values, strict=True):
                known[column][value] += 1
        return known

    patch.setattr(filters, "_counts", counts)


def _twins_of_everything(patch: pytest.MonkeyPatch) -> None:
    known = registration._refuse_twin
    patch.setattr(registration, "_refuse_twin", lambda viewer, *args: known(OPERATOR, *args))


def _owners_for_ever(patch: pytest.MonkeyPatch) -> None:
    known = CuratedQuerySet.manageable_by

    def manageable_by(self: CuratedQuerySet, viewer: Viewer) -> Any:
        return known(self, viewer) | self.filter(owner=viewer.user_id, owner__isnull=False)

    patch.setattr(CuratedQuerySet, "manageable_by", manageable_by)
    patch.setattr(Viewer, "curates", property(lambda self: self.user_id is not None))


def _tags_of_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(vocabulary, "known_tags", lambda viewer: vocabulary.Tag.objects.all())


MUTATIONS: dict[str, tuple[Loosen, tuple[str, ...]]] = {
    "clearance is ignored": (_access(_audience), ()),
    "clearance reaches one higher": (
        _access(lambda viewer: Q(clearance__lte=viewer.effective_clearance + 1) & _audience(viewer)), ()),
    "3 and 4 need no department": (
        _access(lambda viewer: Q(clearance__lte=viewer.clearance) & _audience(viewer)),
        ("the document page", "search by JSON")),
    "the audience is ignored": (_access(lambda viewer: Q(clearance__lte=viewer.effective_clearance)), ()),
    "an attachment stays behind": (_attachments_stay_behind, ("the document page", "search by JSON")),
    "a share outlives its end": (_shares_outlive_their_end, ("the document page", "search by JSON")),
    "the archive is searched": (_without("is_searchable"), ()),
    "an embargo is ignored": (_without("visible_from"), ()),
    "an end is ignored": (_without("visible_until"), ()),
    "strangers count as students": (_viewer(lambda viewer: {"clearance": max(viewer.clearance, 2)}), ()),
    "everybody is of every department": (_viewer(lambda viewer: {"every_department": True}), ()),
    "rights are those of the first request": (_rights_of_the_sign_in, ("the document page", "search by JSON")),
    "facets count everything": (_facets_of_everything, ("search by JSON", "the search page")),
    "answers are shared between people": (_answers_shared_between_people, ("search by JSON",)),
    "suggestions come from everything": (_blind(search_api.SuggestView, "get"), ("suggestions",)),
    "suggestions in the field come from everything": (
        _blind(pages, "suggestions"), ("suggestions in the page's field",)),
    "corrections come from everything": (_blind(service, "did_you_mean"), ("search by JSON",)),
    "similar documents come from everything": (_blind(search_api.SimilarView, "get"), ("documents like it",)),
    "chunks of everything": (_blind(documents_api.ChunksView, "get"), ("its chunks",)),
    "files of everything": (_blind(documents_api.FileView, "get"), ("its file in the API",)),
    "pages of everything": (_blind(viewing, "_open"), ("the document page", "the file of the page", "its citation")),
    "feedback on everything": (_blind(search_api.FeedbackView, "post"), ("feedback",)),
    "the list shows everything": (_blind(documents_api.DocumentsView, "get"), ("the list of documents",)),
    "statistics count everything": (
        lambda patch: patch.setattr(statistics, "PUBLIC_VIEWER", OPERATOR), ("search by JSON",)),
    "what is hidden is forbidden": (_forbidden_not_unknown, ("the document in the API", "changing it")),
    "the librarians' list shows everything": (_lists_of_everything, ("the librarians' list",)),
    "the librarians' filters count everything": (_counts_of_everything, ("the librarians' list",)),
    "a hidden twin is named": (_twins_of_everything, ("an upload", "the librarians' upload")),
    "who was a librarian keeps their documents": (_owners_for_ever, ("the document in the API", "the document page")),
    "tags of everything": (_tags_of_everything, ("a page about something else",)),
}  # fmt: skip
"""Ways of loosening the rule, and the doors at which the short run looks for it; no door named stands for all."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_loosened_rule_is_caught(name: str, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    loosen, doors = MUTATIONS[name]
    loosen(monkeypatch)
    assert next(directed(*doors), None) is not None


def test_the_rule_as_it_is_passes_the_same_run() -> None:
    """Through the doors that are named above; `test_university` asks them all."""
    named = {door for _, doors in MUTATIONS.values() for door in doors}
    assert next(directed(*sorted(named)), None) is None
