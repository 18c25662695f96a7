"""Settings of the portal. Everything that differs between installations comes from the environment.

`./cloister up` sets all of it for a local instance; `docs/operators.md` lists the names. A secret that is
not set stops the start: there are no built-in ones.
"""

from datetime import timedelta
from pathlib import Path

import environ
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured

from ingestion.extraction_settings import limits_from
from portal.policies import UNUSED_FEATURES, content_security_policy
from portal.unfold import UNFOLD  # noqa: F401  (a setting)

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def _required(name: str) -> str:
    """The value of an environment variable that has no safe default."""
    value: str = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(
            f"The environment variable {name} is not set. Set it, or start Cloister with ./cloister up, which does."
        )
    return value


# --- Secrets and hosts -------------------------------------------------------------------------------------------

SECRET_KEY = _required("SECRET_KEY")
# Earlier values, so that a new SECRET_KEY does not sign everybody out.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
JWT_SIGNING_KEY = _required("JWT_SIGNING_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
DEBUG = False

# The local instance speaks plain HTTP on the loopback interface; anywhere else cookies travel over TLS only.
INSECURE_COOKIES = env.bool("INSECURE_COOKIES", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not INSECURE_COOKIES
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
if not INSECURE_COOKIES:
    # Browsers take cookies of these names over TLS only, for this host only: no other host below the university's
    # domain can set or overwrite them.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 0 if INSECURE_COOKIES else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not INSECURE_COOKIES
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=not INSECURE_COOKIES)
# The probes of a balancer or of Kubernetes come by plain HTTP from inside; the API refuses it (TransportMiddleware).
SECURE_REDIRECT_EXEMPT = [r"^health", r"^metrics$", r"^api/"]
# How many proxies in front are ours; what anybody else claims in X-Forwarded-For is not believed.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", default=False) else None
X_FRAME_OPTIONS = "DENY"

# --- What runs ---------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "portal.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "axes",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "django_htmx",
    "django_prometheus",
    "accounts",
    "ingestion",
    "search",
    "portal.apps.PortalConfig",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "portal.middleware.RequestIdMiddleware",
    # Above everything that may answer by itself, so that every answer carries their headers.
    "portal.middleware.PrivacyMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "portal.middleware.TransportMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.middleware.ApiLimitMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.sign_in.SessionLimitMiddleware",
    "accounts.renewal.RenewalMiddleware",
    "accounts.seeing.SeeAsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "portal.middleware.BodyLimitMiddleware",
    "portal.middleware.ButtonOnlyMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.middleware.DatabaseAwayMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.portal",
            ],
        },
    }
]

# --- Stores ------------------------------------------------------------------------------------------------------

DATABASES = {
    "default": {
        **env.db_url_config(_required("DATABASE_URL")),
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": 0,
        # A connection that died with a restarted database is noticed before a request meets it.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            # One pool a process, shared by its threads: connections are opened at need and given back at once. An
            # idle process keeps none, since each costs PostgreSQL some 30 MB.
            "pool": {
                "min_size": env.int("DATABASE_POOL_MIN_SIZE", default=0),
                "max_size": env.int("DATABASE_POOL_SIZE", default=8),
                "timeout": 5,
                "max_idle": 60,
            },
            "connect_timeout": 3,
        },
    }
}

REDIS_URL = _required("REDIS_URL")
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            # A cache that is away or slow must cost a search next to nothing (DESIGN, section 3).
            "SOCKET_CONNECT_TIMEOUT": 0.05,
            "SOCKET_TIMEOUT": 0.05,
            "IGNORE_EXCEPTIONS": True,
            # Not pickle: whoever could write to the cache would run code here.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
        },
    }
}
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True

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

# --- Queue -------------------------------------------------------------------------------------------------------

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
    "purge-tokens": {"task": "accounts.purge_tokens", "schedule": timedelta(days=1)},
    "purge-audit": {"task": "search.purge_audit", "schedule": timedelta(days=1)},
}

# --- Embedding ---------------------------------------------------------------------------------------------------

