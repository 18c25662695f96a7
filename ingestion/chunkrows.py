"""What a chunk's row holds beside its text: the words that find it, and what the model is shown of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import reduce
from operator import add
from types import MappingProxyType
from typing import Any

from django.contrib.postgres.search import CombinedSearchVector, SearchVector
from django.db.models import Value

from ingestion.chunking import ChunkDraft
from ingestion.lexemes import TEXT_SEARCH_CONFIGS, searchable
from ingestion.models import Chunk, Document


def chunk_row(
    document: Document, draft: ChunkDraft, known: Mapping[bytes, object] = MappingProxyType({}), *, staged: bool = False
) -> Chunk:
    """A chunk ready to be written, with the vector of the same text where there is one already."""
    section_title = draft.section_title[:300]
    content_hash = hashlib.sha256(embedded_text(document.title, section_title, draft.text).encode()).digest()
    return Chunk(
        document=document,
        position=draft.position,
        text=draft.text,
        page_number=draft.page_number,
        section_title=section_title,
        language=document.language,
        lexemes=_lexemes(document.title, draft, document.language),
        embedding=known.get(content_hash),
        content_hash=content_hash,
        staged=staged,
    )


def embedded_text(title: str, section_title: str, text: str) -> str:
    """What the model sees of a chunk: its title and section say what the passage alone may leave out."""
    return "\n".join(part for part in (title, section_title, text) if part)


def _lexemes(title: str, draft: ChunkDraft, language: str) -> CombinedSearchVector:
    """Title, section and text, weighted A, B and D; each stemmed in its language and, beside it, as plain words."""
    stemmed = TEXT_SEARCH_CONFIGS.get(language, "simple")
    parts: list[Any] = [
        SearchVector(Value(text if config != "simple" else searchable(text)), config=config, weight=weight)
        for text, weight in ((title, "A"), (draft.section_title, "B"), (draft.text, "D"))
        for config in dict.fromkeys((stemmed, "simple"))
    ]
    combined: CombinedSearchVector = reduce(add, parts)
    return combined
