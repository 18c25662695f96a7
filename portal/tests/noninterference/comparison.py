"""Asking the same doors in the whole database and in the one without what is hidden."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count

from django.core.cache import cache
from django.db import transaction
from django.test import Client

from accounts.models import User
from portal.tests.noninterference import doors_admin, doors_mine  # noqa: F401  (enter their doors)
from portal.tests.noninterference.answers import REQUEST_ID, Answer, answer_of, difference
from portal.tests.noninterference.doors import DOORS, Ask
from portal.tests.noninterference.oracle import Sight, delete, sight_of
from portal.tests.noninterference.world import UNKNOWN, World

_number = count()


@dataclass
class Browser:
    """Somebody's browser: one session, kept through everything that changes meanwhile."""

    person: int | None
    client: Client = field(default_factory=lambda: Client(headers={"X-Request-ID": REQUEST_ID}))

    def __post_init__(self) -> None:
        if self.person:
            self.client.force_login(User.objects.get(pk=self.person))
        self._cookies = deepcopy(self.client.cookies)

    def ask(self, world: World, ask: Ask) -> Answer:
        """The answer of a door. What the question changed is undone, and what it left in the browser forgotten."""
        self.client.cookies = deepcopy(self._cookies)
        asked = DOORS[ask.door]
        with transaction.atomic():
            response = asked.ask(self.client, world, ask)
            answer = answer_of(response, (*world.documents, UNKNOWN), written=asked.writes)
            transaction.set_rollback(True)
        return answer


@dataclass(frozen=True)
class Leak:
    """A door that answers otherwise because of what its viewer may not see."""

    person: int | None
    ask: Ask
    what: str

    def __str__(self) -> str:
        return f"{self.ask} for person {self.person}:\n{self.what}"


@dataclass
class Tally:
    """How much was compared: a case is one state of the database, one viewer and one door, where something is hidden
    from that viewer."""

    cases: int = 0
    doors: set[str] = field(default_factory=set)


def leaks(world: World, browser: Browser, asks: Sequence[Ask], tally: Tally) -> Iterator[Leak]:
    """The doors among these that leak to this viewer as everything stands now.

    The whole database answers with the caches as they are, filled by all that was asked before; the other one, which
    is gone again afterwards, with caches of its own. Beside that each answer about a document is held against the rule.
    """
    sight = sight_of(browser.person)
    whole = {ask: browser.ask(world, ask) for ask in asks}
    for ask, answer in whole.items():
        if said := _against_the_rule(world, sight, ask, answer):
            yield Leak(browser.person, ask, said)
    if not sight.hidden:
        return
    with without(sight):
        bare = {ask: browser.ask(world, ask) for ask in asks}
    tally.cases += len(whole)
    tally.doors.update(ask.door for ask in whole)
    yield from _differences(browser.person, whole, bare)


def _differences(person: int | None, whole: dict[Ask, Answer], bare: dict[Ask, Answer]) -> Iterable[Leak]:
    return (Leak(person, ask, difference(answer, bare[ask])) for ask, answer in whole.items() if answer != bare[ask])


@contextmanager
def without(sight: Sight) -> Iterator[None]:
    """For as long as this lasts the hidden documents are deleted, and the caches are others."""
    prefix = cache.key_prefix
    with transaction.atomic():
        delete(sight.hidden)
        cache.key_prefix = f"bare{next(_number)}"
        try:
            yield
        finally:
            cache.delete_pattern("*")  # type: ignore[attr-defined]
            cache.key_prefix = prefix
            transaction.set_rollback(True)


READ = {
    "the document page", "the file of the page", "the document in the API", "its file in the API", "its chunks",
}  # fmt: skip
"""Doors that open for exactly those who see a document or manage it."""


def _against_the_rule(world: World, sight: Sight, ask: Ask, answer: Answer) -> str:
    """What is wrong with the status of an answer; empty when nothing is."""
    if answer.status >= 500:
        return f"status {answer.status}: {answer.body[:500]!r}"
    if ask.door not in READ or (ask.door == "the document in the API" and ask.number % 3 == 2):
        return ""
    allowed = world.document(ask.document) in sight.seen | sight.managed
    if allowed != (answer.status == 200):
        return f"status {answer.status} though the rule says {'shown' if allowed else 'hidden'}"
    return ""
