from django.apps import AppConfig
from django.db.models.signals import post_migrate


class IngestionConfig(AppConfig):
    name = "ingestion"
    verbose_name = "Documents"

    def ready(self) -> None:
        from ingestion import checks  # noqa: F401  (registers the system checks)
        from ingestion.librarians import grant_permissions

        post_migrate.connect(grant_permissions, sender=self, dispatch_uid="librarians-permissions")
