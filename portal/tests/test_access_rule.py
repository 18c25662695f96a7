"""The access rule: role x department x clearance x audience, naming what must be seen and what must not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.db import connection
from django.utils import timezone

from accounts.clearance import LIBRARIANS, viewer_for
from accounts.models import Department
from ingestion.models import Chunk, Document
from portal.tests.conftest import MakeDocument, MakePerson

pytestmark = pytest.mark.django_db

CLEARANCES = (1, 2, 3, 4)
SCOPES = ("institution", "own", "shared", "other")
"""For whom a document is: everybody, the viewer's department, one that shares with it, one that does not."""

SEEN = {
    # who: {scope: the clearances that they see there}; everything else must stay hidden
    ("anonymous", "no department"): {"institution": {1}},
    ("student", "no department"): {"institution": {1, 2}},
    ("student", "a department"): {"institution": {1, 2}, "own": {1, 2}, "shared": {1, 2}},
    ("staff", "no department"): {"institution": {1, 2}},
    ("staff", "a department"): {"institution": {1, 2, 3}, "own": {1, 2, 3}, "shared": {1, 2, 3}},
    ("academic", "no department"): {"institution": {1, 2}},
    ("academic", "a department"): {"institution": {1, 2, 3, 4}, "own": {1, 2, 3, 4}, "shared": {1, 2, 3, 4}},
    ("admin", "no department"): {scope: {1, 2, 3, 4} for scope in SCOPES},
}


@pytest.fixture
def corpus(document: MakeDocument, finance: Department, library: Department) -> dict[tuple[str, int], Document]:
    """One document, with one chunk, for each scope and clearance; the viewers belong to Finance."""
    made = {}
    for clearance in CLEARANCES:
        made["institution", clearance] = document(
            f"For all {clearance}", department=library, audience="institution", clearance=clearance
        )
        made["own", clearance] = document(
            f"Finance {clearance}", department=finance, audience="department", clearance=clearance
        )
        made["shared", clearance] = document(
            f"Shared {clearance}",
            department=library,
            audience="department",
            clearance=clearance,
            shared_with=(finance,),
        )
        made["other", clearance] = document(
            f"Library {clearance}", department=library, audience="department", clearance=clearance
        )
    for one in made.values():
        chunk(one)
    return made


def chunk(document: Document) -> Chunk:
    return Chunk.objects.create(
        document=document, position=0, text=document.title, page_number=1, lexemes="", content_hash=b"0" * 32
    )


@pytest.mark.parametrize("who", SEEN, ids=" with ".join)
def test_each_viewer_sees_exactly_what_the_table_says(
    who: tuple[str, str], corpus: dict[tuple[str, int], Document], person: MakePerson, finance: Department
) -> None:
    role, affiliation = who
    user = (
        AnonymousUser()
        if role == "anonymous"
        else person(role, departments=(finance,) if affiliation == "a department" else ())
    )
    viewer = viewer_for(user)
    must_see = {title(corpus, scope, clearance) for scope, allowed in SEEN[who].items() for clearance in allowed}
    must_not_see = {one.title for one in corpus.values()} - must_see
    documents = set(Document.objects.visible_to(viewer).values_list("title", flat=True))
    chunks = set(Chunk.objects.visible_to(viewer).values_list("text", flat=True))
    assert must_see <= documents
    assert not must_not_see & documents
    assert chunks == documents


def title(corpus: dict[tuple[str, int], Document], scope: str, clearance: int) -> str:
    return corpus[scope, clearance].title


def test_with_public_search_off_nobody_anonymous_sees_anything(corpus, settings) -> None:
    settings.PUBLIC_SEARCH = False
    assert not Document.objects.visible_to(viewer_for(AnonymousUser())).exists()
    assert not Chunk.objects.visible_to(viewer_for(AnonymousUser())).exists()


def test_a_disabled_person_is_anonymous(corpus, person: MakePerson, finance: Department) -> None:
    user = person("academic", departments=(finance,), is_active=False)
    assert set(Document.objects.visible_to(viewer_for(user))) == {corpus["institution", 1]}


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"is_searchable": False}, False),
        ({"status": "archived", "is_searchable": False}, False),
        ({"visible_from": timedelta(hours=1)}, False),
        ({"visible_from": timedelta(hours=-1)}, True),
        ({"visible_until": timedelta(hours=-1)}, False),
        ({"visible_until": timedelta(hours=1)}, True),
        ({"status": "failed"}, True),  # a new version failed; the old one is still served
    ],
)
def test_only_searchable_documents_inside_their_window_are_seen(
    change, seen: bool, document: MakeDocument, person: MakePerson, library: Department
) -> None:
    one = document("Window", department=library)
    chunk(one)
    for name, value in change.items():
        setattr(one, name, timezone.now() + value if isinstance(value, timedelta) else value)
    one.save()
    for viewer in (viewer_for(AnonymousUser()), viewer_for(person("admin"))):
        assert Document.objects.visible_to(viewer).exists() is seen
        assert Chunk.objects.visible_to(viewer).exists() is seen


