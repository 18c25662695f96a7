from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People and places"

    def ready(self) -> None:
        """Notes sign-ins from the start, and calls groups what they are for here."""
        from django.contrib.auth.models import Group

        from accounts import sign_in  # noqa: F401
        from accounts.auditors import make_group

        post_migrate.connect(make_group, sender=self, dispatch_uid="auditors-group")
        Group._meta.verbose_name, Group._meta.verbose_name_plural = "group to invite", "groups to invite"
