"""Addresses of the documents' API."""

from django.urls import path, register_converter
from django.urls.converters import IntConverter

from ingestion import api


class NumberConverter(IntConverter):
    """A version's number: beyond nine digits is an error of the database's column."""

    regex = "[1-9][0-9]{0,8}"


register_converter(NumberConverter, "number")

urlpatterns = [
    path("documents/", api.DocumentsView.as_view()),
    path("documents/bulk/", api.BulkView.as_view()),
    path("documents/<uuid:pk>/", api.DocumentView.as_view()),
    path("documents/<uuid:pk>/file/", api.FileView.as_view()),
    path("documents/<uuid:pk>/chunks/", api.ChunksView.as_view()),
    path("documents/<uuid:pk>/retry/", api.RetryView.as_view()),
    path("documents/<uuid:pk>/restore/", api.RestoreView.as_view()),
    path("documents/<uuid:pk>/versions/", api.VersionsView.as_view()),
    path("documents/<uuid:pk>/versions/<number:number>/", api.VersionView.as_view()),
    path("documents/<uuid:pk>/versions/<number:number>/restore/", api.RestoreVersionView.as_view()),
]