def test_chunks_follow_their_document_in_the_same_statement(
    document: MakeDocument, person: MakePerson, finance: Department, library: Department
) -> None:
    one = document("Moves", department=finance, audience="department", clearance=3)
    chunk(one)
    viewer = viewer_for(person("staff", departments=(finance,)))
    visible = Chunk.objects.visible_to(viewer)
    assert visible.exists()
    Document.objects.filter(pk=one.pk).update(clearance=4)
    assert not visible.exists()
    Document.objects.filter(pk=one.pk).update(clearance=2, department=library)
    assert not visible.exists()
    one.shared_with.add(finance)
    assert visible.exists()
    one.shared_with.remove(finance)
    assert not visible.exists()
    Document.objects.filter(pk=one.pk).update(audience="institution")
    assert visible.exists()
    with connection.cursor() as cursor:  # not even SQL by hand can leave a chunk behind
        cursor.execute("UPDATE ingestion_document SET is_searchable = false")
    assert not visible.exists()


def test_a_new_chunk_takes_the_access_of_its_document_whatever_it_says_itself(
    document: MakeDocument, library: Department
) -> None:
    one = document("Strict", department=library, audience="department", clearance=4)
    made = Chunk.objects.create(
        document=one, position=0, text="x", page_number=1, lexemes="", content_hash=b"", clearance=1, readers=[0]
    )
    made.refresh_from_db()
    assert (made.clearance, made.readers) == (4, [library.pk])


def test_a_staged_chunk_is_hidden_until_it_is_served(document: MakeDocument, library: Department) -> None:
    one = document("Staged", department=library)
    made = Chunk.objects.create(
        document=one, position=0, text="x", page_number=1, lexemes="", content_hash=b"", staged=True
    )
    viewer = viewer_for(AnonymousUser())
    assert not Chunk.objects.visible_to(viewer).exists()
    Document.objects.filter(pk=one.pk).update(clearance=2)
    Document.objects.filter(pk=one.pk).update(clearance=1)
    assert not Chunk.objects.visible_to(viewer).exists()
    Chunk.objects.filter(pk=made.pk).update(staged=False)
    assert Chunk.objects.visible_to(viewer).exists()


class TestManageable:
    """What curators may edit."""

    @pytest.fixture
    def librarian(self, person: MakePerson, finance: Department):
        user = person("staff", departments=(finance,))
        user.groups.add(Group.objects.get(name=LIBRARIANS))
        return user

    def test_librarians_manage_their_departments_documents_as_far_as_their_clearance_goes(
        self, librarian, corpus
    ) -> None:
        manageable = set(Document.objects.manageable_by(viewer_for(librarian)))
        assert manageable == {corpus["own", clearance] for clearance in (1, 2, 3)}

    def test_and_what_they_own_in_any_state(self, librarian, document: MakeDocument, library: Department) -> None:
        one = document(
            "Mine", department=library, audience="department", clearance=4, owner=librarian, status="failed",
            is_searchable=False,
        )  # fmt: skip
        assert one in Document.objects.manageable_by(viewer_for(librarian))
        assert one not in Document.objects.visible_to(viewer_for(librarian))

    @pytest.mark.parametrize("role", ["student", "staff", "academic"])
    def test_nobody_else_manages_anything(self, role: str, corpus, person: MakePerson, finance: Department) -> None:
        assert not Document.objects.manageable_by(viewer_for(person(role, departments=(finance,)))).exists()
        assert not Document.objects.manageable_by(viewer_for(AnonymousUser())).exists()

    def test_administrators_manage_everything(self, corpus, person: MakePerson) -> None:
        assert Document.objects.manageable_by(viewer_for(person("admin"))).count() == len(corpus)


def test_a_change_of_role_holds_from_the_next_reading(corpus, person: MakePerson, finance: Department) -> None:
    user = person("academic", departments=(finance,))
    assert Document.objects.visible_to(viewer_for(user)).filter(clearance=4).exists()
    type(user).objects.filter(pk=user.pk).update(role="student")
    user = type(user).objects.get(pk=user.pk)
    assert not Document.objects.visible_to(viewer_for(user)).filter(clearance__gt=2).exists()
    assert not user.is_staff
