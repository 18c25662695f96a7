"""What is hidden answers exactly like what does not exist: status, headers and body, at every address of a document."""

from __future__ import annotations

import re
from difflib import unified_diff
from uuid import UUID

import pytest

from portal.tests.noninterference.answers import Answer, answer_of
from portal.tests.noninterference.comparison import DOORS, Browser
from portal.tests.noninterference.doors import CHANGES, Ask
from portal.tests.noninterference.oracle import sight_of
from portal.tests.noninterference.university import EVERYONE, UNIVERSITY
from portal.tests.noninterference.world import UNKNOWN, World, make

pytestmark = pytest.mark.django_db

ABOUT_ONE = [name for name, door in DOORS.items() if door.about_a_document and name != "an action on several documents"]
WAYS = max(len(CHANGES), 10)
"""In so many ways a door can be asked: each page of the admin site, each change."""


@pytest.mark.parametrize("viewer", range(len(EVERYONE)), ids=EVERYONE)
def test_hidden_and_unknown_are_byte_for_byte_alike(viewer: int) -> None:
    world = make(UNIVERSITY)
    browser = Browser(world.people[viewer])
    hidden = sorted(sight_of(browser.person).hidden)
    assert hidden
    unlike = []
    for position, door in enumerate(ABOUT_ONE):
        for way in range(WAYS):
            one = hidden[(position + way) % len(hidden)]
            ask = Ask(door, world.documents.index(one), query=way // 4, number=way % 4)
            nothing = Ask(door, len(world.documents), query=ask.query, number=ask.number)
            answers = [_unnamed(browser.ask(world, asked), world, one) for asked in (ask, nothing)]
            if answers[0] != answers[1]:
                unlike.append((door, way, answers))
    assert not unlike


def _unnamed(answer: Answer, world: World, one: UUID) -> Answer:
    """The answer without the id that was asked for, which some repeat."""
    ids = re.compile(f"{one}|{UNKNOWN}|{one.hex}|{UNKNOWN.hex}")
    headers = tuple((name, _decoded(name, value, ids)) for name, value in answer.headers)
    return Answer(answer.status, headers, ids.sub("(asked)", answer.body.decode(errors="replace")).encode())


def _decoded(name: str, value: str, ids: re.Pattern[str]) -> str:
    # A message of the admin site names the id in a cookie that is packed.
    return "(packed)" if name == "set-cookie" and value.startswith("messages=") else ids.sub("(asked)", value)


FILTERS = (
    ("department", "Registry", "Nowhere"),
    ("campus", "Bunker", "Nowhere"),
    ("tag", "secret", "nowhere"),
    ("tag", "hushed", "nowhere"),
    ("doc_type", "minutes", "ballads"),
    ("language", "pt", "it"),
)
ECHOED = re.compile(r"next=[^\"]*|id=\"\w+-[0-9a-f]{12}\"|Portuguese|Italian")
"""Where a page repeats the word that was asked for otherwise than in plain."""


@pytest.mark.parametrize(("name", "hidden", "unknown"), FILTERS)
def test_a_filter_by_what_only_hidden_documents_have_is_one_by_an_unknown_word(
    name: str, hidden: str, unknown: str
) -> None:
    """To somebody who sees none of them: an anonymous visitor."""
    world = make(UNIVERSITY)
    browser = Browser(world.people[EVERYONE.index("anonymous")])
    for path in ("/api/v1/search/", "/search/"):
        answers = []
        for asked in (hidden, unknown):
            answer = answer_of(browser.client.get(path, {"q": "borrow books", name: asked}), ())
            body = re.sub(rf"\b{asked}\b", "(asked)", ECHOED.sub("", answer.body.decode()))
            headers = [(name, value) for name, value in answer.headers if name != "content-length"]
            answers.append([f"{answer.status} {headers}", *body.split("\n")])
        unlike = list(unified_diff(*answers, lineterm="", n=0))
        assert not unlike, "\n".join(unlike)
