"""Failures by reason: who sees which, and what the buttons queue."""

from __future__ import annotations

import inspect
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from accounts.models import Department, User
from ingestion import pipeline
from ingestion.admin import failures
from ingestion.admin.advice import ADVICE
from ingestion.extraction_types import REASONS
from ingestion.models import Document, UploadBatch
from ingestion.runs import PARTLY_TAKEN_IN
from ingestion.tests.admin.conftest import LIST, Make, change, text_of

pytestmark = pytest.mark.django_db

FAILURES = f"{LIST}failures/"


def failed(make: Make, title: str, department: Department, reason: str = "broken", **more: object) -> Document:
    error = f"Why {title} failed."
    more = {"status": "failed", "is_searchable": False, "error": error, "error_reason": reason} | more
    return make(title, department, **more)


def test_each_reason_has_its_group_with_what_to_do_and_nobody_elses_documents(
    desk: Client, make: Make, finance: Department, library: Department
) -> None:
    one, two = (failed(make, title, finance) for title in ("First", "Second"))
    locked = failed(make, "Locked", finance, "encrypted")
    flagged = make("Scanned in part", finance, error="2 of 9 pages are pictures.", error_reason="partly_read")
    hidden = [failed(make, "Theirs", library), failed(make, "Restricted", finance, "encrypted", clearance=4)]
    answer = desk.get(FAILURES)
    groups = {(group.status, group.reason): group for group in (*answer.context["failed"], *answer.context["flagged"])}
    assert {key: group.number for key, group in groups.items()} == {
        ("failed", "broken"): 2,
        ("failed", "encrypted"): 1,
        ("ready", "partly_read"): 1,
    }
    assert [group.reason for group in answer.context["failed"]] == ["broken", "encrypted"]
    text = answer.content.decode()
    for document in (one, two, locked, flagged):
        assert change(document) in text
    for document in hidden:
        assert str(document) not in text
        assert str(document.pk) not in text
    assert ADVICE["encrypted"].what_to_do in text
    assert "Retry all 2" in text


def test_a_group_leads_to_the_list_of_just_its_documents(desk: Client, make: Make, finance: Department) -> None:
    for number in range(failures.NEWEST + 2):
        failed(make, f"Broken {number}", finance)
    failed(make, "Locked", finance, "encrypted")
    (group, _locked) = desk.get(FAILURES).context["failed"]
    assert len(group.newest) == failures.NEWEST
    assert group.more in text_of(desk, FAILURES).replace("&amp;", "&")
    listed = desk.get(group.more).context["cl"].result_list
    assert {document.error_reason for document in listed} == {"broken"}
    assert len(listed) == failures.NEWEST + 2
    Document.objects.filter(error_reason="broken").update(status="ready", error_reason="", error="")
    assert not desk.get(group.more).context["cl"].result_list, "an old link lists nothing rather than all"


def test_retrying_a_group_queues_so_many_of_ones_own_and_notes_it(
    desk: Client, make: Make, finance: Department, library: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MOST_AT_ONCE", 2)
    own = [failed(make, f"Broken {number}", finance) for number in range(3)]
    locked, theirs = failed(make, "Locked", finance, "encrypted"), failed(make, "Theirs", library)
    said = {"status": "failed", "reason": "broken"}
    answer = desk.post(f"{FAILURES}retry/", said, follow=True)
    assert "2 documents queued again. 1 more are left" in answer.content.decode()
    states = dict(Document.objects.values_list("title", "status"))
    assert sorted(states[document.title] for document in own) == ["failed", "queued", "queued"]
    assert (states[str(locked)], states[str(theirs)]) == ("failed", "failed")
    assert LogEntry.objects.filter(change_message="Retried.").count() == 2
    desk.post(f"{FAILURES}retry/", said)
    assert "nothing of that kind any more" in desk.post(f"{FAILURES}retry/", said, follow=True).content.decode()
    assert Document.objects.get(pk=theirs.pk).status == "failed"


def test_flagged_documents_are_retried_as_a_group_of_their_own(desk: Client, make: Make, finance: Department) -> None:
    flagged = make("Words only", finance, error="3 of 9 passages.", error_reason="partly_embedded")
    sound = make("Sound", finance)
    desk.post(f"{FAILURES}retry/", {"status": "ready", "reason": "partly_embedded"})
    desk.post(f"{FAILURES}retry/", {"status": "ready", "reason": ""})
    assert Document.objects.get(pk=flagged.pk).status == "queued"
    assert Document.objects.get(pk=sound.pk).status == "ready"


def test_failures_of_one_department_or_one_own_upload(
    desk: Client, make: Make, finance: Department, library: Department, librarian: User
) -> None:
    own, foreign = UploadBatch.objects.create(owner=librarian), UploadBatch.objects.create(owner=_somebody())
    failed(make, "In finance", finance, batch=foreign)
    failed(make, "For the library", library, clearance=1, owner=librarian, batch=own)
    assert _titles(desk, "") == {"In finance", "For the library"}
    assert _titles(desk, f"?department={finance.pk}") == {"In finance"}
    assert _titles(desk, f"?upload={own.pk}") == {"For the library"}
    assert _titles(desk, f"?upload={own.pk}&department={finance.pk}") == set()
    assert "none has failed" in text_of(desk, f"{FAILURES}?upload={own.pk}&department={finance.pk}")
    # Somebody else's upload is no upload: it narrows nothing, and its time is not shown.
    assert _titles(desk, f"?upload={foreign.pk}") == {"In finance", "For the library"}
    assert str(foreign.pk) not in text_of(desk, FAILURES)
    assert _titles(desk, "?upload=x&department=9999999999999") == {"In finance", "For the library"}
    desk.post(f"{FAILURES}retry/", {"status": "failed", "reason": "broken", "upload": own.pk})
    assert _titles(desk, "") == {"In finance"}


def _somebody() -> User:
    return User.objects.create_user("somebody", role="staff")


def _titles(client: Client, query: str) -> set[str]:
    groups = client.get(f"{FAILURES}{query}").context["failed"]
    return {str(document) for group in groups for document in group.newest}


def test_nothing_failed_and_a_reason_without_advice_are_said_too(desk: Client, make: Make, finance: Department) -> None:
    make("Sound", finance)
    assert "Nothing has failed" in text_of(desk, FAILURES)
    failed(make, "Odd", finance, "")
    text = text_of(desk, FAILURES)
    assert "Another reason" in text
    assert "Why Odd failed." in text


def test_every_reason_has_its_advice() -> None:
    told = set(re.findall(r'_fail\(document_id, run, "(\w+)"', inspect.getsource(pipeline)))
    flaws = set(re.findall(r'flaws\["(\w+)"\]', inspect.getsource(pipeline)))
    assert {"internal", "missing"} <= told
    assert {"partly_read", "partly_embedded"} <= flaws
    assert (REASONS | told | flaws | {PARTLY_TAKEN_IN}) - set(ADVICE) == set()
