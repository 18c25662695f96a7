"""The chains of the audit trail: nobody changes an event, and whoever does all the same is found."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from accounts import anchors, chain, tasks
from accounts.audit import VIEWED, erase_readings, note
from accounts.models import AuditChain, AuditEvent, AuditPurge, AuditSeal, User
from accounts.tests.tampering import unguarded

pytestmark = pytest.mark.django_db

LENGTH = 12


def some_acts(length: int = LENGTH) -> list[AuditEvent]:
    for number in range(length):
        note("signed_in", actor=None, subject=f"person {number}", number=number)
    chain.seal()
    return list(AuditEvent.objects.order_by("pk"))


def position_of(event: AuditEvent) -> int | None:
    return AuditSeal.objects.get(event=event.event_id).position


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_auditevent SET subject = 'somebody else'",
        "UPDATE accounts_auditevent SET actor_id = NULL, at = now()",
        "DELETE FROM accounts_auditevent",
        "DELETE FROM accounts_auditseal",
        "DELETE FROM accounts_auditpurge",
    ],
)
def test_the_database_refuses_to_change_or_delete_what_is_in_the_trail(statement: str) -> None:
    some_acts(1)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEvent.objects.get().subject == "person 0"


def test_the_database_refuses_to_empty_it() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_auditevent ENABLE TRIGGER audit_whole")
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute("TRUNCATE accounts_auditevent")


def test_a_deleted_person_leaves_their_acts_and_the_chain_stays_whole() -> None:
    person = User.objects.create_user("ada")
    note("signed_in", actor=person, subject="ada")
    chain.seal()
    person.delete()
    event = AuditEvent.objects.get(action="signed_in")
    assert (event.actor, event.actor_name) == (None, "ada")
    assert chain.verify(chain.ACTS).intact


def test_an_event_has_a_digest_at_once_and_a_place_soon() -> None:
    note("signed_in", actor=None)
    seal = AuditSeal.objects.get()
    assert (len(seal.digest), seal.position) == (32, None)
    assert chain.verify(chain.ACTS).intact
    assert tasks.seal_audit() == 1
    seal.refresh_from_db()
    assert (seal.position, len(seal.link or b"")) == (1, 32)
    assert tasks.seal_audit() == 0
    assert str(chain.verify(chain.ACTS)) == "acts: intact, 1 events."


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    how=st.sampled_from(["change", "delete", "swap", "swap seals", "delete both", "forge"]),
    first=st.integers(0, LENGTH - 2),
    step=st.integers(1, LENGTH - 1),
)
def test_whatever_is_changed_deleted_or_swapped_is_found_and_named(how: str, first: int, step: int) -> None:
    """The last one cannot be told from a trail that never had it: that is what anchors are for."""
    with transaction.atomic():
        events = some_acts()
        one, other = events[first], events[(first + step) % LENGTH]
        where = {position_of(one), position_of(other)}
        assert chain.verify(chain.ACTS).intact
        tamper(how, one, other)
        proof = chain.verify(chain.ACTS)
        assert not proof.intact
        expected = min(where, key=int) if how.startswith("swap") else position_of_gone(how, first)
        assert proof.position == expected
        transaction.set_rollback(True)


def position_of_gone(how: str, first: int) -> int:
    """Positions count from 1. A link that was forged along with its event shows at the next one."""
    return first + (2 if how == "forge" else 1)


def tamper(how: str, one: AuditEvent, other: AuditEvent) -> None:
    with unguarded() as cursor:
        if how in ("change", "forge"):
            cursor.execute("UPDATE accounts_auditevent SET details = '{}' WHERE id = %s", [one.pk])
        if how == "forge":
            cursor.execute(
                "UPDATE accounts_auditseal seal SET digest = audit_digest(audit_form(act)), link = sha256("
                " coalesce((SELECT link FROM accounts_auditseal WHERE position = seal.position - 1),"
                " decode(repeat('00', 32), 'hex')) || int8send(seal.position) || audit_digest(audit_form(act)))"
                " FROM accounts_auditevent act WHERE act.event_id = seal.event AND act.id = %s",
                [one.pk],
            )
        if how in ("delete", "delete both"):
            cursor.execute("DELETE FROM accounts_auditevent WHERE id = %s", [one.pk])
        if how == "delete both":
            cursor.execute("DELETE FROM accounts_auditseal WHERE event = %s", [one.event_id])
        if how == "swap":
            for event, said in ((one, other), (other, one)):
                cursor.execute("UPDATE accounts_auditevent SET subject = %s WHERE id = %s", [said.subject, event.pk])
        if how == "swap seals":
            cursor.execute(
                "UPDATE accounts_auditseal SET event = CASE event WHEN %(one)s THEN %(new)s ELSE event END"
                " WHERE event = %(one)s; UPDATE accounts_auditseal SET event = %(one)s WHERE event = %(other)s;"
                " UPDATE accounts_auditseal SET event = %(other)s WHERE event = %(new)s",
                {"one": one.event_id, "other": other.event_id, "new": "00000000-0000-0000-0000-000000000000"},
            )


def test_an_event_that_waits_for_its_place_is_proven_too() -> None:
    some_acts(2)
    note("signed_out", actor=None)
    event = AuditEvent.objects.get(action="signed_out")
    with unguarded() as cursor:
        cursor.execute("UPDATE accounts_auditevent SET subject = 'x' WHERE id = %s", [event.pk])
    proof = chain.verify(chain.ACTS)
    assert (proof.broken, proof.event) == ("the event was changed", str(event.event_id))
    with unguarded() as cursor:
        cursor.execute("DELETE FROM accounts_auditseal WHERE event = %s", [event.event_id])
    assert chain.verify(chain.ACTS).broken == "it has no seal"


def test_a_cut_off_end_is_found_by_an_anchor_that_was_kept_elsewhere(tmp_path: Path, settings: Settings) -> None:
    settings.AUDIT_ANCHOR = str(tmp_path / "anchors")
    events = some_acts(4)
    tasks.anchor_audit()
    kept = (tmp_path / "anchors").read_text().splitlines()
    assert anchors.contradictions(kept) == []
    with unguarded() as cursor:
        cursor.execute("DELETE FROM accounts_auditevent WHERE id = %s", [events[-1].pk])
        cursor.execute("DELETE FROM accounts_auditseal WHERE event = %s", [events[-1].event_id])
        cursor.execute(
            "UPDATE accounts_auditchain SET head_position = 3,"
            " head_link = (SELECT link FROM accounts_auditseal WHERE position = 3) WHERE name = 'acts'"
        )
    assert chain.verify(chain.ACTS).intact
    assert anchors.contradictions(kept) == ["line 1: acts, position 4: the chain ends before it"]
    assert anchors.contradictions([kept[0].replace("position", "positiom")])[0].endswith("not signed by this portal")
    with pytest.raises(CommandError):
        call_command("export_audit", "--verify", "--anchor", settings.AUDIT_ANCHOR, stdout=StringIO())


def test_a_purge_takes_the_beginning_and_the_chain_stays_provable() -> None:
    long_ago = timezone.now() - timedelta(days=500)
    for number in range(3):
        AuditEvent.objects.create(action="signed_in", subject=str(number), at=long_ago)
    some_acts(2)
    assert chain.purge(chain.ACTS, timezone.now() - timedelta(days=400)) == 3
    assert [event.subject for event in AuditEvent.objects.filter(action="signed_in").order_by("pk")] == [
        "person 0", "person 1",
    ]  # fmt: skip
    purge = AuditPurge.objects.get()
    assert (purge.first_position, purge.last_position, purge.count, purge.reason) == (1, 3, 3, "retention")
    told = AuditEvent.objects.get(action="audit_purged").details
    assert (told["count"], told["digest"]) == (3, bytes(purge.digest).hex())
    chain.seal()
    assert chain.verify(chain.ACTS).intact
    with unguarded() as cursor:
        cursor.execute("DELETE FROM accounts_auditpurge")
    assert not chain.verify(chain.ACTS).intact


def test_nothing_young_is_purged_whatever_is_asked() -> None:
    some_acts(2)
    assert chain.purge(chain.ACTS, timezone.now() + timedelta(days=1)) == 0
    assert AuditEvent.objects.count() == 2


def test_what_a_person_read_goes_with_them_and_leaves_proof() -> None:
    person = User.objects.create_user("ada")
    note("signed_in", actor=person)
    note(VIEWED, actor=person, subject="Loans", document="x")
    some_acts(2)
    assert erase_readings(person) == 1
    assert set(AuditEvent.objects.values_list("action", flat=True)) == {"signed_in", "audit_purged"}
    chain.seal()
    assert chain.verify(chain.ACTS).intact
    # Somebody takes another one away and calls it erased.
    other = AuditEvent.objects.filter(action="signed_in").first()
    assert other is not None
    with unguarded() as cursor:
        cursor.execute("DELETE FROM accounts_auditevent WHERE id = %s", [other.pk])
        cursor.execute(
            "UPDATE accounts_auditseal SET erased_by_id = (SELECT id FROM accounts_auditpurge) WHERE event = %s",
            [other.event_id],
        )
    assert "does not tell what went" in chain.verify(chain.ACTS).broken


def test_the_commands_verdict_names_the_first_broken_link() -> None:
    events = some_acts(3)
    answer = StringIO()
    call_command("export_audit", "--verify", stdout=answer)
    assert answer.getvalue() == "acts: intact, 3 events.\nsearches: intact, 0 events.\n"
    with unguarded() as cursor:
        cursor.execute("UPDATE accounts_auditevent SET subject = 'x' WHERE id = %s", [events[1].pk])
    answer = StringIO()
    with pytest.raises(CommandError):
        call_command("export_audit", "--verify", stdout=answer)
    assert f"acts: BROKEN at position 2, event {events[1].event_id}: the event was changed" in answer.getvalue()


def test_the_export_goes_on_where_it_ended_and_is_itself_noted() -> None:
    some_acts(3)
    answer = StringIO()
    call_command("export_audit", "--kind", "acts", "--after", "1", stdout=answer)
    lines = [json.loads(line) for line in answer.getvalue().splitlines()]
    assert [line["position"] for line in lines] == [2, 3, 4]
    assert lines[-1]["action"] == "audit_exported"
    assert AuditChain.objects.get(pk="acts").head_link.hex() == lines[-1]["link"]
    with pytest.raises(CommandError):
        call_command("export_audit", "--since", "yesterday")


def test_following_writes_what_comes_and_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    some_acts(1)
    answer = StringIO()
    rounds = iter(range(2))

    def meanwhile(_: float) -> None:
        if next(rounds, None) is None:
            raise KeyboardInterrupt
        note("signed_out", actor=None)

    monkeypatch.setattr("search.management.commands.export_audit.time.sleep", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        call_command("export_audit", "--kind", "acts", "--follow", stdout=answer)
    lines = [json.loads(line) for line in answer.getvalue().splitlines()]
    assert [line["action"] for line in lines] == ["signed_in", "audit_exported", "signed_out", "signed_out"]


ROLE = Path(__file__).resolve().parents[2] / "deploy" / "postgres" / "web_role.sql"


def test_the_role_of_the_web_writes_the_trail_and_does_nothing_else_to_it() -> None:
    person = User.objects.create_user("ada")
    with connection.cursor() as cursor:
        try:
            with transaction.atomic():
                cursor.execute("CREATE ROLE cloister_web")
        except DatabaseError:
            pytest.skip("this role of the database makes no other")
        # Rights on tables are changed when nothing waits for them.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(ROLE.read_text(encoding="utf-8"))
        cursor.execute("SET LOCAL ROLE cloister_web")
        note("signed_in", actor=person, subject="ada")
        assert chain.seal() == 1
        for statement in (
            "UPDATE accounts_auditevent SET subject = 'x'",
            "DELETE FROM accounts_auditevent",
            "ALTER TABLE accounts_auditevent DISABLE TRIGGER USER",
            "UPDATE accounts_auditseal SET position = 9",
            "INSERT INTO accounts_auditseal (chain, event, digest) VALUES ('acts', gen_random_uuid(), '')",
            "INSERT INTO accounts_auditpurge (chain, at, reason, first_position, last_position, count, digest,"
            " transaction) VALUES ('acts', now(), '', 1, 1, 1, '', pg_current_xact_id()::text)",
            "UPDATE accounts_auditchain SET head_position = 0",
            "SELECT audit_purge('acts', now(), 10)",
            f"SELECT audit_erase('acts', {person.pk})",
        ):
            with pytest.raises(DatabaseError), transaction.atomic():
                cursor.execute(statement)
        person.delete()
        assert chain.verify(chain.ACTS).intact
        cursor.execute("RESET ROLE")
