"""The librarians' pages in the admin site."""

from ingestion.admin.documents import DocumentAdmin
from ingestion.admin.trail import DocumentTrailAdmin
from ingestion.admin.vocabulary import DocumentTypeAdmin, TagAdmin

__all__ = ["DocumentAdmin", "DocumentTrailAdmin", "DocumentTypeAdmin", "TagAdmin"]
