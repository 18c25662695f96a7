"""The Celery application: `celery -A portal worker` and `celery -A portal beat`."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def require_vector_space(**_: Any) -> None:
    """A worker does not start where it would put vectors of another model beside the stored ones."""
    from ingestion.vectorspace import require_at_start

    require_at_start()
