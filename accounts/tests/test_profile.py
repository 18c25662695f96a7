"""What people are told of what they see, and what they may prefer."""

from __future__ import annotations

import pytest

from accounts.clearance import viewer_for
from accounts.models import Campus, Department, User
from accounts.profile import access_in_words
from accounts.tests.people import person, signed_in

pytestmark = pytest.mark.django_db


class TestAccessInWords:
    def said(self, user: User) -> str:
        return " ".join(access_in_words(viewer_for(User.objects.get(pk=user.pk))))

    def test_it_names_level_and_departments(self, library: Department) -> None:
        finance = Department.objects.create(name="Finance")
        assert self.said(person("reader", "staff", library, finance)) == (
            "You see documents up to level 3 (staff): those for the whole university, "
            "and those for Finance and Library."
        )

    def test_without_a_department_it_says_what_is_missing(self, db: None) -> None:
        said = self.said(person("reader", "academic"))
        assert "up to level 2 (students and staff)" in said
        assert "reaches level 4, but levels 3 and 4 need a department" in said

    def test_administrators_see_every_department(self, db: None) -> None:
        assert "of every department" in self.said(person("root", "admin"))

    def test_librarians_are_told_what_they_edit(self, library: Department) -> None:
        assert "edit documents of Library" in self.said(person("lib", "staff", library, librarian=True))


class TestPreferences:
    def test_they_are_kept_and_order_what_is_found(self, library: Department) -> None:
        home, other = Campus.objects.create(name="Home"), Campus.objects.create(name="Other")
        reader = person("reader", "student")
        reader.campus = home
        reader.save()
        assert viewer_for(reader).campus_id == home.pk
        client = signed_in(reader)
        given = {"campus": str(other.pk), "languages": ["de", "zh"], "keeps_history": "1"}
        assert client.post("/accounts/profile/", given).status_code == 302
        reader = User.objects.get(pk=reader.pk)
        viewer = viewer_for(reader)
        assert (viewer.campus_id, viewer.languages) == (other.pk, {"de", "zh"})
        assert (reader.campus, reader.keeps_history) == (home, True)
        assert f'<option value="{other.pk}" selected>' in client.get("/accounts/profile/").content.decode()
        client.post("/accounts/profile/", {})
        reader = User.objects.get(pk=reader.pk)
        assert (viewer_for(reader).campus_id, reader.languages, reader.keeps_history) == (home.pk, [], False)

    def test_answers_are_kept_apart_for_whom_they_are_ordered_otherwise(self, db: None) -> None:
        reader = person("reader", "student")
        before = viewer_for(reader).sight
        reader.languages = ["de"]
        assert viewer_for(reader).sight != before

    @pytest.mark.parametrize("given", [{"languages": ["xx"]}, {"campus": "4711"}])
    def test_what_is_not_listed_is_refused(self, db: None, given: dict[str, str]) -> None:
        reader = person("reader", "student")
        assert signed_in(reader).post("/accounts/profile/", given).status_code == 400
        assert User.objects.get(pk=reader.pk).languages == []

    def test_who_looks_as_a_person_does_not_learn_what_they_prefer(self, db: None) -> None:
        other = Campus.objects.create(name="Other")
        reader = person("reader", "student")
        reader.preferred_campus, reader.languages = other, ["de"]
        reader.save()
        client = signed_in(person("root", "admin"))
        client.post("/see-as/person/", {"person": str(reader.pk)})
        seen = client.get("/").wsgi_request.seeing.viewer
        assert (seen.campus_id, seen.languages) == (None, frozenset())
