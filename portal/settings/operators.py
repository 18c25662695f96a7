"""Mail that goes out, logs, and who reads the figures."""

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
PROMETHEUS_METRICS_EXPORT_PORT = None

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "portal.logs.RequestIdFilter"}},
    "formatters": {"json": {"()": "portal.logs.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request_id"]}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.server": {"handlers": ["console"], "propagate": False},
        "axes": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
