from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People and places"

    def ready(self) -> None:
        """Notes sign-ins from the start."""
        from accounts import sign_in  # noqa: F401
