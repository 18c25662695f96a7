"""The groups of librarians and curators, and what the admin site lets their members do."""

from typing import Any

from accounts.clearance import CURATORS, LIBRARIANS


def grant_permissions(**_: Any) -> None:
    """Make sure that the groups exist and hold these permissions and no others here (run after each migrate).

    What an earlier release gave and this one does not is taken back. Tags come with the documents that bear them: one
    that is made or renamed by itself would tell which names others use already. Which documents a member may touch is
    not decided here but by `manageable_by`.
    """
    from django.contrib.auth.models import Group, Permission

    wanted = ["add_document", "view_document", "change_document", "view_tag"]
    here = Permission.objects.filter(content_type__app_label="ingestion")
    for name in (LIBRARIANS, CURATORS):
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.add(*here.filter(codename__in=wanted))
        group.permissions.remove(*here.exclude(codename__in=wanted))
