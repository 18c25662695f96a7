from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        """Statements, tasks and pools are watched in every process."""
        from portal import logs, tracing  # noqa: F401
        from portal.metrics import pool  # noqa: F401

        logs.configure()


class PortalAdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "portal.admin.PortalAdminSite"
