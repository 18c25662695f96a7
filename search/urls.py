"""The addresses of the search's pages."""

from django.urls import path

from search import pages

urlpatterns = [
    path("", pages.search_page, name="home"),
    path("search/", pages.search_page, name="search"),
    path("search/suggest/", pages.suggest, name="suggest"),
    path("documents/<uuid:pk>/", pages.document_page, name="document"),
    path("documents/<uuid:pk>/file", pages.document_file, name="document-file"),
]
