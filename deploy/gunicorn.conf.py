"""How gunicorn runs the portal, locally and in production; the environment sets what differs."""

import os

import gunicorn.http.wsgi
from prometheus_client import multiprocess

# The database ends what takes longer before the proxy gives it up (deploy/nginx).
os.environ.setdefault("DATABASE_STATEMENT_SECONDS", "25")

wsgi_app = "portal.wsgi:application"
bind = f"{os.environ.get('BIND_ADDRESS', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS", "8"))
# Loaded once and shared by the workers: less memory, faster restarts. Connections are opened after the fork.
preload_app = True
timeout = 60
graceful_timeout = 20
keepalive = 5
max_requests = 20_000
max_requests_jitter = 2_000
# Whether a request came by TLS, and from where, is decided in one place, by the portal's settings (BEHIND_TLS_PROXY,
# TRUSTED_PROXIES); gunicorn believes no header.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
# Which server this is concerns nobody; gunicorn has no setting for it.
gunicorn.http.wsgi.SERVER = "Cloister"
accesslog = None
errorlog = "-"
# What the server itself says is a line like those of the portal.
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "portal.logs.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "gunicorn.error": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "gunicorn.access": {"handlers": [], "propagate": False},
    },
}
control_socket_disable = True


def child_exit(server, worker):
    """Take the metrics of a worker that is gone out of the live gauges."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)
