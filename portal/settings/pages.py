"""What pages allow a browser, and the forms in which they show things."""

from portal.policies import UNUSED_FEATURES, content_security_policy, static_headers
from portal.settings.environment import BASE_DIR
from portal.settings.people import OIDC_ISSUER, OIDC_OP_AUTHORIZATION_ENDPOINT, OIDC_OP_LOGOUT_ENDPOINT
from portal.settings.web import INSECURE_COOKIES
from portal.unfold import UNFOLD  # noqa: F401  (a setting)

CONTENT_SECURITY_POLICY = content_security_policy(
    form_targets=(OIDC_ISSUER, OIDC_OP_AUTHORIZATION_ENDPOINT, OIDC_OP_LOGOUT_ENDPOINT), tls=not INSECURE_COOKIES
)
PERMISSIONS_POLICY = UNUSED_FEATURES
# Pages of other origins have no business with the static files either.
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_ADD_HEADERS_FUNCTION = static_headers

LANGUAGE_CODE = "en-gb"
# The readers' pages, by each language's own name. The desk and the API are in English (docs/decisions/0035).
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch"), ("fr", "Français"), ("es", "Español"), ("gd", "Gàidhlig")]
LOCALE_PATHS = [BASE_DIR / "portal" / "locale"]
# The language that somebody chose, for a year.
LANGUAGE_COOKIE_NAME = "language" if INSECURE_COOKIES else "__Host-language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SECURE = not INSECURE_COOKIES
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "Europe/London"
USE_I18N = True
# Dates and times in the one form that the pages use.
FORMAT_MODULE_PATH = "portal.formats"
USE_TZ = True
