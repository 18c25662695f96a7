"""Documents in the admin site: who reaches which, what may be set, and what happens to each file."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.clearance import LIBRARIANS, Role
from accounts.models import Campus, Department, User
from ingestion.models import Chunk, Document, DocumentType, Status, Tag

pytestmark = pytest.mark.django_db

LIST = "/admin/ingestion/document/"
UPLOAD = "/admin/ingestion/document/upload/"
Make = Callable[..., Document]


@pytest.fixture(autouse=True)
def originals(settings: Settings, tmp_path: Path) -> None:
    storages = {**django_settings.STORAGES}
    storages["default"] = {**storages["default"], "OPTIONS": {"location": str(tmp_path), "base_url": None}}
    settings.STORAGES = storages


@pytest.fixture
def finance() -> Department:
    return Department.objects.create(name="Finance")


@pytest.fixture
def library() -> Department:
    return Department.objects.create(name="Library")


def person(name: str, role: str, *departments: Department, librarian: bool = False) -> User:
    user = User.objects.create_user(name, role=role)
    user.departments.set(departments)
    if librarian:
        user.groups.add(Group.objects.get(name=LIBRARIANS))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def librarian(finance: Department) -> User:
    """A librarian of Finance whose own clearance is 3."""
    return person("librarian", Role.STAFF, finance, librarian=True)


@pytest.fixture
def desk(librarian: User) -> Client:
    return signed_in(librarian)


@pytest.fixture
def admin_desk() -> Client:
    return signed_in(person("warden", Role.ADMIN))


@pytest.fixture
def make() -> Make:
    """Makes a document with an original: `make("Title", finance, clearance=2)`."""

    def made(title: str, department: Department, **more: Any) -> Document:
        content = title.encode()
        fields = {
            "file_name": f"{title}.txt",
            "file_size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "doc_type": DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})[0],
            "clearance": 1,
            "audience": "institution",
            "language": "en",
            "status": "ready",
            "is_searchable": True,
        } | more
        document = Document(title=title, department=department, **fields)
        document.file.save("original", ContentFile(content), save=False)
        document.save()
        return document

    return made


@pytest.fixture
def managed(make: Make, finance: Department, library: Department, librarian: User) -> list[Document]:
    """What the librarian of Finance manages: everything of Finance up to clearance 3, and what they own."""
    return [
        make("Ours public", finance),
        make("Ours for staff", finance, clearance=3, audience="department"),
        make(
            "Ours failed", finance, status="failed", is_searchable=False, error="It is broken.", error_reason="broken"
        ),
        make("Ours archived", finance, status="archived", is_searchable=False),
        make("Uploaded for the library", library, clearance=2, audience="department", owner=librarian),
    ]


@pytest.fixture
def hidden(make: Make, finance: Department, library: Department) -> list[Document]:
    """What that librarian must not reach, though some of it they may read."""
    return [
        make("Theirs public", library),
        make("Theirs for the department", library, audience="department"),
        make("Ours but restricted", finance, clearance=4),
        make("Theirs failed", library, status="failed", is_searchable=False, error="Secret reason."),
    ]


def change(document: Document) -> str:
    return f"{LIST}{document.pk}/change/"


def metadata(document: Document, **more: Any) -> dict[str, Any]:
    """What the change form posts for a document as it is, with these changes."""
    return {
        "title": document.title,
        "doc_type": document.doc_type_id,
        "language": document.language,
        "campus": "",
        "priority": document.priority,
        "tags": "",
        "last_reviewed": "",
        "department": document.department_id,
        "clearance": document.clearance,
        "audience": document.audience,
        "visible_from": "",
        "visible_until": "",
    } | more


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


# --- Who reaches what ------------------------------------------------------------------------------------------------


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
@pytest.mark.parametrize("query", ["q=Theirs", "q=restricted", "state=failed", "clearance__exact=4", "q=ours"])
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
        return answer.status_code, answer.headers.get("Location", ""), answer.content.replace(str(key).encode(), b"")

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
        assert client.get("/admin/search/?s=theirs&extended=1").status_code == 404


def test_tags_are_counted_over_managed_documents_only(
    desk: Client, managed: list[Document], hidden: list[Document]
) -> None:
    tag = Tag.objects.create(name="travel")
    tag.documents.set([*managed, *hidden])
    (counted,) = desk.get("/admin/ingestion/tag/").context["cl"].result_list
    assert counted.managed_count == len(managed)


def test_librarians_add_tags_but_make_no_document_types_and_delete_nothing(
    desk: Client, managed: list[Document]
) -> None:
    desk.post("/admin/ingestion/tag/add/", {"name": "lamps"})
    tag = Tag.objects.get(name="lamps")
    assert desk.post(f"/admin/ingestion/tag/{tag.pk}/delete/", {"post": "yes"}).status_code == 403
    assert desk.get("/admin/ingestion/documenttype/").status_code == 403
    assert desk.post(f"{LIST}{managed[0].pk}/delete/", {"post": "yes"}).status_code == 403
    assert Document.objects.filter(pk=managed[0].pk).exists()


# --- Uploading -------------------------------------------------------------------------------------------------------


def upload(client: Client, department: Department, *files: tuple[str, bytes], **more: Any) -> Any:
    guide = DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})[0]
    fields = {
        "files": [SimpleUploadedFile(name, content) for name, content in files],
        "department": department.pk,
        "doc_type": guide.pk,
        "clearance": 2,
        "audience": "department",
        "priority": 4,
    }
    return client.post(UPLOAD, fields | more)


def test_each_of_several_files_is_told_its_own_fate(
    desk: Client,
    make: Make,
    finance: Department,
    library: Department,
    librarian: User,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    twin = make("Here already", finance)
    files = [("one.txt", b"One."), ("copy.txt", b"Here already"), ("empty.txt", b""), ("two.txt", b"Two.")]
    with django_capture_on_commit_callbacks() as queued:
        answer = upload(
            desk, finance, *files, shared_with=[library.pk], tags="lamps, Desk , lamps", last_reviewed="2026-01-31"
        )
    made = {document.file_name: document for document in Document.objects.exclude(pk=twin.pk)}
    assert set(made) == {"one.txt", "two.txt"}
    assert len(queued) == 2
    one = made["one.txt"]
    assert (one.status, one.department, one.clearance, one.audience) == ("queued", finance, 2, "department")
    assert (one.owner, one.priority, one.last_reviewed) == (librarian, 4, date(2026, 1, 31))
    assert [department.name for department in one.shared_with.all()] == ["Library"]
    assert {tag.name for tag in one.tags.all()} == {"lamps", "Desk"}
    text = text_of(desk, answer["Location"])
    assert "2 files taken in" in text
    assert "0 of 2 ready, 2 in progress." in text
    assert "2 files not taken in" in text
    assert "“copy.txt” is already here as “Here already”" in text
    assert change(twin) in text
    assert "“empty.txt” is empty" in text


def test_the_page_of_an_upload_is_its_uploaders_only(desk: Client, admin_desk: Client, finance: Department) -> None:
    page = upload(desk, finance, ("one.txt", b"One."))["Location"]
    assert "one.txt" in text_of(desk, page)
    assert admin_desk.get(page)["Location"] == LIST
    batch = page.rstrip("/").rsplit("/", 1)[-1]
    assert [one.file_name for one in desk.get(f"{LIST}?upload={batch}").context["cl"].result_list] == ["one.txt"]


def test_the_page_of_an_upload_stops_asking_when_nothing_is_going_on(desk: Client, finance: Department) -> None:
    page = upload(desk, finance, ("one.txt", b"One."))["Location"]
    assert "every 2s" in text_of(desk, page)
    Document.objects.update(status="failed", error="It is broken.")
    text = text_of(desk, page)
    assert "every 2s" not in text
    assert "0 of 1 ready, 1 failed." in text
    assert "It is broken." in text
    assert "Retry" in text


def test_clearance_is_the_most_restricted_and_audience_the_department_unless_chosen(desk: Client) -> None:
    form = desk.get(UPLOAD).context["form"]
    assert (form["clearance"].value(), form["audience"].value()) == (3, "department")
    assert [value for value, _label in form.fields["clearance"].choices] == [1, 2, 3]


@pytest.mark.parametrize("clearance", ["4", "9", "0", "-1", "x", ""])
def test_an_upload_with_a_clearance_above_ones_own_is_refused_whole(
    desk: Client, finance: Department, clearance: str
) -> None:
    answer = upload(desk, finance, ("one.txt", b"One."), clearance=clearance)
    assert "clearance" in answer.context["form"].errors
    assert not Document.objects.exists()


def test_an_upload_for_a_foreign_department_is_refused_whole(desk: Client, library: Department) -> None:
    answer = upload(desk, library, ("one.txt", b"One."))
    assert "department" in answer.context["form"].errors
    assert not Document.objects.exists()
    assert not Tag.objects.exists()


def test_an_administrator_uploads_for_any_department_at_any_clearance(
    admin_desk: Client, finance: Department, library: Department
) -> None:
    upload(admin_desk, library, ("one.txt", b"One."), clearance=4, audience="institution")
    assert Document.objects.get().department == library
    assert Document.objects.get().clearance == 4


def test_one_title_is_for_one_file(desk: Client, finance: Department) -> None:
    refused = upload(desk, finance, ("one.txt", b"One."), ("two.txt", b"Two."), title="A title", tags="new")
    assert "title" in refused.context["form"].errors
    assert not Document.objects.exists()
    assert not Tag.objects.exists()
    upload(desk, finance, ("one.txt", b"One."), title="A title")
    assert Document.objects.get().title == "A title"


def test_no_file_and_too_many_files_are_refused_with_a_sentence(
    desk: Client, finance: Department, settings: Settings
) -> None:
    assert "files" in upload(desk, finance).context["form"].errors
    settings.MAX_FILES_PER_UPLOAD = 2
    answer = upload(desk, finance, *[(f"{number}.txt", str(number).encode()) for number in range(3)])
    assert answer.context["form"].errors["files"] == ["These are 3 files. Up to 2 can be uploaded at once."]
    assert not Document.objects.exists()


def test_a_librarian_without_a_department_is_told_why_they_cannot_upload() -> None:
    text = text_of(signed_in(person("loner", Role.STAFF, librarian=True)), UPLOAD)
    assert "You belong to no department" in text
    assert 'type="file"' not in text


# --- Changing --------------------------------------------------------------------------------------------------------


def test_metadata_is_edited_and_nothing_else_is_written(
    desk: Client, managed: list[Document], library: Department
) -> None:
    document = managed[0]
    Document.objects.filter(pk=document.pk).update(status=Status.EMBEDDING, progress=40)
    answer = desk.post(
        change(document),
        metadata(document, title="A better title", clearance=2, priority=5, tags="lamps", shared_with=[library.pk]),
    )
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    document.refresh_from_db()
    assert (document.title, document.clearance, document.priority) == ("A better title", 2, 5)
    assert [tag.name for tag in document.tags.all()] == ["lamps"]
    assert list(document.shared_with.all()) == [library]
    assert (document.status, document.progress) == (Status.EMBEDDING, 40)


@pytest.mark.parametrize(("changes", "queued_times"), [({"title": "New"}, 1), ({"language": "de"}, 1), ({}, 0)])
def test_a_new_title_or_language_is_embedded_anew(
    desk: Client,
    managed: list[Document],
    changes: dict[str, str],
    queued_times: int,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    from ingestion.pipeline import recipe_of

    document = managed[0]
    Document.objects.filter(pk=document.pk).update(recipe=recipe_of(document))
    with django_capture_on_commit_callbacks() as queued:
        desk.post(change(document), metadata(document, priority=5, **changes))
    document.refresh_from_db()
    assert len(queued) == queued_times
    assert document.status == (Status.QUEUED if queued_times else Status.READY)
    assert document.is_searchable


@pytest.mark.parametrize("clearance", [4, 9, 0])
def test_no_document_is_raised_above_ones_own_clearance(desk: Client, managed: list[Document], clearance: int) -> None:
    answer = desk.post(change(managed[0]), metadata(managed[0], clearance=clearance))
    assert "clearance" in answer.context["adminform"].form.errors
    managed[0].refresh_from_db()
    assert managed[0].clearance == 1


def test_no_document_is_moved_to_a_department_that_is_not_ones_own(
    desk: Client, managed: list[Document], finance: Department, library: Department
) -> None:
    answer = desk.post(change(managed[0]), metadata(managed[0], department=library.pk))
    assert "department" in answer.context["adminform"].form.errors
    managed[0].refresh_from_db()
    assert managed[0].department == finance


def test_what_an_owned_document_has_already_may_stay(
    desk: Client, make: Make, library: Department, librarian: User
) -> None:
    document = make("Uploaded in better days", library, clearance=4, owner=librarian)
    answer = desk.post(change(document), metadata(document, title="Renamed"))
    assert answer.status_code == 302
    document.refresh_from_db()
    assert (document.title, document.clearance, document.department) == ("Renamed", 4, library)
    desk.post(change(document), metadata(document, clearance=3))
    assert "clearance" in desk.post(change(document), metadata(document, clearance=4)).context["adminform"].form.errors


def test_a_window_that_ends_before_it_begins_is_refused(desk: Client, managed: list[Document]) -> None:
    window = {"visible_from": "2026-05-02T10:00", "visible_until": "2026-05-01T10:00"}
    answer = desk.post(change(managed[0]), metadata(managed[0], **window))
    assert "visible_until" in answer.context["adminform"].form.errors


def test_the_page_of_a_document_shows_its_facts_and_first_chunks(desk: Client, managed: list[Document]) -> None:
    document = managed[1]
    for position in range(7):
        Chunk.objects.create(
            document=document,
            position=position,
            text=f"Passage number {position}",
            page_number=position + 1,
            section_title="Claims <b>",
            lexemes="",
            content_hash=b"0" * 32,
        )
    text = text_of(desk, change(document))
    assert document.sha256 in text
    assert "staff and academics of Finance" in text
    assert "Passage number 4" in text
    assert "Passage number 5" not in text
    assert "Page 5 · Claims &lt;b&gt;" in text
    assert f"{LIST}{document.pk}/original/" in text


def test_the_original_comes_as_a_download_that_no_browser_runs(desk: Client, managed: list[Document]) -> None:
    answer = desk.get(f"{LIST}{managed[2].pk}/original/")
    assert b"".join(answer.streaming_content) == b"Ours failed"
    assert answer["Content-Disposition"] == 'attachment; filename="Ours failed.txt"'
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("application/octet-stream", "nosniff")


def test_a_failed_document_is_retried(
    desk: Client, managed: list[Document], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    failed = managed[2]
    assert "It is broken." in text_of(desk, change(failed))
    with django_capture_on_commit_callbacks() as queued:
        desk.post(f"{LIST}{failed.pk}/retry/")
    failed.refresh_from_db()
    assert (failed.status, failed.error, len(queued)) == (Status.QUEUED, "", 1)


def test_only_failed_documents_are_retried_and_only_by_a_posted_form(desk: Client, managed: list[Document]) -> None:
    assert desk.get(f"{LIST}{managed[2].pk}/retry/").status_code == 405
    desk.post(f"{LIST}{managed[0].pk}/retry/")
    for document, status in ((managed[2], Status.FAILED), (managed[0], Status.READY)):
        document.refresh_from_db()
        assert document.status == status


def test_archiving_hides_a_document_and_restoring_brings_it_back(desk: Client, managed: list[Document]) -> None:
    document = managed[0]
    Chunk.objects.create(
        document=document, position=0, text="A passage", page_number=1, lexemes="", content_hash=b"0" * 32
    )
    desk.post(f"{LIST}{document.pk}/archive/")
    document.refresh_from_db()
    assert (document.status, document.is_searchable) == (Status.ARCHIVED, False)
    desk.post(f"{LIST}{document.pk}/restore/")
    document.refresh_from_db()
    assert (document.status, document.is_searchable) == (Status.QUEUED, True)
    notes = [entry.get_change_message() for entry in LogEntry.objects.filter(object_id=str(document.pk))]
    assert notes == ["Restored.", "Archived."]


def test_actions_on_several_touch_chosen_and_managed_documents_only(
    desk: Client, managed: list[Document], hidden: list[Document]
) -> None:
    everything = [str(document.pk) for document in [*managed, *hidden]]
    desk.post(LIST, {"action": "retry_failed", "_selected_action": everything})
    assert {one.title for one in Document.objects.filter(status="queued")} == {"Ours failed"}
    desk.post(LIST, {"action": "archive", "_selected_action": everything})
    archived = set(Document.objects.filter(status="archived").values_list("title", flat=True))
    assert archived == {document.title for document in managed}
    desk.post(LIST, {"action": "restore", "_selected_action": everything})
    assert not Document.objects.filter(status="archived").exists()
    desk.post(LIST, {"action": "delete_selected", "_selected_action": everything, "post": "yes"})
    assert Document.objects.count() == len(everything)


def test_a_file_is_replaced(
    desk: Client, managed: list[Document], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    document = managed[0]
    address = f"{LIST}{document.pk}/replace/"
    same = desk.post(address, {"file": SimpleUploadedFile("same.txt", b"Ours public")})
    assert "already has" in same.content.decode()
    empty = desk.post(address, {"file": SimpleUploadedFile("empty.txt", b"")})
    assert "is empty" in empty.content.decode()
    with django_capture_on_commit_callbacks() as queued:
        answer = desk.post(address, {"file": SimpleUploadedFile("new.txt", b"New words.")})
    assert answer["Location"] == change(document)
    document.refresh_from_db()
    assert (document.file_name, document.status, document.is_searchable) == ("new.txt", Status.QUEUED, True)
    assert queued


def test_an_archived_document_is_restored_before_its_file_is_replaced(desk: Client, managed: list[Document]) -> None:
    desk.post(f"{LIST}{managed[3].pk}/replace/", {"file": SimpleUploadedFile("new.txt", b"New words.")})
    managed[3].refresh_from_db()
    assert managed[3].status == Status.ARCHIVED


def test_an_administrator_deletes_after_confirming_and_the_original_goes_too(
    admin_desk: Client, managed: list[Document], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    document = managed[0]
    original = Path(document.file.path)
    assert "Are you sure" in text_of(admin_desk, f"{LIST}{document.pk}/delete/")
    assert Document.objects.filter(pk=document.pk).exists()
    with django_capture_on_commit_callbacks(execute=True):
        admin_desk.post(f"{LIST}{document.pk}/delete/", {"post": "yes"})
    assert not Document.objects.filter(pk=document.pk).exists()
    assert not original.exists()


def test_a_department_campus_or_type_in_use_cannot_be_deleted(
    admin_desk: Client, make: Make, finance: Department
) -> None:
    campus = Campus.objects.create(name="Central")
    document = make("Ours", finance, campus=campus)
    for kind, one in (
        ("accounts/department", finance),
        ("accounts/campus", campus),
        ("ingestion/documenttype", document.doc_type),
    ):
        answer = admin_desk.post(f"/admin/{kind}/{one.pk}/delete/", {"post": "yes"}, follow=True)
        assert "cannot be deleted: one document still belongs to it" in answer.content.decode()
        chosen = {"action": "delete_selected", "_selected_action": [one.pk], "post": "yes"}
        assert "cannot be deleted" in admin_desk.post(f"/admin/{kind}/", chosen).content.decode()
        assert type(one).objects.filter(pk=one.pk).exists()


# --- The pages themselves --------------------------------------------------------------------------------------------

INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|javascript:", re.IGNORECASE)
"""What the content security policy would block."""


def test_every_page_lives_under_the_portals_own_policy(
    admin_desk: Client, managed: list[Document], finance: Department
) -> None:
    progress = upload(admin_desk, finance, ("one.txt", b"One."), ("empty.txt", b""))["Location"]
    for address in (
        "/admin/",
        LIST,
        UPLOAD,
        progress,
        change(managed[0]),
        change(managed[2]),
        f"{LIST}{managed[0].pk}/replace/",
        f"{LIST}{managed[0].pk}/history/",
        f"{LIST}{managed[0].pk}/delete/",
        "/admin/ingestion/tag/",
        "/admin/ingestion/documenttype/add/",
        "/admin/accounts/user/",
        "/admin/accounts/user/add/",
        f"/admin/accounts/department/{finance.pk}/change/",
        "/admin/password_change/",
    ):
        answer = admin_desk.get(address)
        assert answer.status_code == 200, address
        policy = answer["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "script-src 'self'" in policy
        assert not INLINE.findall(answer.content.decode()), address


def test_markup_in_titles_and_names_is_shown_and_never_run(desk: Client, make: Make, finance: Department) -> None:
    attack = "<script>alert(1)</script>"
    document = make("Attack", finance, status="failed", is_searchable=False, error=attack)
    Document.objects.filter(pk=document.pk).update(title=attack, file_name=f'"{attack}.pdf')
    for address in ("/admin/", LIST, change(document), f"{LIST}{document.pk}/replace/"):
        text = text_of(desk, address)
        assert attack not in text
        assert "&lt;script&gt;alert(1)" in text
