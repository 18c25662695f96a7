"""The people's side of the admin site, for administrators."""

from accounts.admin.people import PlainChoices, RefusedWhileInUse, UserAdmin

__all__ = ["PlainChoices", "RefusedWhileInUse", "UserAdmin"]
