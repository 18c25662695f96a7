"""One university by hand, with everything in it that a loosened rule would betray, and the people who look at it."""

from __future__ import annotations

from itertools import product

from accounts.clearance import CURATORS, LIBRARIANS
from portal.tests.noninterference.doors import DOORS, Ask
from portal.tests.noninterference.doors_admin import other_admin_routes
from portal.tests.noninterference.stories import Change
from portal.tests.noninterference.world import DocumentFacts, PersonFacts, WorldFacts

FINANCE = 1
EVERYONE = ("anonymous", "student", "student of Finance", "staff without department", "staff of Finance",
            "academic of Library", "librarian", "curator", "former librarian")  # fmt: skip

PEOPLE = (
    PersonFacts("anonymous"),
    PersonFacts("student", campus=0),
    PersonFacts("student", frozenset({FINANCE})),
    PersonFacts("staff", campus=1),
    PersonFacts("staff", frozenset({FINANCE}), campus=0),
    PersonFacts("academic", frozenset({0})),
    PersonFacts("staff", frozenset({0}), LIBRARIANS),
    PersonFacts("academic", frozenset({0, FINANCE}), CURATORS),
    PersonFacts("staff", frozenset({0})),
)

LIBRARIAN, FORMER = 6, 8

_access = tuple(
    DocumentFacts(
        paper=(3 * clearance + department) % 9 if (clearance, audience) != (1, "institution") else 0,
        department=department,
        clearance=clearance,
        audience=audience,
        tags=frozenset({1} if clearance > 2 else {0}),
        campus=1 if clearance == 4 else 0,
        doc_type=2 if clearance > 2 else 0,
        priority=5 if audience == "department" else 3,
    )
    for clearance, (audience, department) in product((1, 2, 3, 4), (("institution", 0), ("department", 0),
                                                                    ("department", FINANCE)))
)  # fmt: skip

DOCUMENTS = (
    *_access,
    DocumentFacts(paper=2, department=0, clearance=2, audience="department", shared=frozenset({FINANCE})),
    DocumentFacts(paper=8, department=2, clearance=4, tags=frozenset({2})),
    DocumentFacts(paper=1, department=0, state="archived"),
    DocumentFacts(paper=1, department=0, window="embargoed"),
    DocumentFacts(paper=1, department=0, window="expired"),
    DocumentFacts(paper=5, department=0, window="open"),
    DocumentFacts(paper=4, department=2, clearance=3, state="failed", owner=LIBRARIAN),
    DocumentFacts(paper=3, department=2, clearance=4, state="archived", owner=FORMER),
    DocumentFacts(paper=1, department=FINANCE),
    DocumentFacts(paper=3, department=0, attached_to=len(_access) + 8),
    DocumentFacts(paper=6, department=0, embedded=False),
    DocumentFacts(paper=7, department=0),
)

SHARED, PUBLIC, FORMERS_OWN, MAIL = len(_access), 0, len(_access) + 7, len(_access) + 8

UNIVERSITY = WorldFacts(DOCUMENTS, PEOPLE)

CHANGES = (
    Change("stop sharing", SHARED, 0),
    Change("reclassify", PUBLIC, 3),
    # Its attachment goes with it.
    Change("reclassify", MAIL, 3),
    # From academic to student, in an open session.
    Change("change role", 5, 0),
    Change("set its window", len(DOCUMENTS) - 1, 0),
    Change("archive", len(DOCUMENTS) - 2, 0),
)
"""What happens to it, so that what was kept from before would show."""

OF_MANY = ("search by query string", "search by JSON", "the search page", "suggestions", "documents like it",
           "the list of documents", "the librarians' list", "an upload")  # fmt: skip
"""Doors whose answers are made of many documents: asked in several ways."""


def asks(documents: int) -> list[Ask]:
    """Every door in each of its ways, and those whose answer is made of many documents in several."""
    several = [Ask(name, filters=way, query=way, number=way % 3) for name in OF_MANY for way in range(12)]
    about, plain = [], []
    for name, door in DOORS.items():
        if door.about_a_document:
            places = range(0, documents + 1, 7 if door.writes else 3)
            about += [_way(name, way, place) for way, place in enumerate((FORMERS_OWN, *places))]
        else:
            ways = len(other_admin_routes()) if name == "a page about something else" else 4
            plain += [_way(name, way) for way in range(ways)]
    return list(dict.fromkeys([*several, *about, *plain]))


def _way(door: str, way: int, document: int = 0) -> Ask:
    """One of the ways in which a door can be asked: they are counted through `number` first."""
    return Ask(door, document, query=way // 4 % 8, filters=way // 32, number=way % 4)
