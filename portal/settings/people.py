"""Who signs in, how, and for how long."""

from datetime import timedelta

from django.core.exceptions import ImproperlyConfigured

from portal.settings.environment import BASE_DIR, env, required

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
OIDC_RP_CLIENT_ID = required("OIDC_RP_CLIENT_ID") if OIDC_ISSUER else ""
OIDC_RP_CLIENT_SECRET = required("OIDC_RP_CLIENT_SECRET") if OIDC_ISSUER else ""
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
# How long the trail is kept: of searches, and of what people did (six years, as long as a claim may be brought).
AUDIT_RETENTION_DAYS = env.int("AUDIT_RETENTION_DAYS", default=365)
AUDIT_ACTS_RETENTION_DAYS = env.int("AUDIT_ACTS_RETENTION_DAYS", default=6 * 365 + 2)
# Where events of the trail wait that the database cannot take: a folder that outlives the process.
AUDIT_SPOOL = env.str("AUDIT_SPOOL", default=str(BASE_DIR / "var" / "audit"))
# A file to which the signed ends of the trail's chains are appended; on another machine, or copied to one.
AUDIT_ANCHOR = env.str("AUDIT_ANCHOR", default="")

# The demo's sign-ins are shown on the sign-in page only where both are set, which `./cloister up` does.
DEMO_MODE = env.bool("CLOISTER_DEMO", default=False)
DEMO_PASSWORD = env.str("DEMO_PASSWORD", default="")
