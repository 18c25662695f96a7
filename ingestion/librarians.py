"""The group of librarians and what the admin site lets its members do."""

from typing import Any

from accounts.clearance import LIBRARIANS


def grant_permissions(**_: Any) -> None:
    """Make sure that the group exists and holds these permissions and no others here (run after each migrate).

    What an earlier release gave and this one does not is taken back. A tag is everybody's, so librarians do not rename
    it. Which documents a librarian may touch is not decided here but by `manageable_by`.
    """
    from django.contrib.auth.models import Group, Permission

    group, _created = Group.objects.get_or_create(name=LIBRARIANS)
    wanted = [
        f"{action}_{model}"
        for model, actions in {"document": ("add", "view", "change"), "tag": ("add", "view")}.items()
        for action in actions
    ]
    here = Permission.objects.filter(content_type__app_label="ingestion")
    group.permissions.add(*here.filter(codename__in=wanted))
    group.permissions.remove(*here.exclude(codename__in=wanted))
