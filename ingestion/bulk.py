"""Changes of several documents at once: planned and shown, carried out together, kept, and undone.

A plan says what would be changed on which documents, and is bound by its token to exactly that. It is made anew from
the locked documents when somebody confirms it: what differs by then has another token, and is shown again.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, cast

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.clearance import EVERYONE, Audience, Viewer
from accounts.crowd import effects_of_several
from accounts.effects import JointEffect
from accounts.models import User
from accounts.readership import Access
from ingestion.audience import access_of, note_changes
from ingestion.metadata import LABELS, WHO_READS, Names, Values, values_of, write_values
from ingestion.models import BulkChange, ChangedDocument, Document, Status
from ingestion.tags import MAX_TAGS, spelt
from ingestion.trail import note_edits, state_of

UNDONE_FOR = timedelta(days=30)
"""How long a change can be undone; by then most of its documents have been changed again."""

Asked = dict[str, Any]
"""What was filled in, as JSON: a field's new value as in `Values`; `shared_with` as {how, departments}, where `how` is
add, remove or set; `add_tags` and `remove_tags`; `reviewed`: the day on which the documents were found to be right."""


@dataclass(frozen=True)
class Planned:
    """What would be changed on one document: the fields that become different, as they are and as they would be."""

    document: Document
    before: Values
    after: Values


@dataclass(frozen=True)
class LeftOut:
    """A document that is not changed, and why."""

    document: Document
    reason: str


@dataclass(frozen=True)
class Plan:
    """What would be done to several documents."""

    changes: tuple[Planned, ...]
    left_out: tuple[LeftOut, ...]
    unchanged: int
    """Documents that are already as asked."""
    effects: tuple[JointEffect, ...]
    """Who comes to see them, or does not any more; empty where that is nobody."""
    token: str
    """Stands for exactly this change of exactly these documents as they are now. It comes back as the confirmation."""
    attachments: int = 0
    """Attachments that are seen by others, too, because they follow the documents that they came with."""

    @property
    def reasons(self) -> list[tuple[str, list[Document]]]:
        """The documents that are left out, by why."""
        grouped = defaultdict[str, list[Document]](list)
        for one in self.left_out:
            grouped[one.reason].append(one.document)
        return sorted(grouped.items(), key=lambda pair: (-len(pair[1]), pair[0]))


def plan_change(viewer: Viewer, documents: Iterable[Document], asked: Asked) -> Plan:
    """What this change would do to these documents, which the viewer manages and which are as they were loaded."""
    added = spelt(asked.get("add_tags", ()), viewer)

    def wanted(_: Document, now: Values) -> Values:
        return _asked_of(now, asked, added)

    return _plan(viewer, documents, wanted, what=["change", asked])


def plan_undoing(viewer: Viewer, change: BulkChange, documents: Iterable[Document]) -> Plan:
    """What undoing a change would do to `documents`: those that it changed and that this viewer manages.

    What somebody changed since stays as it is now. Nothing tells documents that the viewer does not manage any more
    from deleted ones.
    """
    done = {one.document_id: one for one in change.changed.all()}

    def wanted(document: Document, now: Values) -> Values | str:
        kept = done[document.pk]
        if any(now[name] != value for name, value in kept.after.items()):
            return "It was changed again since."
        return now | cast(Values, kept.before)

    return _plan(viewer, documents, wanted, what=["undo"])


def _asked_of(now: Values, asked: Asked, added_tags: list[str]) -> Values:
    """What a document's values become."""
    after = now | {name: value for name, value in asked.items() if name in LABELS and name != "shared_with"}
    if shared := asked.get("shared_with"):
        old, given = set(now["shared_with"]), set(shared["departments"])
        after["shared_with"] = sorted({"add": old | given, "remove": old - given, "set": given}[shared["how"]])
    removed = {name.lower() for name in asked.get("remove_tags", ())}
    after["tags"] = sorted({name for name in now["tags"] if name.lower() not in removed}.union(added_tags))
    if today := asked.get("reviewed"):
        after["last_reviewed"] = today
        # A day that is over would keep it due.
        after["review_by"] = now["review_by"] if (now["review_by"] or "") > today else None
    return after


def _plan(
    viewer: Viewer,
    documents: Iterable[Document],
    wanted: Callable[[Document, Values], Values | str],
    *,
    what: list[Any],
) -> Plan:
    documents = list(documents)
    now_of, names = values_of(documents), Names()
    changes: list[Planned] = []
    left_out: list[LeftOut] = []
    seen: list[tuple[Access, Access]] = []
    unchanged = 0
    for document in documents:
        now = now_of[document.pk]
        after = wanted(document, now)
        if isinstance(after, str):
            left_out.append(LeftOut(document, after))
            continue
        changed = [name for name in after if after[name] != now[name]]
        if not changed:
            unchanged += 1
        elif reason := _refusal(viewer, document, now, after, names):
            left_out.append(LeftOut(document, reason))
        else:
            part = {name: now[name] for name in changed}, {name: after[name] for name in changed}
            changes.append(Planned(document, *part))
            if WHO_READS.intersection(changed):
                # One that is still being read counts as if it were shown.
                before = replace(access_of(document), is_searchable=True)
                seen.append((before, access_after(after)))
    differing = [pair for pair in seen if pair[0] != pair[1]]
    reclassified = [one.document.pk for one in changes if WHO_READS.intersection(one.after)]
    managed = Document.objects.manageable_by(viewer).order_by()
    return Plan(
        changes=tuple(changes),
        left_out=tuple(left_out),
        unchanged=unchanged,
        effects=tuple(effects_of_several(differing)) if differing else (),
        token=_token(what, changes),
        attachments=managed.filter(parent__in=reclassified, is_attachment=True).count() if reclassified else 0,
    )


