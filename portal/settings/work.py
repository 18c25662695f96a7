"""What the workers do: the queue, embedding, and what reading a file may cost."""

from datetime import timedelta

from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured

from ingestion.extraction_settings import limits_from
from portal.settings.environment import env
from portal.settings.stores import REDIS_URL
from search.boosts import boosts_from

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A run without a sign of life for so long is dead. One step (a batch of embeddings, a large file) takes less.
INGESTION_STALE_SECONDS = env.int("INGESTION_STALE_SECONDS", default=300)
# How often the clock looks for what was lost.
INGESTION_RECONCILE_SECONDS = env.int("INGESTION_RECONCILE_SECONDS", default=60)
# How often it sends a canary into each queue, by which operators see that the queue moves.
QUEUE_CANARY_SECONDS = env.int("QUEUE_CANARY_SECONDS", default=30)
CELERY_TASK_DEFAULT_QUEUE = "maintenance"
CELERY_TASK_ROUTES = {"ingestion.ingest": {"queue": "ingestion"}, "ingestion.reembed": {"queue": "reembed"}}
# A worker or a clock that finds the queue away tries on for as long as it takes.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# When the queue comes back, the task in hand has gone on: what it did is in the database, whatever the queue forgot.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# The last resort against a task that hangs. Extraction and embedding have limits of their own, which are far shorter;
# the longest document takes a slow node two hours.
CELERY_TASK_TIME_LIMIT = 5 * 3600
# An unacknowledged task comes back later than any task can last, or two workers would take a long document from each
# other. That of a dead worker need not come back: `reconcile` finds its document after INGESTION_STALE_SECONDS.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 6 * 3600,
    "socket_timeout": 10,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
}
# Kilobytes after which a worker's process gives way to a new one, between two tasks. It takes some 150,000.
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2}
CELERY_BEAT_SCHEDULE = {
    # One that nobody took in time says no more than the next one.
    "send-canaries": {
        "task": "portal.send_canaries",
        "schedule": timedelta(seconds=QUEUE_CANARY_SECONDS),
        "options": {"expires": 30},
    },
    "refresh-statistics": {"task": "ingestion.refresh_statistics", "schedule": timedelta(minutes=1)},
    "reconcile": {"task": "ingestion.reconcile", "schedule": timedelta(seconds=INGESTION_RECONCILE_SECONDS)},
    "mend": {"task": "ingestion.mend", "schedule": timedelta(hours=1)},
    "verify-originals": {"task": "ingestion.verify_originals", "schedule": timedelta(minutes=5)},
    "clean-originals": {
        "task": "ingestion.clean_originals",
        "schedule": crontab(day_of_week="sunday", hour="3", minute="30"),
    },
    "resume-reembedding": {
        "task": "ingestion.resume_reembedding",
        "schedule": timedelta(seconds=INGESTION_RECONCILE_SECONDS),
    },
    # Mondays at seven in the morning, UTC: when people plan their week.
    "remind-of-reviews": {
        "task": "ingestion.remind_of_reviews",
        "schedule": crontab(day_of_week="monday", hour="7", minute="0"),
    },
    "clear-sessions": {"task": "accounts.clear_sessions", "schedule": timedelta(hours=1)},
    "seal-audit": {"task": "accounts.seal_audit", "schedule": timedelta(seconds=15)},
    "anchor-audit": {"task": "accounts.anchor_audit", "schedule": timedelta(minutes=5)},
    "purge-tokens": {"task": "accounts.purge_tokens", "schedule": timedelta(days=1)},
    "warm-cache": {"task": "search.warm_cache", "schedule": timedelta(minutes=5)},
    "read-vocabulary": {"task": "search.read_vocabulary", "schedule": timedelta(minutes=1)},
    "ask-golden-queries": {"task": "search.begin_golden_run", "schedule": crontab(hour="4", minute="15")},
    "count-popularity": {"task": "search.count_popularity", "schedule": timedelta(hours=1)},
    "sample-recall": {"task": "search.sample_recall", "schedule": timedelta(minutes=5)},
    # Most runs find nothing to do: a saved search is due once a day or week, from six in the morning.
    "tell-what-is-new": {"task": "search.tell_what_is_new", "schedule": timedelta(minutes=10)},
    "purge-history": {"task": "search.purge_history", "schedule": timedelta(days=1)},
    "purge-audit": {"task": "search.purge_audit", "schedule": timedelta(days=1)},
}

OLLAMA_URLS = env.list("OLLAMA_URLS", default=["http://127.0.0.1:11434"])
EMBEDDING_MODEL = env.str("EMBEDDING_MODEL", default="bge-m3")
EMBEDDING_DIMENSIONS = env.int("EMBEDDING_DIMENSIONS", default=1024)

# Languages whose stop words and word stems a query is read with, beside the plain words (ISO 639-1).
SEARCH_LANGUAGES = env.list("SEARCH_LANGUAGES", default=["en", "de", "fr", "es"])

# Where people who find nothing may ask: a mail address, or the address of a page.
LIBRARY_CONTACT = env.str("LIBRARY_CONTACT", default="")

# What small preferences add to a hit's score, such as "recency=0.01,popularity=0"; 0 switches one off.
try:
    SEARCH_BOOSTS = boosts_from(env.str("SEARCH_BOOSTS", default=""))
except ValueError as error:
    raise ImproperlyConfigured(str(error)) from error

# How far the golden queries' average nDCG@10 must fall below the best of the week before, for the alert.
GOLDEN_FALL = env.float("GOLDEN_FALL", default=0.05)
# The share of searches that are compared, afterwards and by a worker, with all that there was to find; 0 compares none.
RECALL_SAMPLE_SHARE = env.float("RECALL_SAMPLE_SHARE", default=0.01)

# What one file may cost before it is given up: EXTRACTION_SECONDS, EXTRACTION_MEMORY_MB and others.
try:
    EXTRACTION_LIMITS = limits_from(env.ENVIRON)
except ValueError as error:
    raise ImproperlyConfigured(str(error)) from error
