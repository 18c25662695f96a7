"""Addresses below /mine/."""

from django.urls import path

from search.mine import data, pages, unsubscribing

urlpatterns = [
    path("", pages.news_page, name="mine"),
    path("seen/", pages.mark_news_seen, name="mine-seen"),
    path("searches/", pages.searches_page, name="mine-searches"),
    path("searches/new/", pages.new_search_page, name="mine-new-search"),
    path("searches/<uuid:pk>/", pages.search_page, name="mine-search"),
    path("searches/<uuid:pk>/remove/", pages.remove_search, name="mine-remove-search"),
    path("documents/", pages.documents_page, name="mine-documents"),
    path("documents/<uuid:pk>/", pages.keep_document, name="mine-keep-document"),
    path("history/", pages.history_page, name="mine-history"),
    path("history/forget/", pages.forget, name="mine-forget"),
    path("data/", data.data_page, name="mine-data"),
    path("data/export/", data.export_data, name="mine-export"),
    path("data/erase/", data.erase_data, name="mine-erase"),
    path("unsubscribe/<str:token>/", unsubscribing.unsubscribe_page, name="mine-unsubscribe"),
]
