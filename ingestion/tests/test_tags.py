"""Names of tags: how they are cleaned, and that they tell nobody what others use."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

from accounts.clearance import LIBRARIANS, OPERATOR, Role, viewer_for
from accounts.models import Department, User
from ingestion.models import Document, DocumentType, Tag
from ingestion.tags import MAX_TAGS, InvalidTag, clean_names, known_tags, tags_named


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        (["fees", " fees ", "", "  "], ["fees"]),
        (["late\t\n fees"], ["late fees"]),
        (["Fe\u0301es"], ["Fées"]),  # two characters that are one
        (["Fees", "fees"], ["Fees", "fees"]),
        (["رسوم", "学费"], ["رسوم", "学费"]),
        (["x" * 60], ["x" * 60]),
    ],
)
def test_names_are_on_one_line_each_once(typed: list[str], names: list[str]) -> None:
    assert clean_names(typed) == names


@pytest.mark.parametrize("name", ["x" * 61, "one, two", "a\0b", "a\x1bb", "\ud800"])
def test_names_that_no_tag_may_have_are_refused(name: str) -> None:
    with pytest.raises(InvalidTag):
        clean_names([name])


def test_a_document_has_no_more_tags_than_help_to_find_it() -> None:
    assert len(clean_names([str(number) for number in range(MAX_TAGS)])) == MAX_TAGS
    with pytest.raises(InvalidTag, match=f"at most {MAX_TAGS}"):
        clean_names([str(number) for number in range(MAX_TAGS + 1)])


@pytest.mark.django_db
class TestKnown:
    @pytest.fixture
    def librarian(self) -> User:
        user = User.objects.create_user("ada", role=Role.STAFF)
        user.departments.add(Department.objects.get_or_create(name="Registry")[0])
        user.groups.add(Group.objects.get(name=LIBRARIANS))
        return user

    @staticmethod
    def document(tag: str, department: str = "Registry", **more: object) -> Document:
        made = Document.objects.create(
            title=tag,
            file_name="x.txt",
            file_size=1,
            sha256="0" * 64,
            department=Department.objects.get_or_create(name=department)[0],
            doc_type=DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})[0],
            **({"clearance": 1, "audience": "institution", "status": "ready", "is_searchable": True} | more),
        )
        made.tags.set(tags_named([tag], OPERATOR))
        return made

    def test_a_tag_is_known_through_a_document_that_is_seen_or_managed(self, librarian: User) -> None:
        self.document("seen", "Elsewhere")
        self.document("managed", status="archived", is_searchable=False)
        self.document("hidden", "Elsewhere", audience="department")
        self.document("above", clearance=4)
        Tag.objects.create(name="nobody's")
        assert set(known_tags(viewer_for(librarian)).values_list("name", flat=True)) == {"seen", "managed"}
        assert known_tags(OPERATOR).count() == 5

    def test_another_case_of_a_known_tag_is_that_tag_and_of_a_hidden_one_is_not(self, librarian: User) -> None:
        self.document("Fees")
        self.document("Redundancy", "Elsewhere", audience="department")
        viewer = viewer_for(librarian)
        assert {tag.name for tag in tags_named(["FEES", "REDUNDANCY"], viewer)} == {"Fees", "REDUNDANCY"}
        assert {tag.name for tag in tags_named(["Redundancy"], viewer)} == {"Redundancy"}
        assert Tag.objects.filter(name__iexact="redundancy").count() == 2

    def test_of_two_known_spellings_the_one_that_was_typed_is_taken(self, librarian: User) -> None:
        self.document("GDPR")
        self.document("gdpr").tags.set([Tag.objects.create(name="gdpr")])
        viewer = viewer_for(librarian)
        assert [tag.name for tag in tags_named(["gdpr"], viewer)] == ["gdpr"]
        assert [tag.name for tag in tags_named(["Gdpr"], viewer)] == ["GDPR"]

    def test_no_names_are_no_tags(self) -> None:
        assert tags_named([], OPERATOR) == []
        assert not Tag.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_people_who_make_the_same_tag_at_once_both_get_it() -> None:
    inside, found = threading.Barrier(2, timeout=10), []

    def make() -> None:
        try:
            with transaction.atomic():
                inside.wait()
                found.extend(tag.name for tag in tags_named(["new"], OPERATOR))
        finally:
            connection.close()

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["new", "new"]
    assert Tag.objects.filter(name="new").count() == 1
