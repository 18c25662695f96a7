"""The portal's settings for web processes that the tests start: nothing has to be collected or counted first."""

from portal.settings import *  # noqa: F403
from portal.settings import STORAGES

STORAGES = STORAGES | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
THROTTLE_FACTOR = 0
