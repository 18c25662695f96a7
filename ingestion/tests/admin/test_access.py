"""Who reaches which documents in the admin site, and what its lists, counts and filters betray."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.utils import timezone

from accounts.clearance import LIBRARIANS, Role
from accounts.models import Campus, Department, User
from ingestion.librarians import grant_permissions
from ingestion.models import Document, Status, Tag
from ingestion.tests.admin.conftest import LIST, UPLOAD, Make, change, metadata, person, signed_in, text_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", ["anonymous", Role.STUDENT, Role.STAFF, Role.ACADEMIC])
def test_people_who_do_not_curate_are_sent_to_sign_in(role: str, make: Make, finance: Department) -> None:
    document = make("Ours public", finance)
    client = Client() if role == "anonymous" else signed_in(person("somebody", role, finance))
    own_pages = [f"{LIST}{document.pk}/{page}/" for page in ("change", "history", "delete", "replace", "original")]
    for address in ("/admin/", LIST, UPLOAD, *own_pages):
        assert client.get(address)["Location"].startswith("/admin/login/"), address
    for act in ("retry", "archive", "restore"):
        assert client.post(f"{LIST}{document.pk}/{act}/")["Location"].startswith("/admin/login/")
    document.refresh_from_db()
    assert document.status == Status.READY


def test_a_librarian_lists_what_they_manage_and_nothing_else(
    desk: Client, managed: list[Document], hidden: list[Document]
) -> None:
    listed = {document.title for document in desk.get(LIST).context["cl"].result_list}
    assert listed == {document.title for document in managed}


def test_an_administrator_lists_everything(admin_desk: Client, managed: list[Document], hidden: list[Document]) -> None:
    listed = {document.title for document in admin_desk.get(LIST).context["cl"].result_list}
    assert listed == {document.title for document in [*managed, *hidden]}


@pytest.mark.usefixtures("managed", "hidden")
@pytest.mark.parametrize(
    "query", ["q=Theirs", "q=restricted", "state=failed", "clearance=4", "clearance=x", "department=0", "q=ours"]
)
def test_search_and_filters_of_the_list_find_managed_documents_only(desk: Client, query: str) -> None:
    found = {document.title for document in desk.get(f"{LIST}?{query}").context["cl"].result_list}
    expected = {
        "state=failed": {"Ours failed"},
        "q=ours": {"Ours public", "Ours for staff", "Ours failed", "Ours archived"},
    }
    assert found == expected.get(query, set())


def test_filters_offer_and_count_managed_documents_only(
    desk: Client, make: Make, managed: list[Document], hidden: list[Document], library: Department
) -> None:
    registry = Department.objects.create(name="Registry of secrets")
    make("Elsewhere", registry, language="is", campus=Campus.objects.create(name="Moon base"))
    text = text_of(desk, LIST)
    assert "Finance (4)" in text
    assert "Library (1)" in text
    assert "Failed (1)" in text
    for secret in ("Registry of secrets", "Moon base", "Icelandic"):
        assert secret not in text


def test_the_home_page_counts_and_names_managed_documents_only(
    desk: Client, make: Make, finance: Department, library: Department, managed: list[Document], hidden: list[Document]
) -> None:
    old = timezone.localdate() - timedelta(days=800)
    make("Ours to review", finance, last_reviewed=old)
    make("Ours reviewed lately", finance, last_reviewed=timezone.localdate() - timedelta(days=600))
    make("Theirs to review", library, last_reviewed=old)
    answer = desk.get("/admin/")
    attention = answer.context["attention"]
    assert attention.counts == {
        "queued": 0,
        "extracting": 0,
        "embedding": 0,
        "ready": 5,
        "failed": 1,
        "archived": 1,
    }
    assert attention.review_due_count == 1
    text = answer.content.decode()
    assert "Ours failed" in text
    assert "It is broken." in text
    assert "Ours to review" in text
    for secret in ("Theirs", "Secret reason", "reviewed lately"):
        assert secret not in text


@pytest.mark.parametrize("page", ["change", "history", "delete", "replace", "original", "retry", "archive", "restore"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_hidden_document_answers_exactly_as_an_unknown_one(
    desk: Client, hidden: list[Document], page: str, method: str
) -> None:
    def answer_for(key: object) -> tuple[int, str, bytes]:
        answer = getattr(desk, method)(f"{LIST}{key}/{page}/")
        desk.cookies.pop("messages", None)
        # The token of the page's own form is drawn anew for each answer.
        page_of_it = re.sub(rb'(name="csrfmiddlewaretoken" value=)"\w{64}"', rb"\1", answer.content)
        return answer.status_code, answer.headers.get("Location", ""), page_of_it.replace(str(key).encode(), b"")

    unknown = answer_for(uuid.uuid4())
    for document in hidden:
        assert answer_for(document.pk) == unknown
        before = (document.status, document.title)
        document.refresh_from_db()
        assert (document.status, document.title) == before


def test_autocompletes_find_managed_documents_only(
    desk: Client, managed: list[Document], hidden: list[Document]
) -> None:
    answer = desk.get(
        "/admin/autocomplete/", {"app_label": "ingestion", "model_name": "chunk", "field_name": "document", "term": ""}
    )
    assert {one["id"] for one in answer.json()["results"]} == {str(document.pk) for document in managed}


def test_no_address_tells_whether_a_document_exists(desk: Client, admin_desk: Client, hidden: list[Document]) -> None:
    kind = ContentType.objects.get_for_model(Document).pk
    for client in (desk, admin_desk):
        for key in (hidden[0].pk, uuid.uuid4()):
            assert client.get(f"/admin/r/{kind}/{key}/").status_code == 404
        # The index of an application has this address; a search over all documents is not to be had there.
        assert "theirs" not in client.get("/admin/search/?s=theirs&extended=1").content.decode().lower()


def test_tags_are_counted_over_managed_documents_only(
    desk: Client, managed: list[Document], hidden: list[Document]
) -> None:
    tag = Tag.objects.create(name="travel")
    tag.documents.set([*managed, *hidden])
    (counted,) = desk.get("/admin/ingestion/tag/").context["cl"].result_list
    assert counted.managed_count == len(managed)


@pytest.mark.parametrize(
    "query",
    [
        "title__regex=(",
        "title__startswith=Ours",
        "sha256__startswith=0",
        "department__name=Finance",
        "owner__password__startswith=a",
        "id__exact=x",
        "nonsense=1",
    ],
)
def test_the_list_is_narrowed_by_its_own_filters_only(desk: Client, managed: list[Document], query: str) -> None:
    assert desk.get(f"{LIST}?{query}").status_code == 400


@pytest.mark.parametrize("kind", ["tag", "documenttype"])
def test_the_lists_of_words_are_narrowed_by_no_column(admin_desk: Client, desk: Client, kind: str) -> None:
    assert admin_desk.get(f"/admin/ingestion/{kind}/?name__regex=(").status_code == 400
    assert desk.get(f"/admin/ingestion/{kind}/?name__regex=(").status_code in (400, 403)


@pytest.mark.usefixtures("managed")
@pytest.mark.parametrize(
    "name", ["state", "review", "upload", "department", "type", "campus", "clearance", "audience", "language"]
)
@pytest.mark.parametrize("value", ["", "x", "(", "%00", "99999999999999999999", "none"])
def test_no_value_of_a_filter_is_a_server_error(desk: Client, name: str, value: str) -> None:
    assert desk.get(f"{LIST}?{name}={value}").status_code in (200, 302)


def _listed_tags(client: Client) -> set[str]:
    return {tag.name for tag in client.get("/admin/ingestion/tag/").context["cl"].result_list}


def _completed_tags(client: Client) -> Any:
    return client.get(
        "/admin/autocomplete/", {"app_label": "ingestion", "model_name": "document", "field_name": "tags", "term": ""}
    )


def test_librarians_see_only_tags_of_documents_that_they_see_or_manage(
    desk: Client, admin_desk: Client, managed: list[Document], hidden: list[Document]
) -> None:
    ours, both, theirs, read = (Tag.objects.create(name=name) for name in ("a", "b", "c", "read"))
    Tag.objects.create(name="unused")
    ours.documents.set(managed)
    both.documents.set([managed[0], hidden[1]])
    theirs.documents.set(hidden[1:])
    read.documents.set(hidden[:1])  # another department's, for everybody
    assert _listed_tags(desk) == {"a", "b", "read"}
    assert _listed_tags(admin_desk) == {"a", "b", "c", "unused", "read"}
    assert {one["text"] for one in _completed_tags(admin_desk).json()["results"]} == _listed_tags(admin_desk)


def test_librarians_never_learn_the_number_of_a_tag_s_row(
    desk: Client, managed: list[Document], hidden: list[Document]
) -> None:
    """It would tell whether a tag that they use was made before, by somebody else."""
    tag = Tag.objects.create(name="lamps", pk=987654)
    tag.documents.set([managed[0], hidden[1]])
    assert _completed_tags(desk).status_code in (403, 404)
    for address in ("/admin/ingestion/tag/", "/admin/ingestion/tag/?q=lamp", change(managed[0])):
        page = text_of(desk, address)
        assert "lamps" in page
        assert "987654" not in page
    for key in (tag.pk, tag.pk + 1):
        for page in ("change", "history"):
            assert desk.get(f"/admin/ingestion/tag/{key}/{page}/").status_code in (302, 403, 404)
    answers = {(desk.get(f"/admin/ingestion/tag/{key}/change/").status_code) for key in (tag.pk, tag.pk + 1)}
    assert len(answers) == 1


def test_nobody_adds_a_tag_by_itself_and_so_asks_whether_there_is_one(desk: Client, admin_desk: Client) -> None:
    Tag.objects.create(name="secret")
    for client in (desk, admin_desk):
        answers = {client.post("/admin/ingestion/tag/add/", {"name": name}).status_code for name in ("secret", "new")}
        assert answers == {403}
    assert Tag.objects.count() == 1


def test_a_tag_is_spelt_as_typed_unless_a_known_document_spells_it_otherwise(
    desk: Client, managed: list[Document], hidden: list[Document]
) -> None:
    Tag.objects.create(name="Redundancy").documents.set(hidden[1:])
    Tag.objects.create(name="Travel").documents.set([managed[1]])
    Tag.objects.create(name="LEFT OVER")
    answer = desk.post(change(managed[0]), metadata(managed[0], tags="redundancy, TRAVEL, left over"))
    assert answer.status_code == 302
    assert {tag.name for tag in managed[0].tags.all()} == {"redundancy", "Travel", "left over"}


def test_what_somebody_did_names_no_document_that_they_no_longer_manage(
    desk: Client, librarian: User, finance: Department, managed: list[Document]
) -> None:
    document = managed[1]
    desk.post(f"{LIST}{document.pk}/retry/")
    desk.post(LIST, {"action": "retry_failed", "_selected_action": [str(managed[2].pk)]})
    assert LogEntry.objects.filter(user=librarian).exists()
    text_of(desk, "/admin/")  # shows the messages about what was just done
    librarian.departments.remove(finance)
    page = text_of(desk, "/admin/")
    for one in managed[:4]:
        assert one.title not in page
        assert desk.get(f"{LIST}{one.pk}/history/").status_code == 302


def test_only_administrators_rename_tags(desk: Client, admin_desk: Client) -> None:
    tag = Tag.objects.create(name="lamps")
    address = f"/admin/ingestion/tag/{tag.pk}/change/"
    assert desk.post(address, {"name": "torches"}).status_code in (302, 403)
    tag.refresh_from_db()
    assert tag.name == "lamps"
    admin_desk.post(address, {"name": "  torches "})
    tag.refresh_from_db()
    assert tag.name == "torches"


def test_permissions_that_an_earlier_release_gave_are_taken_back() -> None:
    group = Group.objects.get(name=LIBRARIANS)
    elsewhere = Permission.objects.get(codename="view_campus")
    group.permissions.add(
        elsewhere, *Permission.objects.filter(codename__in=["add_tag", "change_tag", "delete_document"])
    )
    grant_permissions()
    assert set(group.permissions.values_list("codename", flat=True)) == {
        "add_document", "view_document", "change_document", "view_tag", "view_campus",
    }  # fmt: skip


def test_librarians_make_no_document_types_and_delete_nothing(desk: Client, managed: list[Document]) -> None:
    tag = Tag.objects.create(name="lamps")
    tag.documents.set(managed)
    assert desk.post(f"/admin/ingestion/tag/{tag.pk}/delete/", {"post": "yes"}).status_code in (302, 403)
    assert Tag.objects.filter(pk=tag.pk).exists()
    assert desk.get("/admin/ingestion/documenttype/").status_code == 403
    assert desk.post(f"{LIST}{managed[0].pk}/delete/", {"post": "yes"}).status_code == 403
    assert Document.objects.filter(pk=managed[0].pk).exists()
