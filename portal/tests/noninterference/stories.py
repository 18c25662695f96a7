"""Random stories: a university, what changes in it one thing after another, and who asks what meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.utils import timezone
from hypothesis import strategies as st

from accounts.clearance import CURATORS, LIBRARIANS
from accounts.models import Department, Phase, User
from ingestion import pipeline
from ingestion.models import Document, Tag
from portal.tests.noninterference.comparison import DOORS
from portal.tests.noninterference.doors import FILTERS, Ask
from portal.tests.noninterference.world import (
    CAMPUSES,
    DEPARTMENTS,
    PAPERS,
    QUERIES,
    STATES,
    TAGS,
    TYPES,
    DocumentFacts,
    PersonFacts,
    World,
    WorldFacts,
    window,
)

ROLES = ("student", "staff", "academic", "admin")


@dataclass(frozen=True)
class Change:
    """Something that happens to a document or a person (a place in the world); `value` says how."""

    what: str
    whom: int
    value: int


@dataclass(frozen=True)
class Story:
    """A university, the changes in their order, the people who look at it, and what each of them asks every time."""

    world: WorldFacts
    changes: tuple[Change, ...]
    viewers: tuple[int, ...]
    asks: tuple[Ask, ...]


def _set(document: Document, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(document, name, value)
    document.save()


def _department(value: int) -> Department:
    return Department.objects.get(name=DEPARTMENTS[value % len(DEPARTMENTS)])


def _retag(document: Document, value: int) -> None:
    document.tags.set(Tag.objects.filter(name__in=[name for bit, name in enumerate(TAGS) if value >> bit & 1]))


def _archive(document: Document, value: int) -> None:
    pipeline.archive(document)


def _restore(document: Document, value: int) -> None:
    pipeline.restore(document)


def _delete(document: Document, value: int) -> None:
    document.delete()


DOCUMENT_CHANGES: dict[str, Callable[[Document, int], None]] = {
    "reclassify": lambda document, value: _set(document, clearance=1 + value % 4),
    # As a script would do it, past the model: the database itself must keep the rule.
    "reclassify all alike": lambda document, value: (
        Document.objects.filter(department=document.department_id).update(clearance=1 + value % 4) and None
    ),
    "address": lambda document, value: _set(document, audience=("department", "institution")[value % 2]),
    "move": lambda document, value: _set(document, department=_department(value)),
    "share": lambda document, value: document.shared_with.add(_department(value)),
    "stop sharing": lambda document, value: document.shared_with.clear(),
    "archive": _archive,
    "restore": _restore,
    "set its window": lambda document, value: _set(document, **window(("embargoed", "expired", "open")[value % 3])),
    "delete": _delete,
    "rename": lambda document, value: _set(document, title=f"Renamed zebra {value}", updated_at=timezone.now()),
    "tag": _retag,
}


def _change_role(person: User, value: int) -> None:
    person.role = ROLES[value % 3]
    person.save()


def _move_person(person: User, value: int) -> None:
    person.departments.set([_department(value)])


def _leave(person: User, value: int) -> None:
    person.departments.clear()


def _join_group(person: User, value: int) -> None:
    person.groups.set([Group.objects.get(name=(LIBRARIANS, CURATORS)[value % 2])])
    person.curated_departments.set(person.departments.all()[:1])


def _leave_group(person: User, value: int) -> None:
    person.groups.clear()


def _switch(person: User, value: int) -> None:
    person.is_active = not person.is_active
    person.save()


def _admit(person: User, value: int) -> None:
    phase = Phase.objects.first() or Phase.objects.create(name="later", starts_at=timezone.now())
    (phase.people.add if value % 2 else phase.people.remove)(person)


PERSON_CHANGES: dict[str, Callable[[User, int], None]] = {
    "change role": _change_role,
    "move person": _move_person,
    "leave all departments": _leave,
    "join a group": _join_group,
    "leave the group": _leave_group,
    "disable or enable": _switch,
    "invite or not": _admit,
}


def apply(world: World, change: Change) -> None:
    """Let it happen, as far as there is still somebody or something that it can happen to."""
    if change.what in DOCUMENT_CHANGES:
        document = Document.objects.filter(pk=world.documents[change.whom % len(world.documents)]).first()
        if document is not None:
            DOCUMENT_CHANGES[change.what](document, change.value)
    else:
        person = User.objects.filter(pk=world.people[change.whom % len(world.people)]).first()
        if person is not None and person.role != "admin":
            PERSON_CHANGES[change.what](person, change.value)


_places = st.frozensets(st.integers(0, len(DEPARTMENTS) - 1), max_size=2)


def documents(people: int) -> st.SearchStrategy[DocumentFacts]:
    """Any document. What is for everybody is as likely as what is not, or rankings would have nothing to betray."""
    return st.builds(
        DocumentFacts,
        paper=st.integers(0, len(PAPERS) - 1),
        department=st.integers(0, len(DEPARTMENTS) - 1),
        clearance=st.sampled_from((1, 1, 2, 3, 4)),
        audience=st.sampled_from(("institution", "department")),
        shared=_places,
        state=st.sampled_from(("ready", "ready", "ready", "ready", *STATES)),
        window=st.sampled_from(("always", "always", "always", "embargoed", "expired", "open")),
        tags=st.frozensets(st.integers(0, len(TAGS) - 1), max_size=2),
        campus=st.none() | st.integers(0, len(CAMPUSES) - 1),
        doc_type=st.integers(0, len(TYPES) - 1),
        priority=st.sampled_from((3, 1, 5)),
        owner=st.none() | st.integers(0, people - 1),
        embedded=st.sampled_from((True, True, True, False)),
        attached_to=st.sampled_from((None, None, None, 0, 1, 2, 5)),
    )


people = st.builds(
    PersonFacts,
    role=st.sampled_from(("student", "staff", "academic", "anonymous", "staff", "academic")),
    departments=_places,
    group=st.sampled_from(("", "", LIBRARIANS, CURATORS)),
    campus=st.none() | st.integers(0, len(CAMPUSES) - 1),
    active=st.sampled_from((True, True, True, True, True, False)),
    invited=st.booleans(),
)

changes = st.builds(
    Change,
    what=st.sampled_from((*DOCUMENT_CHANGES, *PERSON_CHANGES)),
    whom=st.integers(0, 11),
    value=st.integers(0, 11),
)

PEOPLE, DOCUMENTS, CHANGES, VIEWERS, ASKS = 4, 9, 4, 3, 16
"""How large a story is: small enough that a failing one can be read."""

asks = st.builds(
    Ask,
    door=st.sampled_from(sorted(DOORS)),
    document=st.integers(0, DOCUMENTS),
    query=st.integers(0, len(QUERIES) - 1),
    filters=st.integers(0, len(FILTERS) - 1),
    number=st.integers(0, 3),
)

worlds = st.builds(
    WorldFacts,
    documents=st.lists(documents(PEOPLE), min_size=5, max_size=DOCUMENTS).map(tuple),
    people=st.lists(people, min_size=PEOPLE, max_size=PEOPLE).map(tuple),
    phased=st.sampled_from((False,) * 7 + (True,)),
    public_search=st.sampled_from((True,) * 7 + (False,)),
)

stories = st.builds(
    Story,
    world=worlds,
    changes=st.lists(changes, min_size=2, max_size=CHANGES).map(tuple),
    viewers=st.lists(st.integers(0, PEOPLE - 1), min_size=2, max_size=VIEWERS, unique=True).map(tuple),
    asks=st.lists(asks, min_size=10, max_size=ASKS, unique=True).map(tuple),
)
