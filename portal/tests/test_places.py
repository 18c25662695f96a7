"""Departments and campuses are deleted by no accident: what hangs on one is named first, and the act is noted."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db.models import ProtectedError
from django.test import Client
from django.utils import timezone

from accounts.admin.people import CampusAdmin, DepartmentAdmin
from accounts.admin.rollout import GroupAdmin
from accounts.models import AuditEvent, Campus, ClaimRule, Department, Phase
from accounts.reauthentication import PROVEN_AT
from portal.tests.conftest import MakeDocument, MakePerson
from search.models import GoldenQuery

pytestmark = pytest.mark.django_db

IN_USE = {
    "member": "one person still belongs to it. Take it from them on their page first.",
    "members": "2 people still belong to it. Take it from them on their pages first.",
    "document": "one document still belongs to it. Move it first.",
    "shared document": "one document is shared with it. Stop sharing that first.",
    "curator": "one person curates it. Take it from them on their page first.",
    "phase": "one phase of the introduction opens the portal to it. Change that phase first.",
    "golden query": "one golden query is asked as one of its people. Change that query first.",
    "claim rule": "one claim rule gives it. Change or delete that rule first.",
    "department": "one department has its home there. Give it another first.",
}


@pytest.fixture
def desk(person: MakePerson) -> Client:
    client = Client()
    client.force_login(person("admin"))
    return client


@pytest.fixture
def spare() -> Department:
    return Department.objects.create(name="Spare")


def use(place: Any, how: str, person: MakePerson, document: MakeDocument, library: Department) -> None:
    """Make the place, a department or a campus, be used so."""
    of_campus = isinstance(place, Campus)
    match how:
        case "member" | "members":
            for _ in range(1 if how == "member" else 2):
                person("staff", campus=place) if of_campus else person("staff", departments=(place,))
        case "document":
            document("Ours", department=library, campus=place) if of_campus else document("Ours", department=place)
        case "shared document":
            document("Theirs", department=library, shared_with=(place,))
        case "curator":
            person("staff").curated_departments.add(place)
        case "phase":
            Phase.objects.create(name="Pilot", starts_at=timezone.now()).departments.add(place)
        case "golden query":
            GoldenQuery.objects.create(query="loans").departments.add(place)
        case "claim rule":
            given = {"campus": place} if of_campus else {"department": place}
            ClaimRule.objects.create(claim="groups", value="x", **given)
        case "department":
            Department.objects.create(name="Ceramics", campus=place)


USES_OF_A_CAMPUS = ("member", "document", "claim rule", "department")


@pytest.mark.parametrize("how", [how for how in IN_USE if how != "department"])
def test_a_department_in_use_is_not_deleted_and_the_page_says_what_to_do_first(
    how: str, desk: Client, spare: Department, person: MakePerson, document: MakeDocument, library: Department
) -> None:
    use(spare, how, person, document, library)
    _assert_refused(desk, spare, f"Spare cannot be deleted: {IN_USE[how]}")


@pytest.mark.parametrize("how", USES_OF_A_CAMPUS)
def test_a_campus_in_use_is_not_deleted_and_the_page_says_what_to_do_first(
    how: str, desk: Client, person: MakePerson, document: MakeDocument, library: Department
) -> None:
    campus = Campus.objects.create(name="North")
    use(campus, how, person, document, library)
    _assert_refused(desk, campus, f"North cannot be deleted: {IN_USE[how]}")


def _assert_refused(desk: Client, place: Any, words: str) -> None:
    """By its page, and by the list's action."""
    address = f"/admin/accounts/{place._meta.model_name}/"
    answer = desk.post(f"{address}{place.pk}/delete/", {"post": "yes"}, follow=True)
    assert words in answer.content.decode()
    chosen = {"action": "delete_selected", "_selected_action": [place.pk], "post": "yes"}
    assert words in desk.post(address, chosen).content.decode()
    assert type(place).objects.filter(pk=place.pk).exists()
    assert not AuditEvent.objects.filter(action="place_deleted").exists()


def test_all_reasons_are_named_at_once(
    desk: Client, spare: Department, person: MakePerson, document: MakeDocument, library: Department
) -> None:
    for how in ("members", "claim rule"):
        use(spare, how, person, document, library)
    answer = desk.post(f"/admin/accounts/department/{spare.pk}/delete/", {"post": "yes"}, follow=True)
    expected = f"Spare cannot be deleted: {IN_USE['members']} Also, {IN_USE['claim rule']}"
    assert [str(message) for message in answer.context["messages"]] == [expected]


