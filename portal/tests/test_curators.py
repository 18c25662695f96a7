"""Curators: of the departments that they belong to, they curate those that they were given, and no others."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.clearance import CURATORS, LIBRARIANS, Role, viewer_for
from accounts.models import Department, User
from ingestion.models import Document, DocumentType
from ingestion.registration import DocumentMetadata, UploadRejected, register_upload

pytestmark = pytest.mark.django_db

DOCUMENTS = "/api/v1/documents/"
LIST = "/admin/ingestion/document/"
UPLOAD = "/admin/ingestion/document/upload/"


@pytest.fixture(autouse=True)
def originals(settings: Settings, tmp_path: Path) -> None:
    default = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "default": default}


@pytest.fixture
def finance() -> Department:
    return Department.objects.create(name="Finance")


@pytest.fixture
def library() -> Department:
    return Department.objects.create(name="Library")


@pytest.fixture
def estates() -> Department:
    return Department.objects.create(name="Estates")


@pytest.fixture
def curator(finance: Department, library: Department) -> User:
    """Belongs to Finance and the Library, curates Finance; their clearance is 3."""
    user = User.objects.create_user("cora", role=Role.STAFF)
    user.departments.set([finance, library])
    user.curated_departments.set([finance])
    user.groups.add(Group.objects.get(name=CURATORS))
    return user


@pytest.fixture
def api(curator: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(User.objects.get(pk=curator.pk))
    return client


@pytest.fixture
def desk(curator: User) -> Client:
    client = Client()
    client.force_login(curator)
    return client


def guide() -> DocumentType:
    return DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})[0]


def document(title: str, department: Department, **more: Any) -> Document:
    fields = {
        "file_name": f"{title}.txt",
        "file_size": 1,
        "sha256": hashlib.sha256(title.encode()).hexdigest(),
        "doc_type": guide(),
        "clearance": 1,
        "audience": "institution",
        "language": "en",
        "status": "ready",
        "is_searchable": True,
    }
    return Document.objects.create(title=title, department=department, **(fields | more))


def sent(department: str, **more: Any) -> dict[str, Any]:
    file = SimpleUploadedFile("new.txt", f"For {department} {more}".encode())
    return {"file": file, "department": department, "doc_type": guide().slug} | more


def managed(user: User) -> set[str]:
    viewer = viewer_for(User.objects.get(pk=user.pk))
    return set(Document.objects.manageable_by(viewer).values_list("title", flat=True))


class TestWhatTheyCurate:
    def test_it_is_what_they_were_given_of_what_they_belong_to(
        self, curator: User, finance: Department, estates: Department
    ) -> None:
        curator.curated_departments.add(estates)  # where they do not belong
        viewer = viewer_for(User.objects.get(pk=curator.pk))
        assert (viewer.curated, viewer.librarian, viewer.curates) == ({finance.pk}, False, True)

    def test_whoever_leaves_a_department_no_longer_curates_it_from_the_next_request_on(
        self, curator: User, finance: Department, api: APIClient, desk: Client
    ) -> None:
        ours = document("Ours", finance)
        assert api.patch(f"{DOCUMENTS}{ours.pk}/", {"priority": 4}, format="json").status_code == 200
        curator.departments.remove(finance)
        assert api.patch(f"{DOCUMENTS}{ours.pk}/", {"priority": 5}, format="json").status_code == 403
        assert desk.get(f"{LIST}{ours.pk}/change/").status_code == 302
        ours.refresh_from_db()
        assert ours.priority == 4

    def test_departments_given_to_somebody_outside_the_group_mean_nothing(
        self, curator: User, finance: Department
    ) -> None:
        document("Ours", finance)
        curator.groups.clear()
        assert managed(curator) == set()

    def test_a_librarian_curates_all_their_departments_whatever_was_given_to_them_singly(
        self, curator: User, finance: Department, library: Department
    ) -> None:
        curator.groups.add(Group.objects.get(name=LIBRARIANS))
        assert viewer_for(User.objects.get(pk=curator.pk)).curated == {finance.pk, library.pk}

    def test_they_manage_what_these_departments_own_and_what_they_own_themselves(
        self, curator: User, finance: Department, library: Department, estates: Department
    ) -> None:
        document("Ours", finance, clearance=3, audience="department")
        document("Above their clearance", finance, clearance=4)
        document("Read, not curated", library)
        document("Elsewhere", estates)
        document("Their own", library, owner=curator)
        assert managed(curator) == {"Ours", "Their own"}


class TestUploading:
    def test_only_into_departments_that_they_curate(self, api: APIClient, library: Department) -> None:
        assert api.post(DOCUMENTS, sent("Finance")).status_code == 202
        for name in ("Library", "Estates"):
            Department.objects.get_or_create(name=name)
            refused = api.post(DOCUMENTS, sent(name))
            assert refused.status_code == 400
            assert refused.json()["errors"] == {"department": ["You do not curate this department."]}

    def test_the_form_offers_and_takes_no_other(
        self, desk: Client, finance: Department, library: Department, estates: Department
    ) -> None:
        offered = desk.get(UPLOAD).context["form"].fields["department"].queryset
        assert list(offered) == [finance]
        for other in (library, estates):
            desk.post(
                UPLOAD,
                {
                    "originals": [SimpleUploadedFile("new.txt", b"New.")],
                    "department": other.pk,
                    "doc_type": guide().pk,
                    "clearance": 1,
                    "audience": "department",
                    "priority": 3,
                },
            )
        assert not Document.objects.exists()

    def test_nor_does_the_intake_itself(self, curator: User, library: Department) -> None:
        metadata = DocumentMetadata(department=library, doc_type=guide(), clearance=1)
        with pytest.raises(UploadRejected, match="You do not curate Library"):
            register_upload(ContentFile(b"x"), file_name="x.txt", uploader=curator, metadata=metadata)

    def test_never_above_their_own_clearance(self, api: APIClient) -> None:
        refused = api.post(DOCUMENTS, sent("Finance", clearance=4))
        assert refused.status_code == 403
        assert (refused.json()["required"], refused.json()["current"]) == (4, 3)
        assert api.post(DOCUMENTS, sent("Finance", clearance=3)).json()["clearance"] == 3

    def test_one_who_curates_nothing_is_told_so_and_cannot_upload(self, curator: User, desk: Client) -> None:
        curator.curated_departments.clear()
        assert "You curate no department" in desk.get(UPLOAD).content.decode()
        client = APIClient()
        client.force_authenticate(User.objects.get(pk=curator.pk))
        refused = client.post(DOCUMENTS, sent("Finance"))
        assert refused.status_code == 403
        assert {"required", "current"} <= set(refused.json())


class TestMoving:
    @pytest.mark.parametrize("target", ["Library", "Estates"])
    def test_a_document_stays_with_the_departments_that_they_curate(
        self, target: str, api: APIClient, finance: Department, estates: Department
    ) -> None:
        ours = document("Ours", finance)
        refused = api.patch(f"{DOCUMENTS}{ours.pk}/", {"department": target}, format="json")
        assert refused.status_code == 400
        ours.refresh_from_db()
        assert ours.department == finance

    def test_a_document_is_not_moved_in_from_another_department_even_by_its_owner(
        self, api: APIClient, curator: User, finance: Department, library: Department
    ) -> None:
        theirs, their_own = document("Theirs", library), document("Their own", library, owner=curator)
        assert api.patch(f"{DOCUMENTS}{theirs.pk}/", {"department": "Finance"}, format="json").status_code == 404
        assert api.patch(f"{DOCUMENTS}{their_own.pk}/", {"department": "Finance"}, format="json").status_code == 403
        assert set(Document.objects.values_list("department", flat=True)) == {library.pk}

    def test_between_two_that_they_curate_it_is(
        self, api: APIClient, curator: User, finance: Department, library: Department
    ) -> None:
        curator.curated_departments.add(library)
        ours = document("Ours", finance)
        assert api.patch(f"{DOCUMENTS}{ours.pk}/", {"department": "Library"}, format="json").status_code == 200
        ours.refresh_from_db()
        assert ours.department == library

    def test_the_desk_s_form_refuses_it_too(
        self, desk: Client, finance: Department, library: Department, estates: Department
    ) -> None:
        ours = document("Ours", finance)
        form = desk.get(f"{LIST}{ours.pk}/change/").context["adminform"].form
        assert list(form.fields["department"].queryset) == [finance]
        for other in (library, estates):
            posted = {
                "title": "Ours", "doc_type": ours.doc_type_id, "language": "en", "campus": "", "priority": 3,
                "tags": "", "last_reviewed": "", "department": other.pk, "clearance": 1, "audience": "institution",
                "visible_from": "", "visible_until": "",
            }  # fmt: skip
            assert desk.post(f"{LIST}{ours.pk}/change/", posted).status_code == 200
        ours.refresh_from_db()
        assert ours.department == finance


class TestWhereTheyStand:
    def test_a_program_is_told_what_they_curate(self, api: APIClient) -> None:
        me = api.get("/api/v1/me/").json()
        assert (me["curates"], me["librarian"], me["departments"]) == (["Finance"], False, ["Finance", "Library"])

    def test_the_document_page_offers_to_curate_only_what_they_manage(
        self, desk: Client, finance: Department, library: Department
    ) -> None:
        ours, theirs = document("Ours", finance), document("Theirs", library)
        assert desk.get(f"/documents/{ours.pk}/").context["manageable"] is True
        assert desk.get(f"/documents/{theirs.pk}/").context["manageable"] is False

    def test_the_desk_shows_them_their_documents_and_no_page_of_the_administrators(
        self, desk: Client, finance: Department, library: Department
    ) -> None:
        document("Ours", finance)
        document("Theirs", library)
        listed = {one.title for one in desk.get(LIST).context["cl"].result_list}
        assert listed == {"Ours"}
        assert desk.get("/admin/").context["attention"].total == 1
        for page in ("accounts/user/", "accounts/department/", "accounts/phase/", "ingestion/documenttype/"):
            assert desk.get(f"/admin/{page}").status_code == 403

    def test_what_is_wrong_with_a_file_is_told_to_those_who_manage_it(
        self, api: APIClient, finance: Department, library: Department
    ) -> None:
        ours = document("Ours", finance, error="Page 3 is a picture.")
        theirs = document("Theirs", library, error="Page 4 is a picture.")
        assert api.get(f"{DOCUMENTS}{ours.pk}/").json()["error"] == "Page 3 is a picture."
        assert api.get(f"{DOCUMENTS}{theirs.pk}/").json()["error"] == ""


def test_a_whole_folder_is_taken_in_within_the_same_bounds(curator: User, library: Department, tmp_path: Path) -> None:
    from ingestion.folder import files_without_manifest, ingest_folder

    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "one.txt").write_bytes(io.BytesIO(b"One.").getvalue())
    metadata = DocumentMetadata(department=library, doc_type=guide(), clearance=1)
    *_, report = ingest_folder(files_without_manifest(inbox, metadata), viewer=viewer_for(curator))
    assert list(report.rejected) == ["one.txt"]
    assert not Document.objects.exists()
