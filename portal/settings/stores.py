"""The database, the cache, and where files lie."""

from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry

from portal.settings.environment import BASE_DIR, env, required

# Connections that a process may open to each database, with a pool of its own; 0: none is kept, and PgBouncer stands
# between (deploy/pgbouncer).
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=8)
# Seconds after which the server ends a statement; 0: never. Web servers have it (deploy/gunicorn.conf.py), below the
# proxy's time-out; workers, which build indexes, do not.
DATABASE_STATEMENT_SECONDS = env.int("DATABASE_STATEMENT_SECONDS", default=0)
# How far a replica may be behind before it serves no searches, even where nothing that they answer has changed.
DATABASE_REPLICA_MAX_LAG_SECONDS = env.float("DATABASE_REPLICA_MAX_LAG_SECONDS", default=30.0)


def _database(url: str, *, wait_seconds: float) -> dict[str, Any]:
    """One server, and how its connections are made; a request waits for one as long as this."""
    config: dict[str, Any] = env.db_url_config(url)
    options: dict[str, Any] = {
        "connect_timeout": 3,
        # A server whose machine is gone is noticed, though it closes nothing.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        **config.get("OPTIONS", {}),
    }
    if DATABASE_POOL_SIZE:
        # One pool a process, shared by its threads: connections are opened at need and given back at once. An idle
        # process keeps none, since each costs PostgreSQL some 30 MB.
        options["pool"] = {
            "min_size": env.int("DATABASE_POOL_MIN_SIZE", default=0),
            "max_size": DATABASE_POOL_SIZE,
            "timeout": wait_seconds,
            "max_idle": 60,
            # Else the pool would try by itself, after pauses that grow with the time for which the server was away, and
            # nobody would get a connection when it is back.
            "reconnect_timeout": 1,
        }
        if DATABASE_STATEMENT_SECONDS:
            options["options"] = f"-c statement_timeout={DATABASE_STATEMENT_SECONDS}s"
    return {
        **config,
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": 0,
        # A connection that died with a restarted database is noticed before a request meets it.
        "CONN_HEALTH_CHECKS": bool(DATABASE_POOL_SIZE),
        # PgBouncer gives each transaction another connection; a cursor on the server would stay behind.
        "DISABLE_SERVER_SIDE_CURSORS": not DATABASE_POOL_SIZE,
        "OPTIONS": options,
    }


_replicas = env.list("DATABASE_REPLICA_URLS", default=[])
# Where there are replicas, who reads goes on there.
DATABASES = {"default": _database(required("DATABASE_URL"), wait_seconds=2 if _replicas else 5)}
# Which replica serves which share of the searches; 0 serves none, as while it is looked after.
REPLICA_WEIGHTS: dict[str, float] = {}
for _number, _url in enumerate(_replicas, start=1):
    _alias = f"replica_{_number}"
    # Where one is away another, or the primary, answers: nobody waits long for it.
    DATABASES[_alias] = _database(_url, wait_seconds=1)
    REPLICA_WEIGHTS[_alias] = float(DATABASES[_alias]["OPTIONS"].pop("weight", 1))

REDIS_URL = required("REDIS_URL")
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        # Keys of any length: above 250 bytes a digest stands for them.
        "KEY_FUNCTION": "search.caching.short_key",
        "OPTIONS": {
            # A cache that is away or slow must cost a search next to nothing (DESIGN, section 3).
            "SOCKET_CONNECT_TIMEOUT": 0.05,
            "SOCKET_TIMEOUT": 0.05,
            # A connection that died with a restarted server is replaced once, at once.
            "CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 1)},
            "IGNORE_EXCEPTIONS": True,
            # Not pickle: whoever could write to the cache would run code here.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
        },
    }
}
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True
# How long an answer is kept at most, for those who would be given the same; 0 keeps none.
SEARCH_CACHE_SECONDS = env.int("SEARCH_CACHE_SECONDS", default=900)
# Of how many of the most frequent queries answers are kept ready, and for how many kinds of people beside the public.
WARM_ANSWERS = env.int("WARM_ANSWERS", default=20)
WARM_VIEWERS = env.int("WARM_VIEWERS", default=5)

SESSION_ENGINE = "django.contrib.sessions.backends.db"

MEDIA_ROOT = env.str("MEDIA_ROOT", default=str(BASE_DIR / "var" / "media"))
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "var" / "static"))
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Originals are in a bucket where one is named, else in the folder. Either way they are served by a view that asks the
# access rule, never from an address of their own.
MEDIA_S3_BUCKET = env.str("MEDIA_S3_BUCKET", default="")
_folder = {"BACKEND": "ingestion.storage.FolderStorage", "OPTIONS": {"location": MEDIA_ROOT, "base_url": None}}
_bucket = {
    "BACKEND": "ingestion.storage_s3.BucketStorage",
    "OPTIONS": {
        "bucket_name": MEDIA_S3_BUCKET,
        # Empty: Amazon's own.
        "endpoint_url": env.str("MEDIA_S3_ENDPOINT", default="") or None,
        "region_name": env.str("MEDIA_S3_REGION", default="") or None,
        # Without them boto looks where it always does, as in the role of the machine.
        "access_key": env.str("MEDIA_S3_ACCESS_KEY", default="") or None,
        "secret_key": env.str("MEDIA_S3_SECRET_KEY", default="") or None,
        "default_acl": None,
        "querystring_auth": False,
        "file_overwrite": False,
        "signature_version": "s3v4",
    },
}
STORAGES = {
    "default": _bucket if MEDIA_S3_BUCKET else _folder,
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=200 * 1024 * 1024)
MAX_FILES_PER_UPLOAD = 100
MAX_BATCH_BYTES = env.int("MAX_BATCH_BYTES", default=2 * 1024**3)
# Above the form's own limit, so that the form can say what is wrong instead of a bare 400.
DATA_UPLOAD_MAX_NUMBER_FILES = 10 * MAX_FILES_PER_UPLOAD
# Originals are compared with their checksums a bit at a time: so many bytes every five minutes at most.
VERIFY_BYTES_AT_ONCE = env.int("VERIFY_BYTES_AT_ONCE", default=512 * 1024**2)
