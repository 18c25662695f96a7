"""The version under which answers are kept: it changes with the commit of what changes them, and with nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from accounts.clearance import OPERATOR, PUBLIC_VIEWER, Role, Viewer
from accounts.models import Campus, Department
from ingestion import corpusversion, statistics, vectorspace
from ingestion.corpusversion import prune, version_for
from ingestion.models import Chunk, CorpusChange, Document, DocumentType, Tag


def made(title: str, department: Department, **more: Any) -> Document:
    fields = {
        "file_name": "a.txt",
        "file_size": 1,
        "sha256": "0" * 64,
        "doc_type": DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})[0],
        "clearance": 1,
        "audience": "institution",
        "status": "ready",
        "is_searchable": True,
        "chunk_count": 1,
    } | more
    document = Document.objects.create(title=title, department=department, **fields)
    Chunk.objects.create(
        document=document,
        position=0,
        text="You may borrow books.",
        page_number=1,
        lexemes="'borrow':1 'books':2",
        content_hash=b"0" * 32,
    )
    return document


@pytest.fixture
def library(db: None) -> Department:
    return Department.objects.create(name="Library")


def mark(viewer: Viewer = PUBLIC_VIEWER) -> str:
    return version_for(viewer).mark


CHANGES: dict[str, Callable[[Document], object]] = {
    "title": lambda one: Document.objects.filter(pk=one.pk).update(title="Other"),
    "priority": lambda one: Document.objects.filter(pk=one.pk).update(priority=5),
    "last review": lambda one: Document.objects.filter(pk=one.pk).update(last_reviewed="2020-01-01"),
    "clearance": lambda one: Document.objects.filter(pk=one.pk).update(clearance=3),
    "audience": lambda one: Document.objects.filter(pk=one.pk).update(audience="department"),
    "archived": lambda one: Document.objects.filter(pk=one.pk).update(is_searchable=False),
    "window": lambda one: Document.objects.filter(pk=one.pk).update(visible_until=timezone.now()),
    "deleted": lambda one: one.delete(),
    "another document": lambda one: made("Another", one.department),
    "tag": lambda one: one.tags.add(Tag.objects.create(name="loans")),
    "text": lambda one: one.chunks.update(text="You may borrow nothing."),
    "chunk gone": lambda one: one.chunks.all().delete(),
    "chunk unstaged": lambda one: one.chunks.update(staged=True),
    "vector": lambda one: one.chunks.update(embedding=[1.0] * vectorspace.stored_dimensions()),
    "department's name": lambda one: Department.objects.filter(pk=one.department_id).update(name="Other"),
    "type's name": lambda one: DocumentType.objects.filter(pk=one.doc_type_id).update(name="Other"),
    "statistics": lambda one: (vectorspace.settle(), one.chunks.update(language="en"), statistics.refresh()),
    "everything": lambda _: connection.cursor().execute(
        "SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE ingestion_document CASCADE"
    ),
}


@pytest.mark.django_db
@pytest.mark.parametrize("change", CHANGES)
def test_it_changes_with_whatever_changes_answers(change: str, library: Department) -> None:
    document = made("Loans", library)
    before = mark()
    assert mark() == before
    CHANGES[change](document)
    assert mark() != before


@pytest.mark.django_db
def test_names_of_tags_and_campuses_count(library: Department) -> None:
    campus, tag = Campus.objects.create(name="Main"), Tag.objects.create(name="sport")
    before = mark()
    Campus.objects.filter(pk=campus.pk).update(name="Old")
    middle = mark()
    Tag.objects.filter(pk=tag.pk).update(name="sports")
    assert len({before, middle, mark()}) == 3


@pytest.mark.django_db
def test_work_on_what_is_not_served_leaves_it_as_it_is(library: Department) -> None:
    served, queued = made("Loans", library), made("New", library, is_searchable=False, status="queued")
    before = mark(OPERATOR)
    Document.objects.filter(pk=queued.pk).update(status="embedding", progress=40, title="Newer")
    Document.objects.filter(pk=served.pk).update(status="embedding", progress=40, run_seen_at=timezone.now())
    queued.chunks.update(embedding=[1.0] * vectorspace.stored_dimensions())
    served.chunks.update(metadata={"second_unembeddable": True})
    Chunk.objects.create(
        document=served, position=0, text="Next", page_number=1, lexemes="", content_hash=b"1" * 32, staged=True
    )
    assert mark(OPERATOR) == before
    Document.objects.filter(pk=queued.pk).update(is_searchable=True)
    assert mark(OPERATOR) != before


@pytest.mark.django_db
def test_nobody_learns_that_something_hidden_from_them_has_changed(library: Department) -> None:
    finance = Department.objects.create(name="Finance")
    inside = Viewer(Role.STAFF, 3, frozenset({finance.pk}))
    outside = Viewer(Role.STAFF, 3, frozenset({library.pk}))
    looking = Viewer(Role.STAFF, 3, frozenset({finance.pk}), seen_as="x", within=frozenset({library.pk}))
    budget = made("Budget", finance, clearance=3, audience="department")
    others = (PUBLIC_VIEWER, outside, looking)
    before, theirs = mark(inside), [mark(one) for one in others]
    Document.objects.filter(pk=budget.pk).update(title="Budget 2027")
    budget.chunks.update(text="Less.")
    assert mark(inside) != before
    assert [mark(one) for one in others] == theirs
    # What is shared concerns those whom it is shared with, from then on and when it ends.
    budget.shared_with.add(library)
    shared = mark(outside)
    assert shared != theirs[1]
    budget.shared_with.clear()
    assert mark(outside) != shared
    assert mark() == theirs[0]


@pytest.mark.django_db
def test_it_says_when_a_window_begins_or_ends_next(library: Department) -> None:
    now = timezone.now()
    assert version_for(PUBLIC_VIEWER).good_until is None
    made("Later", library, visible_from=now + timedelta(hours=2), visible_until=now + timedelta(hours=3))
    made("Hidden", library, clearance=3, visible_until=now + timedelta(minutes=1))
    made("Gone", library, visible_until=now - timedelta(hours=1))
    assert version_for(PUBLIC_VIEWER).good_until == now + timedelta(hours=2)
    made("Ending", library, visible_from=now - timedelta(hours=1), visible_until=now + timedelta(hours=1))
    assert version_for(PUBLIC_VIEWER).good_until == now + timedelta(hours=1)


@pytest.mark.django_db
def test_what_is_rolled_back_was_nothing(library: Department) -> None:
    document = made("Loans", library)
    before = mark()
    with transaction.atomic():
        document.delete()
        transaction.set_rollback(True)
    assert mark() == before


@pytest.mark.django_db
def test_a_version_never_comes_back_when_changes_are_forgotten(
    library: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpusversion, "CHANGES_KEPT", 0)
    seen = [mark()]
    for _ in range(3):
        made("Loans", library)
        seen.append(mark())
        assert prune() > 0
        seen.append(mark())
        assert CorpusChange.objects.count() == 1
    assert len(set(seen)) == len(seen)
    monkeypatch.setattr(corpusversion, "CHANGES_KEPT", 10)
    assert prune() == 0
    assert mark() == seen[-1]


def in_a_thread(work: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
class TestCommits:
    """Real transactions that run beside each other."""

    def test_one_that_began_first_and_commits_last_is_noticed_though_changes_were_forgotten(
        self, library: Department, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(corpusversion, "CHANGES_KEPT", 0)
        first, second = made("First", library), made("Second", library)
        written, go_on = threading.Event(), threading.Event()

        def slow() -> None:
            with transaction.atomic():
                Document.objects.filter(pk=first.pk).update(title="Changed")
                written.set()
                go_on.wait(10)

        thread = in_a_thread(slow)
        assert written.wait(10)
        seen = [mark()]
        Document.objects.filter(pk=second.pk).update(title="Changed")
        seen.append(mark())
        prune()
        seen.append(mark())
        go_on.set()
        thread.join()
        seen.append(mark())
        prune()
        seen.append(mark())
        assert len(set(seen)) == 5

    def test_one_version_is_one_state_whatever_is_written_and_forgotten_meanwhile(
        self, library: Department, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(corpusversion, "CHANGES_KEPT", 5)
        documents = [made(f"Document {number}", library) for number in range(3)]
        over = threading.Event()

        def write(document: Document) -> Callable[[], None]:
            def work() -> None:
                for number in range(60):
                    with transaction.atomic():
                        Document.objects.filter(pk=document.pk).update(title=f"{number} {document.pk}")
                        document.chunks.update(page_number=number + 2)

            return work

        def forget() -> None:
            while not over.is_set():
                prune()

        writers = [in_a_thread(write(document)) for document in documents]
        pruner = in_a_thread(forget)
        states: dict[str, set[tuple[str, ...]]] = {}
        while any(writer.is_alive() for writer in writers) or len(states) < 2:
            with transaction.atomic():
                connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                titles = tuple(
                    Document.objects.visible_to(PUBLIC_VIEWER).order_by("pk").values_list("title", flat=True)
                )
                states.setdefault(mark(), set()).add(titles)
        over.set()
        for thread in (*writers, pruner):
            thread.join()
        assert len(states) > 10
        assert max(map(len, states.values())) == 1
