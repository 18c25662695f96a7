"""Kept answers: the same for all who would be given the same, for nobody else, and never older than the last change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from datetime import date, timedelta
from typing import Any, get_args, get_type_hints

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.core.cache import cache
from django.db import connections
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.clearance import LIBRARIANS, PUBLIC_VIEWER, Role, Viewer, viewer_for
from accounts.models import Department, User
from ingestion import vectorspace
from ingestion.corpusversion import version_for
from ingestion.models import Document
from search import answers, service, vectors, warming
from search._plain import read, written
from search.models import SearchEvent
from search.page import SearchPage
from search.query import Mode, SearchQuery, Sort
from search.service import search, warm
from search.tests.corpus import count_statistics, serve

BOOKS = SearchQuery("books", mode=Mode.KEYWORD)

OTHERWISE: dict[str, Any] = {
    "role": Role.ADMIN,
    "clearance": 2,
    "departments": frozenset({8}),
    "every_department": True,
    "languages": frozenset({"de"}),
    "campus_id": 9,
    "admitted": False,
    "seen_as": "a student",
    "within": frozenset({7}),
}
"""Fields of a viewer that decide what they are answered, with another value than the one below."""

HARMLESS = {"user_id", "librarian", "curated", "phase"}
"""Those that do not: who they are in the trail, and what they may edit."""

AN_ACADEMIC = Viewer(Role.ACADEMIC, 4, frozenset({7}))


def asked(viewer: Viewer = PUBLIC_VIEWER, query: SearchQuery = BOOKS) -> SearchPage:
    return search(query, viewer=viewer)


def titles(page: SearchPage) -> set[str]:
    return {hit.document.title for hit in page.hits}


class TestKey:
    """An answer is kept under all that it depends on."""

    def test_every_field_of_a_viewer_is_in_the_key_or_known_to_be_harmless(self, db: None) -> None:
        assert {field.name for field in fields(Viewer)} == OTHERWISE.keys() | HARMLESS
        version = version_for(PUBLIC_VIEWER)
        own = answers.key_of(BOOKS, AN_ACADEMIC, version)
        for name, value in OTHERWISE.items():
            assert answers.key_of(BOOKS, replace(AN_ACADEMIC, **{name: value}), version) != own, name
        same = replace(AN_ACADEMIC, user_id=5, librarian=True, curated=frozenset({7}), phase="pilot")
        assert answers.key_of(BOOKS, same, version) == own

    def test_every_field_of_a_query_is_in_the_key(self, db: None) -> None:
        version = version_for(PUBLIC_VIEWER)
        keys = {answers.key_of(BOOKS, PUBLIC_VIEWER, version)}
        others: dict[type, Any] = {str: "other", tuple: ("other",), int: 4, date: date(2020, 1, 1), Mode: Mode.SEMANTIC,
                                    Sort: Sort.NEWEST}  # fmt: skip
        for name, kind in get_type_hints(SearchQuery).items():
            known = [
                value
                for one, value in others.items()
                if one in (kind, getattr(kind, "__origin__", None), *get_args(kind))
            ]
            keys.add(answers.key_of(replace(BOOKS, **{name: known[-1]}), PUBLIC_VIEWER, version))
        assert len(keys) == 1 + len(fields(SearchQuery))

    def test_the_settings_that_shape_answers_and_the_day_are_in_it(
        self, db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = version_for(PUBLIC_VIEWER)

        def key() -> str:
            return answers.key_of(BOOKS, PUBLIC_VIEWER, version)

        keys = [key()]
        settings.SEARCH_BOOSTS = replace(settings.SEARCH_BOOSTS, campus=0.05)
        keys.append(key())
        settings.SEARCH_LANGUAGES = ["en"]
        keys.append(key())
        tomorrow = timezone.localdate() + timedelta(days=1)
        monkeypatch.setattr("django.utils.timezone.localdate", lambda: tomorrow)
        keys.append(key())
        monkeypatch.setattr(answers, "_release", lambda: "the one before")
        keys.append(key())
        assert len(set(keys)) == len(keys)


class TestKept:
    def test_the_same_answer_comes_with_what_is_of_the_one_request_anew(self, corpus: dict[str, Document]) -> None:
        first, second = asked(), asked()
        assert (first.from_cache, second.from_cache) == (False, True)
        assert first.search_id != second.search_id
        assert first.timestamp < second.timestamp
        personal = {"search_id": "", "timestamp": first.timestamp, "response_time": 0.0, "from_cache": False}
        assert replace(second, **personal) == replace(first, **personal)

    def test_it_is_audited_like_any_other(self, corpus: dict[str, Document]) -> None:
        student = User.objects.create_user("ada", role="student")
        pages = [asked(replace(viewer_for(student), phase="pilot")), asked(viewer_for(student))]
        assert pages[1].from_cache
        noted = {str(event.pk): event for event in SearchEvent.objects.all()}
        assert noted.keys() == {page.search_id for page in pages}
        assert {(event.user_id, event.count, event.query) for event in noted.values()} == {
            (student.pk, pages[0].count, "books")
        }
        assert noted[pages[0].search_id].phase == "pilot"

    def test_people_who_may_see_the_same_share_it_and_nobody_else(
        self, library: Department, finance: Department
    ) -> None:
        serve("Secret books", "Books of the committee.", department=finance, clearance=3, audience="department")
        serve("Books", "Books for all.", department=library)
        people = {
            name: User.objects.create_user(name, role="staff")
            for name in ("insider", "colleague", "outsider", "librarian")
        }
        for name, user in people.items():
            user.departments.set([library] if name == "outsider" else [finance])
        people["librarian"].groups.add(Group.objects.get_or_create(name=LIBRARIANS)[0])
        seen = {name: asked(viewer_for(user)) for name, user in people.items()}
        seen["nobody"] = asked(viewer_for(AnonymousUser()))
        assert {name: page.from_cache for name, page in seen.items()} == {
            "insider": False, "colleague": True, "outsider": False, "librarian": True, "nobody": False,
        }  # fmt: skip
        assert {name for name, page in seen.items() if "Secret books" in titles(page)} == {
            "insider", "colleague", "librarian",
        }  # fmt: skip
        # Who leaves the department has lost it with the next request.
        people["colleague"].departments.clear()
        assert "Secret books" not in titles(asked(viewer_for(people["colleague"])))

    @pytest.mark.parametrize("query", [BOOKS, SearchQuery("How many books?")])
    def test_each_change_shows_in_the_very_next_answer(self, query: SearchQuery, library: Department) -> None:
        document = serve("Loans", "You may borrow books.", department=library)
        count_statistics()
        steps: list[tuple[Callable[[], object], set[str]]] = [
            (lambda: Document.objects.filter(pk=document.pk).update(title="Borrowing"), {"Borrowing"}),
            (lambda: serve("Fines", "Late books cost money.", department=library), {"Borrowing", "Fines"}),
            (lambda: Document.objects.filter(pk=document.pk).update(clearance=2), {"Fines"}),
            (lambda: Document.objects.filter(pk=document.pk).update(clearance=1), {"Borrowing", "Fines"}),
            (lambda: Document.objects.filter(pk=document.pk).update(is_searchable=False), {"Fines"}),
        ]
        assert titles(asked(query=query)) == {"Loans"}
        for change, then in steps:
            change()
            assert titles(asked(query=query)) == then
            again = asked(query=query)
            assert (titles(again), again.from_cache) == (then, True)

    def test_it_ends_where_a_window_begins_or_ends(self, library: Department) -> None:
        now = timezone.now()
        serve("Books", "Books for all.", department=library)
        serve("Leaving", "Books until now.", department=library, visible_until=now + timedelta(seconds=1))
        serve("Coming", "Books from now on.", department=library, visible_from=now + timedelta(seconds=1))
        key = answers.key_of(BOOKS, PUBLIC_VIEWER, version_for(PUBLIC_VIEWER))
        assert titles(asked()) == {"Books", "Leaving"}
        assert 0 < cache.pttl(key) <= 1000  # type: ignore[attr-defined]
        # Nor is it given afterwards where it is there still.
        kept = answers._read(key)
        assert kept is not None
        late = replace(version_for(PUBLIC_VIEWER), at=now + timedelta(seconds=1))
        assert late.at >= kept.until

    def test_a_degraded_answer_is_not_kept(self, corpus: dict[str, Document], settings: Settings) -> None:
        query, urls = SearchQuery("books without a node"), settings.OLLAMA_URLS
        settings.OLLAMA_URLS = ["http://127.0.0.1:1"]
        assert [asked(query=query).from_cache for _ in range(2)] == [False, False]
        settings.OLLAMA_URLS = urls
        page = asked(query=query)
        assert (page.degraded, page.from_cache) == ((), False)

    def test_measurements_and_a_cache_of_no_length_keep_nothing(
        self, corpus: dict[str, Document], settings: Settings
    ) -> None:
        for _ in range(2):
            assert not search(BOOKS, viewer=PUBLIC_VIEWER, audited=False).from_cache
        settings.SEARCH_CACHE_SECONDS = 0
        assert [asked().from_cache for _ in range(2)] == [False, False]

    def test_what_cannot_be_read_is_made_anew(self, corpus: dict[str, Document]) -> None:
        key = answers.key_of(BOOKS, PUBLIC_VIEWER, version_for(PUBLIC_VIEWER))
        well = asked()
        for garbage in (b"", b"{}", b"[]", b'{"until": 1, "page": null}', b"not JSON", b"\xff", b"[" * 100_000):
            answers._answers.put(key, garbage, seconds=60)
            page = asked()
            assert (page.hits, page.from_cache) == (well.hits, False)


@pytest.mark.django_db(transaction=True)
def test_of_fifty_who_ask_the_same_at_once_one_is_searched_for(
    db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    from ingestion.models import DocumentType

    DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})
    serve("Books", "Books for all.", department=Department.objects.create(name="Library"))
    # However long the machine takes: that nobody waits for ever is tested elsewhere.
    monkeypatch.setattr("search.caching.WAIT_SECONDS", 20)
    vectorspace.remembered(anew=True)
    made: list[str] = []
    client, found = vectors.client_for, service.candidates
    monkeypatch.setattr(vectors, "client_for", lambda *given: made.append("vector") or client(*given))

    def slowly(*given: Any, **more: Any) -> Any:
        made.append("search")
        time.sleep(0.2)
        return found(*given, **more)

    monkeypatch.setattr(service, "candidates", slowly)
    pages: list[SearchPage] = []
    start = threading.Barrier(50)

    def ask() -> None:
        start.wait(20)
        try:
            pages.append(search(SearchQuery("How many books may fifty people borrow?"), viewer=PUBLIC_VIEWER))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pages) == 50
    # A busy machine may let some come when the first is done, or be late with the cache's answer.
    assert made.count("vector") <= 3
    assert made.count("search") <= 3
    assert len({page.hits for page in pages}) == 1
    assert len({page.search_id for page in pages}) == SearchEvent.objects.count() == 50


class TestWarming:
    def test_answers_are_ready_for_the_public_and_the_commonest_kinds_of_people(
        self, corpus: dict[str, Document], library: Department
    ) -> None:
        people = [User.objects.create_user(f"student{number}", role="student") for number in range(5)]
        people += [User.objects.create_user("boss", role="admin")]
        for number, user in enumerate(people):
            for text in ("library books", "only mine")[: 2 if number == 0 else 1]:
                SearchEvent.objects.create(query=text, user=user, role=user.role, mode="hybrid", count=1, duration_ms=1)
        cache.clear()
        warmed = warming.warm(vectors=10, answers=10, viewers=1)
        assert (warmed.vectors, warmed.answers, warmed.made) == (2, 2, 2)
        assert warming.warm(vectors=10, answers=10, viewers=1).made == 0
        before = SearchEvent.objects.count()
        # Most browsers ask for the language of the pages.
        viewers = [
            replace(viewer_for(user), languages=frozenset({"en"})) for user in (AnonymousUser(), people[3], people[5])
        ]
        assert [asked(viewer, SearchQuery("library books")).from_cache for viewer in viewers] == [True, True, False]
        # What one person asked is kept ready for nobody.
        assert not asked(viewers[0], SearchQuery("only mine")).from_cache
        assert SearchEvent.objects.count() == before + 4

    def test_it_is_no_search_of_anybody(self, corpus: dict[str, Document]) -> None:
        assert warm(BOOKS, viewer=PUBLIC_VIEWER)
        assert not warm(BOOKS, viewer=PUBLIC_VIEWER)
        assert not SearchEvent.objects.exists()
        assert asked().from_cache


class TestWritten:
    """An answer survives being written down, whatever fields it comes to have."""

    def test_each_annotation_of_an_answer_has_a_form_in_json(self) -> None:
        page = filled(answers._Kept)
        assert read(answers._Kept, written(page)) == page

    @pytest.mark.parametrize("value", [{1, 2}, object(), b"x"])
    def test_what_has_none_is_refused(self, value: object) -> None:
        with pytest.raises(TypeError):
            written(replace(filled(SearchPage), query=value))


def filled(kind: Any) -> Any:
    """A value of this annotation with something in every field."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{field.name: filled(hints[field.name]) for field in fields(kind)})  # type: ignore[operator]
    origin, arguments = getattr(kind, "__origin__", None), get_args(kind)
    if origin is tuple:
        return (filled(arguments[0]), filled(arguments[0]))
    if origin is not None and issubclass(origin, dict):
        return {"a": filled(arguments[1])}
    if arguments:
        return filled(next(one for one in arguments if one is not type(None)))
    plain = {str: "Zürich 図", int: 3, float: 0.25, bool: True, date: date(2026, 1, 2)}
    return plain[kind] if kind in plain else timezone.now()
