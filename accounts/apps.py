from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People and places"

    def ready(self) -> None:
        """Notes sign-ins from the start, and calls groups what they are for here."""
        from django.contrib.auth.models import Group

        from accounts import sign_in  # noqa: F401

        Group._meta.verbose_name, Group._meta.verbose_name_plural = "group to invite", "groups to invite"
