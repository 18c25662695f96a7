"""What people say of a hit by its buttons: of their own searches, about documents that they may see."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from accounts.models import Department, User
from ingestion.models import Document
from search.models import Feedback, SearchEvent
from search.tests.corpus import serve

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", role="student")


def asked(client: Client) -> str:
    """Ask as this person; the id of the search."""
    page = client.get("/search/", {"q": "books", "mode": "keyword", "department": "Library"})
    return str(page.context["answer"].page.search_id)


def said(client: Client, search_id: str, document: Document, verdict: str = "helpful", **headers: str) -> object:
    given = {"search_id": search_id, "document_id": str(document.pk), "verdict": verdict, "back": "q=books&sort=newest"}
    return client.post("/search/verdict/", given, headers=headers)


def test_a_verdict_is_noted_once_and_the_last_word_counts(
    client: Client, ada: User, corpus: dict[str, Document]
) -> None:
    client.force_login(ada)
    search_id = asked(client)
    answer = said(client, search_id, corpus["loans"])
    assert (answer.status_code, answer["Location"]) == (302, "/search/?q=books&sort=newest")
    answer = said(client, search_id, corpus["loans"], "unhelpful", **{"HX-Request": "true"})
    assert "Thank you." in answer.content.decode()
    [feedback] = Feedback.objects.all()
    assert (feedback.user, str(feedback.search_id), feedback.verdict) == (ada, search_id, "unhelpful")


def test_nobody_judges_for_others_or_what_they_may_not_see(
    client: Client, ada: User, corpus: dict[str, Document], library: Department
) -> None:
    hidden = serve("Secret", "Books.", department=library, clearance=3, embedded=False)
    client.force_login(ada)
    search_id = asked(client)
    assert said(client, search_id, hidden).status_code == 404
    assert said(client, str(uuid.uuid4()), corpus["loans"]).status_code == 404
    assert said(client, search_id, corpus["loans"], "nonsense").status_code == 404
    client.force_login(User.objects.create_user("eve", role="student"))
    assert said(client, search_id, corpus["loans"]).status_code == 404
    client.logout()
    anonymous = asked(client)
    assert said(client, anonymous, corpus["loans"]).status_code == 404
    assert SearchEvent.objects.filter(pk=anonymous, user=None).exists()
    assert not Feedback.objects.exists()
    assert client.get("/search/verdict/").status_code == 405
