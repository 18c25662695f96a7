"""Whom no claim rule gives a role any more: nothing that they were given by hand lets them in."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from accounts.clearance import CURATORS, Role
from accounts.models import ClaimRule, Department, Phase, User
from accounts.tests.providers import honest_provider, single_sign_on


@pytest.mark.django_db
def test_an_invitation_and_the_curators_group_let_nobody_in_whom_no_rule_fits() -> None:
    invited = Group.objects.create(name="First hundred")
    finance = Department.objects.create(name="Finance")
    ClaimRule.objects.create(claim="groups", value="staff", role=Role.STAFF, department=finance)
    with honest_provider() as provider, single_sign_on(provider.issuer):
        provider.knows("1", preferred_username="ada", groups=["staff"])
        open_session, again = Client(), Client()
        provider.sign_in(open_session, "1")
        ada = User.objects.get()
        ada.groups.add(invited, Group.objects.get(name=CURATORS))
        ada.curated_departments.add(finance)
        Phase.objects.create(name="Pilot", starts_at=timezone.now()).groups.add(invited)
        assert open_session.get("/search/?q=leave").status_code == 200
        assert open_session.get("/admin/").status_code == 200

        provider.knows("1", preferred_username="ada", groups=["alumni"])
        assert provider.sign_in(again, "1").status_code == 403
        for client in (open_session, again):
            assert client.get("/api/v1/suggest/?q=a").status_code == 401
            assert client.get("/search/?q=leave").status_code == 403
            assert client.get("/admin/").status_code == 302

        provider.knows("1", preferred_username="ada", groups=["staff"])
        provider.sign_in(again, "1")
        assert again.get("/api/v1/me/").json()["curates"] == ["Finance"]
