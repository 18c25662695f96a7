"""What the provider says of a person becomes their rights here: the operators' table of rules, read at each sign-in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest

from accounts.audit import note
from accounts.clearance import LIBRARIANS, ROLE_CLEARANCE, Role
from accounts.models import Campus, ClaimRule, Department, User


@dataclass(frozen=True)
class Given:
    """What a set of claims gives. An empty `role` means that nothing does: this person does not belong here."""

    role: str = ""
    departments: tuple[Department, ...] = ()
    campus: Campus | None = None
    librarian: bool = False
    rules: tuple[ClaimRule, ...] = field(default=(), compare=False)


def claim_values(claims: Any, path: str) -> Iterator[str]:
    """Every value that a claim has, as text: `groups`, or `affiliation.type` inside another; lists are gone through.

    A claim whose own name has dots in it, as some providers write theirs, goes by its whole name too.
    """
    if isinstance(claims, list):
        for one in claims:
            yield from claim_values(one, path)
    elif not path:
        if isinstance(claims, bool):
            yield "true" if claims else "false"
        elif isinstance(claims, str | int):
            yield str(claims)
    elif isinstance(claims, dict):
        if path in claims:
            yield from claim_values(claims[path], "")
        first, dot, rest = path.partition(".")
        if dot and first in claims:
            yield from claim_values(claims[first], rest)


def fits(rule: ClaimRule, claims: dict[str, Any]) -> bool:
    """Whether one of the claim's values is the rule's: the same letters in the same case, * for any."""
    pattern = re.sub(r"[\[?]", r"[\g<0>]", rule.value)
    return any(fnmatchcase(value, pattern) for value in claim_values(claims, rule.claim))


def address_is_unverified(claims: dict[str, Any]) -> bool:
    """Whether the provider says that it did not verify the address; some write the word where the standard has false.

    Whoever may type any address at the provider must not get by it what a rule gives to the real one's owner.
    """
    return str(claims.get("email_verified")).lower() == "false"


def given_by(rules: Iterable[ClaimRule], claims: dict[str, Any]) -> Given:
    """What these rules make of these claims, of which an unverified address is none.

    Of several roles the one with the most clearance, administrator before academic; every department; of several
    campuses the first rule's.
    """
    if address_is_unverified(claims):
        claims = {name: value for name, value in claims.items() if name != "email"}
    matching = tuple(rule for rule in rules if fits(rule, claims))
    order = {role: (ROLE_CLEARANCE[role], place) for place, role in enumerate(Role.values)}
    return Given(
        role=max((rule.role for rule in matching if rule.role), key=order.__getitem__, default=""),
        departments=tuple({rule.department_id: rule.department for rule in matching if rule.department}.values()),
        campus=next((rule.campus for rule in matching if rule.campus), None),
        librarian=any(rule.librarian for rule in matching),
        rules=matching,
    )


def given_now(claims: dict[str, Any]) -> Given:
    """What the table, as it stands, makes of these claims. Changes nothing."""
    return given_by(ClaimRule.objects.select_related("department", "campus"), claims)


def rights_of(user: User) -> dict[str, Any]:
    """What somebody may see and do, in words, for the trail of acts."""
    return {
        "role": user.role,
        "departments": sorted(user.departments.values_list("name", flat=True)),
        "campus": user.campus.name if user.campus else None,
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "curated_departments": sorted(user.curated_departments.values_list("name", flat=True)),
        "is_active": user.is_active,
        "is_service": user.is_service,
    }


def apply_claims(user: User, claims: dict[str, Any], *, request: HttpRequest | None = None) -> Given:
    """Make a person's rights exactly those that the claims give now, all at once; what they no longer give is gone.

    Where no rule gives a role, they fall to the lowest one, lose departments, campus and membership of Librarians, and
    every session and token of theirs ends; the caller then refuses the sign-in. What an administrator gave by hand
    stays, here as otherwise: membership of Curators and of groups to invite, and the departments that they curate. No
    sign-in could bring it back after a slip in a rule or a claim that was left out once, and without a sign-in, and
    outside the departments that are left, it is worth nothing.
    """
    with transaction.atomic():
        person = User.objects.select_for_update().get(pk=user.pk)
        before = rights_of(person)
        given = given_now(claims)
        person.role = given.role or Role.STUDENT
        person.campus = given.campus if given.role else None
        person.save(update_fields=["role", "campus"])
        person.departments.set(given.departments if given.role else ())
        librarians, _ = Group.objects.get_or_create(name=LIBRARIANS)
        if given.role and given.librarian:
            person.groups.add(librarians)
        else:
            person.groups.remove(librarians)
        if not given.role:
            User.objects.filter(pk=person.pk).update(sign_in_epoch=F("sign_in_epoch") + 1)
        after = rights_of(person)
        if before != after or not given.role:
            note(
                "claims_applied",
                actor=person,
                subject=person.username,
                request=request,
                before=before,
                after=after,
                refused=not given.role,
            )
    return given
