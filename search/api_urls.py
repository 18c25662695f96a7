"""Addresses of the search API."""

from django.urls import path

from search import api, api_batch

urlpatterns = [
    path("search/", api.SearchView.as_view()),
    path("search/batch/", api_batch.BatchView.as_view()),
    path("suggest/", api.SuggestView.as_view()),
    path("feedback/", api.FeedbackView.as_view()),
    path("documents/<uuid:pk>/similar/", api.SimilarView.as_view()),
]
