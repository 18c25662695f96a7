"""What gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = get_wsgi_application()

from ingestion.vectorspace import prepare_process  # noqa: E402  (models can be imported from here on)

prepare_process()
