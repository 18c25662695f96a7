"""What is kept about one person: all of it as plain values, and taking away what is theirs to take away."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q

from accounts.audit import READINGS, note
from accounts.clearance import Viewer
from accounts.models import AuditEvent, User
from ingestion.models import Document
from search.models import (
    Feedback,
    FoundDocument,
    RememberedSearch,
    SavedDocument,
    SavedSearch,
    SearchEvent,
)

KEPT = (
    "The account itself (name, role, departments) is the university's. The audit trail of searches and of acts is kept "
    "until its term, so that the university can answer for who was shown what; documents that you uploaded are the "
    "university's."
)
"""What an erasure leaves, and why, as it stands in the export."""


def personal_data(person: User, *, viewer: Viewer) -> dict[str, Any]:
    """Everything that is kept about this person, as values for JSON; times are ISO 8601.

    Documents are named as far as `viewer` may see them: to the person themselves, what they may not see any more is
    left out, as everywhere.
    """
    visible = Document.objects.visible_to(viewer)
    return {
        "account": _account(person),
        "preferences": {
            "campus": person.preferred_campus.name if person.preferred_campus else None,
            "languages": person.languages,
            "keeps_history": person.keeps_history,
        },
        "api_keys": [
            {
                "name": key.name,
                "prefix": key.prefix,
                "scopes": key.scopes,
                "created_at": key.created_at.isoformat(),
                "expires_at": key.expires_at.isoformat(),
                "last_used_at": key.last_used_at.isoformat() if key.last_used_at else None,
                "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
            }
            for key in person.api_keys.order_by("pk")
        ],
        "saved_searches": [
            {
                "name": saved.name,
                "address": f"/search/?{saved.address}",
                "alert": saved.alert,
                "rhythm": saved.rhythm,
                "created_at": saved.created_at.isoformat(),
                "checked_on": saved.checked_on.isoformat() if saved.checked_on else None,
                "told_of": _told(saved, visible),
            }
            for saved in SavedSearch.objects.filter(owner=person)
        ],
        "saved_documents": [
            {"document": str(pk), "at": at.isoformat()}
            for pk, at in SavedDocument.objects.filter(owner=person, document__in=visible)
            .order_by("at", "pk")
            .values_list("document_id", "at")
        ],
        "search_history": [
            {"address": f"/search/?{one.address}", "at": one.at.isoformat()}
            for one in RememberedSearch.objects.filter(owner=person)
        ],
        "feedback": [
            {"document": str(pk), "verdict": verdict, "at": at.isoformat()}
            for pk, verdict, at in Feedback.objects.filter(user=person, document__in=visible)
            .order_by("at", "pk")
            .values_list("document_id", "verdict", "at")
        ],
        "documents_uploaded": [
            {"document": str(one.pk), "title": str(one), "created_at": one.created_at.isoformat()}
            for one in Document.objects.manageable_by(viewer).filter(owner=person).order_by("created_at", "pk")
        ],
        "audit_trail": {"searches": _searches(person), "acts": _acts(person, viewer)},
        "kept_after_an_erasure": KEPT,
    }


def _account(person: User) -> dict[str, Any]:
    return {
        "user_name": person.username,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "email": person.email,
        "role": person.role,
        "departments": list(person.departments.order_by("name").values_list("name", flat=True)),
        "curated_departments": list(person.curated_departments.order_by("name").values_list("name", flat=True)),
        "campus": person.campus.name if person.campus else None,
        "groups": sorted(person.group_names),
        "identity_at_the_provider": person.external_id,
        "is_service": person.is_service,
        "is_active": person.is_active,
        "joined_at": person.date_joined.isoformat(),
        "last_signed_in_at": person.last_login.isoformat() if person.last_login else None,
    }


def _told(saved: SavedSearch, visible: Any) -> list[dict[str, str]]:
    """What this saved search told of, as far as it may be shown."""
    told = FoundDocument.objects.filter(saved=saved, told=True, document__in=visible).order_by("at", "pk")
    return [{"document": str(pk), "at": at.isoformat()} for pk, at in told.values_list("document_id", "at")]


def _searches(person: User) -> list[dict[str, Any]]:
    """Their searches in the audit trail, the API's included."""
    columns = ("at", "query", "filters", "mode", "page", "request_id")
    events = SearchEvent.objects.filter(user=person).order_by("at", "pk").values(*columns)
    return [{**event, "at": event["at"].isoformat()} for event in events.iterator(chunk_size=1000)]


def _acts(person: User, viewer: Viewer) -> list[dict[str, Any]]:
    """What they did, and what was done to their account. On what, only where it is themselves, or to an operator."""
    operator = viewer.user_id != person.pk
    theirs = list(AuditEvent.objects.filter(Q(actor=person) | Q(subject=person.username)).order_by("at", "pk"))
    read = {act.details["document"] for act in theirs if act.action in READINGS and act.actor_id == person.pk}
    seen = set(map(str, Document.objects.visible_to(viewer).filter(pk__in=read).values_list("pk", flat=True)))
    return [
        {
            "at": act.at.isoformat(),
            "action": act.action,
            "by": "you" if act.actor_id == person.pk else "another",
            "subject": act.subject if operator or act.subject == person.username else None,
            "document": act.details["document"] if act.details.get("document") in seen else None,
            "address": act.address if act.actor_id == person.pk else None,
        }
        for act in theirs
    ]


def erase(person: User, *, actor: User | None, request: Any = None) -> dict[str, int]:
    """Take away what this person saved, asked, said and prefers; how many of each. It is noted, without what it was.

    The account, what they uploaded and the audit trail stay (KEPT).
    """
    mine = {
        "saved_searches": SavedSearch.objects.filter(owner=person),
        "saved_documents": SavedDocument.objects.filter(owner=person),
        "search_history": RememberedSearch.objects.filter(owner=person),
        "feedback": Feedback.objects.filter(user=person),
    }
    with transaction.atomic():
        counts = {name: rows.count() for name, rows in mine.items()}
        for rows in mine.values():
            rows.delete()
        person.preferred_campus, person.languages = None, []
        person.save(update_fields=["preferred_campus", "languages"])
        note("data_erased", actor=actor, subject=person.username, request=request)
    return counts
