"""Every address of the portal (DESIGN, section 5)."""

from csp.decorators import csp_update
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from accounts.api import MeView, RefreshSerializer
from accounts.parsing import BoundedJSONParser
from portal import health, metrics

# Swagger UI's page has one inline style sheet of its own; it is let through by its hash, on that page alone.
SWAGGER_STYLE = "'sha256-MMpT0iDxyjALd9PdfepImGX3DBfJPXZ4IlDWdPAgtn0='"

api = [
    path("token/", TokenObtainPairView.as_view(parser_classes=[BoundedJSONParser])),
    path(
        "token/refresh/",
        TokenRefreshView.as_view(parser_classes=[BoundedJSONParser], serializer_class=RefreshSerializer),
    ),
    path("me/", MeView.as_view()),
    path("", include("search.api_urls")),
    path("", include("ingestion.urls")),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path(
        "docs/",
        csp_update({"style-src": [SWAGGER_STYLE]})(SpectacularSwaggerSplitView.as_view()),
        name="api-docs",
    ),
]

urlpatterns = [
    path("", include("search.urls")),
    path("accounts/login/", auth.LoginView.as_view(), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api)),
    path("health", health.health),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("metrics", metrics.metrics),
]

handler400 = "portal.problems.bad_request"
handler404 = "portal.problems.not_found"
handler500 = "portal.problems.server_error"
