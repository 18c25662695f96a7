"""Every address of the portal (DESIGN, section 5)."""

from csp.constants import SELF
from csp.decorators import csp_replace
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts.api import MeView, TokenRefreshView, TokenRevokeView, TokenView
from accounts.seeing_pages import see_as_end_page, see_as_page, see_as_person_page
from portal import health
from portal.languages import choose_language
from portal.metrics import page as metrics

# Swagger UI loads its scripts by address, makes markup of strings, and has one inline style sheet of its own, which is
# let through by its hash. On that page alone; it shows nothing that a person wrote.
SWAGGER_POLICY = {
    "script-src": [SELF],
    "style-src": [SELF, "'sha256-MMpT0iDxyjALd9PdfepImGX3DBfJPXZ4IlDWdPAgtn0='"],
    "require-trusted-types-for": None,
    "trusted-types": None,
}

api = [
    path("token/", TokenView.as_view()),
    path("token/refresh/", TokenRefreshView.as_view()),
    path("token/blacklist/", TokenRevokeView.as_view()),
    path("me/", MeView.as_view()),
    path("", include("search.api_urls")),
    path("", include("ingestion.urls")),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path(
        "docs/",
        csp_replace(SWAGGER_POLICY)(SpectacularSwaggerSplitView.as_view(http_method_names=["get", "head"])),
        name="api-docs",
    ),
]

urlpatterns = [
    path("", include("search.urls")),
    path("mine/", include("search.mine.urls")),
    path("accounts/", include("accounts.urls")),
    path("language/", choose_language, name="choose-language"),
    path("see-as/", see_as_page, name="see-as"),
    path("see-as/person/", see_as_person_page, name="see-as-person"),
    path("see-as/end/", see_as_end_page, name="see-as-end"),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api)),
    path("health", health.health),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("metrics", metrics.metrics),
]

handler400 = "portal.problems.bad_request"
handler403 = "portal.problems.forbidden"
handler404 = "portal.problems.not_found"
handler500 = "portal.problems.server_error"
