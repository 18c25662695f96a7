"""Every address of the portal."""

from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
]

handler404 = "portal.problems.not_found"
handler500 = "portal.problems.server_error"
