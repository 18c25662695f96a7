"""Secrets and hosts, and what answers a request."""

from portal.settings.environment import BASE_DIR, env, required

SECRET_KEY = required("SECRET_KEY")
# Earlier values, so that a new SECRET_KEY does not sign everybody out.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
JWT_SIGNING_KEY = required("JWT_SIGNING_KEY")
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
    "accounts",
    "ingestion",
    "search",
    "portal.apps.PortalConfig",
]

MIDDLEWARE = [
    "portal.middleware.RequestIdMiddleware",
    # Above everything that may answer by itself, so that every answer carries their headers.
    "portal.middleware.PrivacyMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "portal.middleware.TransportMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Above everything below that words something: else it would stand in the language of the request before.
    "portal.languages.LanguageMiddleware",
    "portal.middleware.ApiLimitMiddleware",
    # Below it a request may be asked twice: of the primary, and of a replica.
    "portal.replicas.ReplicaMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.sign_in.SessionLimitMiddleware",
    "accounts.renewal.RenewalMiddleware",
    "accounts.seeing.SeeAsMiddleware",
    "accounts.circumstances.CircumstancesMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "portal.middleware.BodyLimitMiddleware",
    "portal.middleware.ButtonOnlyMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.middleware.DatabaseAwayMiddleware",
    "axes.middleware.AxesMiddleware",
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