def access_after(values: Values) -> Access:
    """What the access rule will read of a document with these values, once it can be found."""
    whole = values["audience"] == Audience.INSTITUTION
    window = (values["visible_from"], values["visible_until"])
    moments = (datetime.fromisoformat(one) if one else None for one in window)
    return Access(
        values["clearance"],
        frozenset({EVERYONE} if whole else {values["department"], *values["shared_with"]}),
        True,
        *moments,
    )


def _refusal(viewer: Viewer, document: Document, now: Values, after: Values, names: Names) -> str:
    """Why this viewer may not change the document so; empty where they may."""
    who_reads = any(now[name] != after[name] for name in WHO_READS)
    if document.status == Status.ARCHIVED:
        return "It is archived. Restore it first."
    if who_reads and document.is_attachment:
        return "It came with a mail: who reads it is decided there."
    if who_reads and not viewer.may_reclassify(document.clearance, document.department_id):
        return "Who reads it was restricted beyond your own rights, or is decided in another department."
    if after["clearance"] != now["clearance"] and after["clearance"] > viewer.effective_clearance:
        return f"Your own clearance is {viewer.effective_clearance}."
    if missing := names.missing(after):
        return f"{LABELS[missing]}: what it was is not there any more."
    if after["department"] != now["department"] and not viewer.may_file_under(after["department"]):
        return f"You do not curate {names.departments[after['department']]}."
    if after["visible_from"] and after["visible_until"] and after["visible_until"] <= after["visible_from"]:
        return "It would end before it begins: look at the two dates of its visibility."
    if len(after["tags"]) > max(MAX_TAGS, len(now["tags"])):
        return f"It would have more than {MAX_TAGS} tags."
    return ""


def _token(what: list[Any], changes: list[Planned]) -> str:
    """Changes with what is asked, with the documents, and with what is changed on any of them."""
    said = [what, [[str(one.document.pk), one.before, one.after] for one in changes]]
    return salted_hmac("ingestion.bulk", json.dumps(said, sort_keys=True), algorithm="sha256").hexdigest()


@transaction.atomic
def carry_out(plan: Plan, asked: Asked, *, viewer: Viewer, actor: User, request: HttpRequest | None) -> BulkChange:
    """Do what was planned on documents that are locked, note it, and keep it so that it can be undone.

    To be called in the transaction in which the documents were locked and the plan was made.
    """
    _write(plan, "Changed with others: {}.", viewer=viewer, actor=actor, request=request, by="change of several")
    change = BulkChange.objects.create(actor=actor, asked=asked)
    ChangedDocument.objects.bulk_create(
        ChangedDocument(change=change, document=one.document, before=one.before, after=one.after)
        for one in plan.changes
    )
    return change


@transaction.atomic
def undo(plan: Plan, change: BulkChange, *, viewer: Viewer, actor: User, request: HttpRequest | None) -> None:
    """Do what `plan_undoing` planned, as `carry_out` does; the change is undone then."""
    _write(plan, "Undone: {}.", viewer=viewer, actor=actor, request=request, by="undoing of a change of several")
    change.undone_at, change.undone_by = timezone.now(), actor
    change.save(update_fields=["undone_at", "undone_by"])


def may_be_undone(change: BulkChange) -> bool:
    """Whether a change is recent enough, and was not undone yet."""
    return change.undone_at is None and timezone.now() - change.made_at < UNDONE_FOR


def _write(plan: Plan, history: str, *, viewer: Viewer, actor: User, request: HttpRequest | None, by: str) -> None:
    """Write the changes: a statement for each kind of change, not for each document."""
    documents = [one.document for one in plan.changes]
    states, accesses = state_of(*documents), [(document, access_of(document)) for document in documents]
    write_values([(one.document.pk, one.before, one.after) for one in plan.changes], viewer)
    note_edits("document_changed", states, actor=actor, request=request, by=by)
    note_changes(*accesses, actor=actor, request=request)
    changed: dict[str, list[Document]] = defaultdict(list)
    for one in plan.changes:
        fields = ", ".join(LABELS[name].lower() for name in LABELS if name in one.after)
        changed[history.format(fields)].append(one.document)
    for message, those in changed.items():
        LogEntry.objects.log_actions(actor.pk, those, CHANGE, message)


def reviewed_on(day: date) -> Asked:
    """The change that says that documents were found to be right on this day."""
    return {"reviewed": day.isoformat()}
