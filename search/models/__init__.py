"""What is kept of searches: the audit trail, what people say of their hits, and how good they were found to be."""

from search.models.curation import BestBet, SynonymGroup
from search.models.event import Feedback, SearchEvent, Verdict
from search.models.golden import GoldenQuery, GoldenResult, GoldenRun
from search.models.heading import Heading
from search.models.popularity import Popularity
from search.models.recallsample import RecallSample
from search.models.saved import Alert, FoundDocument, RememberedSearch, Rhythm, SavedDocument, SavedSearch
from search.models.vocabulary import VocabularyReading, VocabularyWord

__all__ = [
    "Alert",
    "BestBet",
    "Feedback",
    "FoundDocument",
    "GoldenQuery",
    "GoldenResult",
    "GoldenRun",
    "Heading",
    "Popularity",
    "RecallSample",
    "RememberedSearch",
    "Rhythm",
    "SavedDocument",
    "SavedSearch",
    "SearchEvent",
    "SynonymGroup",
    "Verdict",
    "VocabularyReading",
    "VocabularyWord",
]
