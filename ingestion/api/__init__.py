"""Documents by machine: list, upload, look at, change, archive, restore, retry, download, replace."""

from ingestion.api.contents import ChunksView, FileView, RestoreVersionView, VersionsView, VersionView
from ingestion.api.documents import DocumentView, RestoreView, RetryView
from ingestion.api.shapes import DocumentSerializer
from ingestion.api.uploads import BulkView, DocumentsView

__all__ = [
    "BulkView",
    "ChunksView",
    "DocumentSerializer",
    "DocumentView",
    "DocumentsView",
    "FileView",
    "RestoreVersionView",
    "RestoreView",
    "RetryView",
    "VersionView",
    "VersionsView",
]