OLLAMA_URLS = env.list("OLLAMA_URLS", default=["http://127.0.0.1:11434"])
EMBEDDING_MODEL = env.str("EMBEDDING_MODEL", default="bge-m3")
EMBEDDING_DIMENSIONS = env.int("EMBEDDING_DIMENSIONS", default=1024)

# Languages whose stop words and word stems a query is read with, beside the plain words (ISO 639-1).
SEARCH_LANGUAGES = env.list("SEARCH_LANGUAGES", default=["en", "de", "fr", "es"])

# --- Reading files ------------------------------------------------------------------------------------------------

# What one file may cost before it is given up: EXTRACTION_SECONDS, EXTRACTION_MEMORY_MB and others.
try:
    EXTRACTION_LIMITS = limits_from(env.ENVIRON)
except ValueError as error:
    raise ImproperlyConfigured(str(error)) from error

# --- People ------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
AUTHENTICATION_BACKENDS = [
    # Stands before all others: whoever failed too often is not even tried.
    "accounts.lockout.LockoutBackend",
    "accounts.sign_in.PasswordBackend",
]
AXES_HANDLER = "accounts.lockout.Attempts"
AXES_FAILURE_LIMIT = env.int("SIGN_IN_ATTEMPTS", default=5)
# An address that tries many names; well above what a busy reading room mistypes.
SIGN_IN_ATTEMPTS_PER_ADDRESS = env.int("SIGN_IN_ATTEMPTS_PER_ADDRESS", default=300)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("SIGN_IN_LOCK_MINUTES", default=15))
# A name from one address: a stranger cannot lock out somebody who signs in from elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "accounts.lockout.counted_address"
AXES_USERNAME_CALLABLE = "accounts.lockout.counted_name"
AXES_LOCKOUT_CALLABLE = "accounts.lockout.locked_page"
# Trying on while locked makes it no longer, so that the time that is told is true.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
# What succeeded is in our own trail of acts, and accounts.sign_in forgets the failures before it.
AXES_DISABLE_ACCESS_LOG = True
AXES_RESET_ON_SUCCESS = False
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Whatever the browser does with its cookie, a session ends after this time, and when it was not used for so long.
SESSION_COOKIE_AGE = env.int("SESSION_COOKIE_AGE", default=12 * 3600)
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_SECONDS", default=4 * 3600)
# Sensitive pages of the admin site ask again after this time.
REAUTHENTICATION_SECONDS = env.int("REAUTHENTICATION_SECONDS", default=15 * 60)