@pytest.mark.parametrize(
    ("model", "model_admin", "harmless"),
    [(Department, DepartmentAdmin, set()), (Campus, CampusAdmin, set()), (Group, GroupAdmin, {"user_set"})],
)
def test_no_relation_is_forgotten(model: Any, model_admin: Any, harmless: set[str]) -> None:
    relations = {relation.get_accessor_name() for relation in model._meta.related_objects}
    assert relations - harmless == {one.relation for one in model_admin.uses}


@pytest.mark.parametrize("by", ["page", "list"])
def test_an_unused_one_is_deleted_after_a_fresh_proof_and_noted(by: str, desk: Client, spare: Department) -> None:
    campus = Campus.objects.create(name="North")
    for place in (spare, campus):
        kind, address = place._meta.model_name, f"/admin/accounts/{place._meta.model_name}/"
        sent = {"post": "yes"}
        if by == "page":
            address += f"{place.pk}/delete/"
        else:
            sent |= {"action": "delete_selected", "_selected_action": str(place.pk)}
        session = desk.session
        session[PROVEN_AT] = 0
        session.save()
        assert desk.post(address, sent)["Location"].startswith("/accounts/confirm/")
        assert type(place).objects.filter(pk=place.pk).exists()
        session[PROVEN_AT] = time.time()
        session.save()
        assert desk.post(address, sent)["Location"] == f"/admin/accounts/{kind}/"
        assert not type(place).objects.filter(pk=place.pk).exists()
        noted = AuditEvent.objects.filter(action="place_deleted").latest("pk")
        assert (noted.subject, noted.details) == (place.name, {"kind": kind})
    assert AuditEvent.objects.filter(action="place_deleted").count() == 2


@pytest.mark.parametrize("kind", ["department", "campus"])
def test_making_and_changing_one_takes_a_fresh_proof(kind: str, desk: Client) -> None:
    session = desk.session
    session[PROVEN_AT] = 0
    session.save()
    assert desk.get(f"/admin/accounts/{kind}/").status_code == 200
    assert desk.get(f"/admin/accounts/{kind}/add/")["Location"].startswith("/accounts/confirm/")


def test_what_begins_to_be_used_after_the_question_is_not_deleted(
    desk: Client, spare: Department, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = DepartmentAdmin.log_deletions

    def somebody_joins(self: Any, *args: Any) -> Any:
        person("staff", departments=(spare,))
        return asked(self, *args)

    monkeypatch.setattr(DepartmentAdmin, "log_deletions", somebody_joins)
    assert desk.post(f"/admin/accounts/department/{spare.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Department.objects.filter(pk=spare.pk).exists()
    assert not AuditEvent.objects.filter(action="place_deleted").exists()


@pytest.mark.parametrize("given", ["department", "campus"])
def test_the_database_s_models_protect_what_a_claim_rule_gives(given: str) -> None:
    place: Any = (Department if given == "department" else Campus).objects.create(name="North")
    ClaimRule.objects.create(claim="groups", value="x", **{given: place})
    with pytest.raises(ProtectedError):
        place.delete()


class TestGroupsToInvite:
    GROUPS = "/admin/auth/group/"

    def test_one_that_a_phase_uses_is_not_deleted_and_the_portal_stays_open_to_its_people(
        self, desk: Client, person: MakePerson
    ) -> None:
        group = Group.objects.create(name="First hundred")
        ada = person("student")
        ada.groups.add(group)
        pilot = Phase.objects.create(name="Pilot", starts_at=timezone.now())
        pilot.groups.add(group)
        answer = desk.post(f"{self.GROUPS}{group.pk}/delete/", {"post": "yes"}, follow=True)
        assert (
            "First hundred cannot be deleted: one phase of the introduction opens the portal to it. "
            "Take it out of that phase first."
        ) in answer.content.decode()
        assert list(pilot.groups.all()) == [group]
        client = Client()
        client.force_login(ada)
        assert client.get("/search/").status_code == 200

    def test_one_that_none_uses_is_deleted_though_people_are_in_it(self, desk: Client, person: MakePerson) -> None:
        group = Group.objects.create(name="Left over")
        person("student").groups.add(group)
        desk.post(f"{self.GROUPS}{group.pk}/delete/", {"post": "yes"})
        assert not Group.objects.filter(pk=group.pk).exists()
