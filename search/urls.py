"""The addresses of the search's pages."""

from django.urls import path

from search import pages, verdicts, viewing, why

urlpatterns = [
    path("", pages.search_page, name="home"),
    path("search/", pages.search_page, name="search"),
    path("search/suggest/", pages.suggest, name="suggest"),
    path("search/verdict/", verdicts.verdict, name="verdict"),
    path("search/why/", why.why, name="why"),
    path("documents/<uuid:pk>/", viewing.document_page, name="document"),
    path("documents/<uuid:pk>/file", viewing.document_file, name="document-file"),
    path("documents/<uuid:pk>/cite", viewing.document_cite, name="document-cite"),
]