# Single sign-on: on where OIDC_ISSUER is set. Addresses that are not given are asked of the provider (discovery).
OIDC_ISSUER = env.str("OIDC_ISSUER", default="")
OIDC_OP_AUTHORIZATION_ENDPOINT = env.str("OIDC_OP_AUTHORIZATION_ENDPOINT", default="")
OIDC_OP_TOKEN_ENDPOINT = env.str("OIDC_OP_TOKEN_ENDPOINT", default="")
OIDC_OP_USER_ENDPOINT = env.str("OIDC_OP_USER_ENDPOINT", default="")
OIDC_OP_JWKS_ENDPOINT = env.str("OIDC_OP_JWKS_ENDPOINT", default="")
OIDC_OP_LOGOUT_ENDPOINT = env.str("OIDC_OP_LOGOUT_ENDPOINT", default="")
OIDC_RP_CLIENT_ID = _required("OIDC_RP_CLIENT_ID") if OIDC_ISSUER else ""
OIDC_RP_CLIENT_SECRET = _required("OIDC_RP_CLIENT_SECRET") if OIDC_ISSUER else ""
OIDC_RP_SCOPES = env.str("OIDC_RP_SCOPES", default="openid profile email")
# The one algorithm that is taken, whatever a token's header says; never one whose key the portal knows too.
OIDC_RP_SIGN_ALGO = env.str("OIDC_RP_SIGN_ALGO", default="RS256")
if OIDC_RP_SIGN_ALGO not in {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"}:
    raise ImproperlyConfigured(f"OIDC_RP_SIGN_ALGO is {OIDC_RP_SIGN_ALGO}. Set RS256, or another of RS… and ES….")
OIDC_USE_PKCE, OIDC_PKCE_CODE_CHALLENGE_METHOD = True, "S256"
OIDC_TOKEN_USE_BASIC_AUTH = env.bool("OIDC_TOKEN_USE_BASIC_AUTH", default=False)
OIDC_AUTHENTICATION_CALLBACK_URL = "single-sign-on-callback"
OIDC_TIMEOUT = 5
# The token is the hint by which the provider knows whom to sign out; it is kept in the session, in the database.
OIDC_STORE_ID_TOKEN = True
OIDC_USERNAME_CLAIM = env.str("OIDC_USERNAME_CLAIM", default="preferred_username")
# After so long the claims are read again, without a question to the person.
OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = env.int("OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS", default=15 * 60)
if OIDC_ISSUER:
    AUTHENTICATION_BACKENDS.append("accounts.oidc.SingleSignOnBackend")

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "search"
LOGOUT_REDIRECT_URL = "search"
PUBLIC_SEARCH = env.bool("PUBLIC_SEARCH", default=True)
AUDIT_RETENTION_DAYS = env.int("AUDIT_RETENTION_DAYS", default=365)

# The demo's sign-ins are shown on the sign-in page only where both are set, which `./cloister up` does.
DEMO_MODE = env.bool("CLOISTER_DEMO", default=False)
DEMO_PASSWORD = env.str("DEMO_PASSWORD", default="")

# --- API ---------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.tokens.TokenAuthentication",
        "accounts.api_keys.ApiKeyAuthentication",
        "accounts.permissions.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.SignedIn"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.throttling.RoleThrottle"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "portal.problems.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(hours=8),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "SIGNING_KEY": JWT_SIGNING_KEY,
    # The one algorithm that is taken, whatever a token's header says.
    "ALGORITHM": "HS256",
    "ISSUER": "cloister",
    # A changed password ends every token of it.
    "CHECK_REVOKE_TOKEN": True,  # nosec B105  # no password, a switch
    "UPDATE_LAST_LOGIN": True,
}
# Factor on the requests a minute that each role may make; 0 counts nothing (for load tests only).
THROTTLE_FACTOR = env.float("THROTTLE_FACTOR", default=1.0)
# What one address may ask in a minute, whoever asks. A whole campus may sit behind it.
ADDRESS_REQUESTS_A_MINUTE = env.int("ADDRESS_REQUESTS_A_MINUTE", default=6000)
# How many processes share a limit while each has to count by itself; the web server starts as many.
WEB_PROCESSES = env.int("WEB_CONCURRENCY", default=2)
SPECTACULAR_SETTINGS = {
    "TITLE": "Cloister",
    "DESCRIPTION": "Search the institution's documents, as far as the person who asks may see them.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    # The page to try the API is served from here, like everything else.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    # The description is the same for everybody.
    "SERVE_AUTHENTICATION": [],
}

# --- Pages -------------------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = content_security_policy(
    form_targets=(OIDC_ISSUER, OIDC_OP_AUTHORIZATION_ENDPOINT, OIDC_OP_LOGOUT_ENDPOINT), tls=not INSECURE_COOKIES
)
PERMISSIONS_POLICY = UNUSED_FEATURES
# Pages of other origins have no business with the static files either.
WHITENOISE_ALLOW_ALL_ORIGINS = False

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "Europe/London"
USE_I18N = True
# Dates and times in the one form that the pages use.
FORMAT_MODULE_PATH = "portal.formats"
USE_TZ = True

# --- Mail --------------------------------------------------------------------------------------------------------

# Where mail goes out, as smtp://host:25 or smtp+tls://user:password@host:587; without it none is sent.
EMAIL_URL = env.str("EMAIL_URL", default="")
SENDS_MAIL = bool(EMAIL_URL)
_mail = env.email_url_config(EMAIL_URL or "dummymail://")
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_BACKEND"], _mail["EMAIL_HOST"], _mail["EMAIL_PORT"] or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"] or "", _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = _required("EMAIL_FROM") if SENDS_MAIL else "cloister@localhost"
# What links in mail begin with, such as https://search.example.ac.uk/: no request tells it there.
PUBLIC_URL = _required("PUBLIC_URL") if SENDS_MAIL else ""

# --- Operators ---------------------------------------------------------------------------------------------------

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
