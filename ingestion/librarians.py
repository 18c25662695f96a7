"""The group of librarians and what the admin site lets its members do."""

from typing import Any

from accounts.clearance import LIBRARIANS


def grant_permissions(**_: Any) -> None:
    """Make sure that the group exists and may add, view and change documents and tags (run after each migrate).

    Which documents a librarian may touch is not decided here but by `manageable_by`.
    """
    from django.contrib.auth.models import Group, Permission

    group, _created = Group.objects.get_or_create(name=LIBRARIANS)
    wanted = [
        f"{action}_{model}"
        for model, actions in {"document": ("add", "view", "change"), "tag": ("add", "view", "change")}.items()
        for action in actions
    ]
    group.permissions.add(*Permission.objects.filter(content_type__app_label="ingestion", codename__in=wanted))
