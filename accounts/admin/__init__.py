"""The people's side of the admin site, for administrators."""

from accounts.admin.claims import ClaimRuleAdmin
from accounts.admin.keys import ApiKeyAdmin
from accounts.admin.lookups import OfferedFiltersOnly
from accounts.admin.people import PlainChoices, RefusedWhileInUse
from accounts.admin.rollout import GroupAdmin, PhaseAdmin
from accounts.admin.trail import AuditEventAdmin
from accounts.admin.users import UserAdmin

__all__ = [
    "ApiKeyAdmin",
    "AuditEventAdmin",
    "ClaimRuleAdmin",
    "GroupAdmin",
    "OfferedFiltersOnly",
    "PhaseAdmin",
    "PlainChoices",
    "RefusedWhileInUse",
    "UserAdmin",
]
