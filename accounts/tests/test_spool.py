"""What the database could not take of the trail: kept, and brought to it once."""

from __future__ import annotations

import stat
import time
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from accounts import chain, spool, tasks
from accounts.audit import DOWNLOADED, VIEWED, note_reading
from accounts.models import AuditEvent, Department, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.AUDIT_SPOOL = str(tmp_path / "spool")
    monkeypatch.setattr(spool, "_paused_until", 0.0)
    monkeypatch.setattr(spool, "_looked", False)
    monkeypatch.setattr(spool, "PAUSE_SECONDS", 0.0)
    return tmp_path / "spool"


@pytest.fixture
def reader() -> User:
    return User.objects.create_user("ada", role="staff")


def read(reader: User, title: str = "Loans", action: str = VIEWED) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.7")
    request.user = reader
    note_reading(action, uuid4(), title, request=request)


def locked() -> BaseDatabaseWrapper:
    """The trail locked by somebody else, on a connection of their own."""
    connections["default"].ensure_connection()
    other = connections.create_connection("default")
    other.cursor().execute("BEGIN; LOCK TABLE accounts_auditevent IN ACCESS EXCLUSIVE MODE")
    return other


def test_what_cannot_be_written_waits_and_comes_once_with_its_own_time(reader: User, folder: Path) -> None:
    other = locked()
    try:
        started = time.monotonic()
        read(reader, "While it was locked")
        read(reader, "And another", DOWNLOADED)
        assert time.monotonic() - started < 5
    finally:
        other.close()
    assert spool.waiting() == 2
    before = time.time()
    assert tasks.seal_audit() == 2
    assert spool.waiting() == 0
    first, second = AuditEvent.objects.order_by("pk")
    assert (first.subject, second.action, first.actor, first.address) == (
        "While it was locked", DOWNLOADED, reader, "192.0.2.7",
    )  # fmt: skip
    assert first.at.timestamp() < before
    assert chain.verify(chain.ACTS).intact


def test_what_was_brought_already_is_not_brought_again(reader: User, folder: Path) -> None:
    """A worker that died after it had written, and before it had removed the file."""
    other = locked()
    try:
        read(reader)
    finally:
        other.close()
    (waiting,) = folder.iterdir()
    kept = waiting.read_bytes()
    assert spool.replay() == 1
    (folder / "taken-again").write_bytes(kept)
    assert spool.replay() == 0
    assert AuditEvent.objects.count() == 1
    assert list(folder.iterdir()) == []


def test_the_next_one_that_is_written_brings_along_what_waits(reader: User, folder: Path) -> None:
    other = locked()
    try:
        read(reader, "late")
    finally:
        other.close()
    read(reader, "on time")
    until = time.monotonic() + 10
    while AuditEvent.objects.count() < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert {event.subject for event in AuditEvent.objects.all()} == {"late", "on time"}


def test_a_person_who_was_deleted_meanwhile_leaves_their_name(reader: User, folder: Path) -> None:
    other = locked()
    try:
        read(reader)
    finally:
        other.close()
    reader.delete()
    assert spool.replay() == 1
    event = AuditEvent.objects.get()
    assert (event.actor, event.actor_name) == (None, "ada")


def test_a_torn_line_is_kept_apart_and_the_others_come(reader: User, folder: Path) -> None:
    other = locked()
    try:
        read(reader, "whole")
        (waiting,) = folder.iterdir()
        torn = b'{"model": "accounts.department", "fields": {"name": "Nobody did this"}}\n{"model": "accounts.audit'
        waiting.write_bytes(waiting.read_bytes() + b"\n" + torn)
        read(reader, "behind it")
    finally:
        other.close()
    assert spool.replay() == 2
    assert (folder / "refused").read_bytes() == torn + b"\n"
    assert not Department.objects.exists()
    assert stat.S_IMODE((folder / "refused").stat().st_mode) == 0o600


def test_an_answer_that_neither_can_note_is_not_given(reader: User, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "full").write_text("no folder")
    settings.AUDIT_SPOOL = str(tmp_path / "full")
    other = locked()
    try:
        with pytest.raises(OperationalError):
            read(reader)
    finally:
        other.close()
