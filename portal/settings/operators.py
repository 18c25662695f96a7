"""Mail that goes out, logs, and who reads the figures."""

from django.core.exceptions import ImproperlyConfigured

from portal.logs import levels_from, shares_from
from portal.settings.environment import env, required

# Where mail goes out, as smtp://host:25 or smtp+tls://user:password@host:587; without it none is sent.
EMAIL_URL = env.str("EMAIL_URL", default="")
SENDS_MAIL = bool(EMAIL_URL)
_mail = env.email_url_config(EMAIL_URL or "dummymail://")
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_BACKEND"], _mail["EMAIL_HOST"], _mail["EMAIL_PORT"] or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"] or "", _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = required("EMAIL_FROM") if SENDS_MAIL else "cloister@localhost"
# What links in mail begin with, such as https://search.example.ac.uk/: no request tells it there.
PUBLIC_URL = required("PUBLIC_URL") if SENDS_MAIL else ""

# Networks whose requests to /health see the details, and who may read /metrics.
OPERATOR_NETWORKS = env.list("OPERATOR_NETWORKS", default=["127.0.0.0/8", "::1/128"])
# A disk with less of it free is low.
LOW_DISK_SHARE = env.float("LOW_DISK_SHARE", default=0.1)
# A file that every good backup touches: its age is the backup's. Empty where nobody says.
BACKUP_MARK = env.str("BACKUP_MARK", default="")
# The port at which a worker on a machine of its own answers Prometheus; 0: it does not, and the web processes beside it
# do so for both.
WORKER_METRICS_PORT = env.int("WORKER_METRICS_PORT", default=0)
WORKER_METRICS_ADDRESS = env.str("BIND_ADDRESS", default="127.0.0.1")
# Statements that take longer are logged; 0: none.
SLOW_QUERY_SECONDS = env.float("SLOW_QUERY_SECONDS", default=1.0)
# So are requests that take longer, all that fail, and this share of the others.
SLOW_REQUEST_SECONDS = env.float("SLOW_REQUEST_SECONDS", default=3.0)
LOG_REQUESTS = env.float("LOG_REQUESTS", default=0.0)
# How much some loggers say, and which share of what they say below WARNING is kept.
try:
    LOG_LEVELS = levels_from(env.str("LOG_LEVELS", default=""))
    LOG_SAMPLE = shares_from(env.str("LOG_SAMPLE", default=""))
except ValueError as _wrong:
    raise ImproperlyConfigured(str(_wrong)) from _wrong

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "portal.logs.RequestIdFilter"},
        "sample": {"()": "portal.logs.SampleFilter", "shares": LOG_SAMPLE},
    },
    "formatters": {"json": {"()": "portal.logs.JsonFormatter"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request_id", "sample"]}
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.server": {"handlers": ["console"], "propagate": False},
        "axes": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "psycopg": {"level": "WARNING"},
        # What they say at DEBUG holds headers, statements with their values, and addresses with a query.
        **{name: {"level": "INFO"} for name in ("httpcore", "django.db.backends", "urllib3", "botocore")},
        "celery.worker.strategy": {"level": "WARNING"},
        **{name: {"level": level} for name, level in LOG_LEVELS.items()},
    },
}
