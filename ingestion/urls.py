"""Addresses of the documents' API."""

from django.urls import path

from ingestion import api

urlpatterns = [
    path("documents/", api.DocumentsView.as_view()),
    path("documents/<uuid:pk>/", api.DocumentView.as_view()),
    path("documents/<uuid:pk>/file/", api.FileView.as_view()),
    path("documents/<uuid:pk>/chunks/", api.ChunksView.as_view()),
    path("documents/<uuid:pk>/retry/", api.RetryView.as_view()),
]
