"""The librarians' pages about the search in the admin site."""

from search.admin.bets import BestBetAdmin
from search.admin.golden import GoldenQueryAdmin
from search.admin.synonyms import SynonymGroupAdmin
from search.admin.trail import SearchEventAdmin

__all__ = ["BestBetAdmin", "GoldenQueryAdmin", "SearchEventAdmin", "SynonymGroupAdmin"]
