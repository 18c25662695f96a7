"""The changes after which somebody must not see a document any more, and how each is taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from deploy.drill._stale_doors import API, KEY, NOBODY, SESSION, TOKEN
from deploy.drill._stale_scene import Scene, Setting

SIGNED_IN = frozenset((SESSION, TOKEN, KEY))
EVERYBODY = SIGNED_IN | {NOBODY}

CURATORS_DOORS = frozenset(("document page", "passage", "file", "document", "API file", "chunks", "list"))
"""Where curators find what no search shows yet."""

Play = Callable[[Scene], None]


@dataclass(frozen=True)
class Acts:
    """How a change is made, and how it is taken back."""

    withdraw: Play
    restore: Play


@dataclass(frozen=True)
class Change:
    """One change, from the setting that stands before it. `seen_by` are the ways that show the document before,
    `ended` those of them that must not afterwards; the others go on showing it. `doors`, where not all, are those that
    show it before."""

    name: str
    setting: Setting
    acts: Acts
    seen_by: frozenset[str] = SIGNED_IN
    ended: frozenset[str] = SIGNED_IN
    doors: frozenset[str] = frozenset()


def _patched(before: dict[str, Any], after: dict[str, Any]) -> Acts:
    """Made and taken back through the API; `bureau` and so on stand for the scene's departments."""

    def play(fields: dict[str, Any]) -> Play:
        def patch(scene: Scene) -> None:
            names = {key: one.name for key, one in scene.departments.items()}
            scene.patch(
                **{
                    key: [names[one] for one in value] if isinstance(value, list) else names.get(value, value)
                    for key, value in fields.items()
                }
            )

        return patch

    return Acts(play(after), play(before))


def _of_people(before: dict[str, Any], after: dict[str, Any]) -> Acts:
    """Fields of the person and the service account, as the admin's form writes them."""

    def play(fields: dict[str, Any]) -> Play:
        def write(scene: Scene) -> None:
            for one in scene.people():
                for name, value in fields.items():
                    setattr(one, name, value)
                one.save()

        return write

    return Acts(play(after), play(before))


def _departments(before: tuple[str, ...], after: tuple[str, ...]) -> Acts:
    """The departments that both belong to."""

    def play(names: tuple[str, ...]) -> Play:
        def write(scene: Scene) -> None:
            for one in scene.people():
                one.departments.set([scene.departments[name] for name in names])

        return write

    return Acts(play(after), play(before))


def _window(name: str, days: int) -> Acts:
    """A date of publication, as the document's form writes it."""

    def play(at: bool) -> Play:
        def write(scene: Scene) -> None:
            from django.utils import timezone

            document = scene.document()
            setattr(document, name, timezone.now() + timedelta(days=days) if at else None)
            document.save(update_fields=[name, "updated_at"])

        return write

    return Acts(play(True), play(False))


def _archive(scene: Scene) -> None:
    scene.operator.delete(f"{API}/documents/{scene.watched.id}/").raise_for_status()


def _unarchive(scene: Scene) -> None:
    from ingestion import pipeline

    pipeline.restore(scene.document())
    pipeline.ingest(scene.document().pk)


def _revoke_key(scene: Scene) -> None:
    from accounts.api_keys import revoke

    revoke(scene.key)


def _revoke_grant(scene: Scene) -> None:
    address = f"{scene.servers[0]}{API}/token/blacklist/"
    httpx.post(address, json={"refresh": scene.refresh}, timeout=30.0).raise_for_status()


def _sign_out_everywhere(scene: Scene) -> None:
    from accounts.sign_in import sign_out_everywhere

    sign_out_everywhere(scene.person, actor=scene.person, request=None)


def _leave_librarians(scene: Scene) -> None:
    for one in scene.people():
        one.groups.clear()


def _join_librarians(scene: Scene) -> None:
    from django.contrib.auth.models import Group

    from accounts.clearance import LIBRARIANS

    for one in scene.people():
        one.groups.add(Group.objects.get(name=LIBRARIANS))


def _begin_phase(scene: Scene) -> None:
    from django.utils import timezone

    from accounts.models import Phase

    phase = Phase.objects.create(name="drill", starts_at=timezone.now() - timedelta(hours=1))
    phase.departments.set([scene.departments["guests"]])


def _end_phase(_scene: Scene) -> None:
    from accounts.models import Phase

    Phase.objects.all().delete()


CHANGES = (
    Change(
        "document raised from 1 to 4", Setting("student", clearance=1),
        _patched({"clearance": 1}, {"clearance": 4}), seen_by=EVERYBODY, ended=EVERYBODY,
    ),
    Change("document raised from 2 to 3", Setting("student"), _patched({"clearance": 2}, {"clearance": 3})),
    Change(
        "document given to its department alone", Setting("academic"),
        _patched({"audience": "institution"}, {"audience": "department"}),
    ),
    Change(
        "document moved to another department", Setting(of=("bureau",), audience="department"),
        _patched({"department": "bureau"}, {"department": "guests"}),
    ),
    Change(
        "share withdrawn", Setting(of=("guests",), audience="department", shared=True),
        _patched({"shared_with": ["guests"]}, {"shared_with": []}),
    ),
    Change(
        "document archived", Setting(clearance=1), Acts(_archive, _unarchive),
        seen_by=EVERYBODY, ended=EVERYBODY,
    ),
    Change(
        "document embargoed", Setting(clearance=1), _window("visible_from", 1), seen_by=EVERYBODY, ended=EVERYBODY
    ),
    Change("document out of date", Setting(clearance=3), _window("visible_until", -1)),
    Change(
        "academic became student", Setting("academic", clearance=4),
        _of_people({"role": "academic"}, {"role": "student"}),
    ),
    Change(
        "administrator became staff", Setting("admin", audience="department"),
        _of_people({"role": "admin"}, {"role": "staff"}),
    ),
    Change(
        "left the department", Setting(of=("bureau", "elsewhere"), audience="department"),
        _departments(("bureau", "elsewhere"), ("elsewhere",)),
    ),
    Change("left the last department", Setting(clearance=3), _departments(("elsewhere",), ())),
    Change(
        "librarian no more", Setting("academic", of=("bureau",), clearance=1, librarian=True, embargoed=True),
        Acts(_leave_librarians, _join_librarians), doors=CURATORS_DOORS,
    ),
    Change("disabled", Setting(), _of_people({"is_active": True}, {"is_active": False})),
    Change(
        "API key revoked", Setting(), Acts(_revoke_key, lambda scene: scene.sign_in(KEY)),
        ended=frozenset((KEY,)),
    ),
    Change(
        "token's grant revoked", Setting(), Acts(_revoke_grant, lambda scene: scene.sign_in(TOKEN)),
        ended=frozenset((TOKEN,)),
    ),
    Change(
        "password changed", Setting(), Acts(Scene.change_password, lambda scene: scene.sign_in(SESSION, TOKEN)),
        ended=frozenset((SESSION, TOKEN)),
    ),
    Change(
        "signed out everywhere", Setting(), Acts(_sign_out_everywhere, lambda scene: scene.sign_in(SESSION, TOKEN)),
        ended=frozenset((SESSION, TOKEN)),
    ),
    Change(
        "phase that does not admit", Setting(clearance=1), Acts(_begin_phase, _end_phase),
        seen_by=EVERYBODY, ended=EVERYBODY,
    ),
)  # fmt: skip
"""Every change by which somebody may lose sight of a document."""
