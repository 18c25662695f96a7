"""A new password is written into its column alone, over whatever else happened to the person meanwhile."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from accounts.models import User


class ChangedMeanwhile(Exception):
    """The person is no longer what they were when their new password was checked; nothing was written."""


def write_password(user: User, **unchanged: Any) -> None:
    """Write the password that was set on `user`, and nothing else of theirs.

    `unchanged` are the columns, with their values, on which the right to do so rests; they are compared with the row,
    which is locked until the password is written. Raises ChangedMeanwhile.
    """
    with transaction.atomic():
        person = User.objects.select_for_update().filter(pk=user.pk, **unchanged).first()
        if person is None:
            raise ChangedMeanwhile
        person.password = user.password
        person.save(update_fields=["password"])
    user.password = person.password
