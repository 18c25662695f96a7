"""The librarians' pages about the search in the admin site."""

from search.admin.golden import GoldenQueryAdmin

__all__ = ["GoldenQueryAdmin"]
