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
def prepare_worker(**_: Any) -> None:
    """A worker says where the settings name another model than the one that is in use, makes ready to read, and tells
    Prometheus what it counts where nobody else does."""
    from ingestion import extraction
    from ingestion.vectorspace import prepare_process
    from portal.metrics.worker import serve

    prepare_process()
    extraction.prepare()
    serve()
