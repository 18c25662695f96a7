"""Closing an account for good: nobody is known by it any more, and nobody signs in with it."""

from __future__ import annotations

from axes.models import AccessAttempt
from django.db import transaction
from django.utils import timezone

from accounts.audit import note
from accounts.clearance import Role
from accounts.lockout import digest_of
from accounts.models import ApiKey, User


def close_account(person: User) -> str:
    """Take out of the account whatever names its person, and close it; the name that stands in its place.

    The row stays: documents, and the trail of acts until its term, refer to it. Sessions, tokens and keys end at once.
    """
    with transaction.atomic():
        known_as = person.username
        person.username = f"closed-{person.pk}"
        person.first_name = person.last_name = person.email = ""
        person.is_active, person.role, person.external_id = False, Role.STUDENT, None
        person.campus = person.preferred_campus = None
        person.languages, person.keeps_history = [], False
        person.sign_in_epoch += 1
        person.set_unusable_password()
        person.save()
        for several in (person.departments, person.curated_departments, person.groups, person.phases):
            several.clear()
        ApiKey.objects.filter(user=person, revoked_at__isnull=True).update(revoked_at=timezone.now())
        AccessAttempt.objects.filter(username=digest_of(known_as)).delete()
        note("account_closed", actor=None, subject=person.username)
    return person.username
