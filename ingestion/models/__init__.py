"""The corpus: documents, the chunks that they are cut into, and what is known about them."""

from ingestion.models.changes import BulkChange, ChangedDocument
from ingestion.models.chunks import Chunk
from ingestion.models.corpus import CorpusChange
from ingestion.models.documents import WORKING, Document, DocumentType, Status, Tag, original_path
from ingestion.models.intake import UploadBatch
from ingestion.models.requests import IdempotencyKey
from ingestion.models.spaces import LanguageCentre, SpaceState, Term, VectorSpace
from ingestion.models.versions import EarlierVersion
from ingestion.models.words import WordWeights

__all__ = [
    "WORKING",
    "BulkChange",
    "ChangedDocument",
    "Chunk",
    "CorpusChange",
    "Document",
    "DocumentType",
    "EarlierVersion",
    "IdempotencyKey",
    "LanguageCentre",
    "SpaceState",
    "Status",
    "Tag",
    "Term",
    "UploadBatch",
    "VectorSpace",
    "WordWeights",
    "original_path",
]
