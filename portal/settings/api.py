"""The API: who is asked what, tokens, limits, and its description."""

from datetime import timedelta

from portal.settings.environment import env
from portal.settings.web import JWT_SIGNING_KEY

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
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "portal.schema.with_problems"],
    # The page to try the API is served from here, like everything else.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    # The description is the same for everybody.
    "SERVE_AUTHENTICATION": [],
}
