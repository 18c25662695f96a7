"""What a chunk's row holds beside its text: the words that find it, and what the model is shown of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.contrib.postgres.search import SearchVectorField
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression
from django.db.models.sql.compiler import SQLCompiler

from ingestion.chunking import SECTION_SEPARATOR, ChunkDraft, beginning, chunk_pages
from ingestion.extraction_types import Page
from ingestion.lexemes import TEXT_SEARCH_CONFIGS, searchable
from ingestion.models import Chunk, Document
from ingestion.tokens import HEADING_TOKENS, token_counter


def drafts_of(pages: Sequence[Page]) -> list[ChunkDraft]:
    """The chunks of a document, measured in the tokens of the configured model."""
    return chunk_pages(pages, count_tokens=token_counter(settings.EMBEDDING_MODEL))


def chunk_row(
    document: Document,
    draft: ChunkDraft,
    known: Mapping[bytes, Mapping[str, Any]] = MappingProxyType({}),
    *,
    staged: bool = False,
) -> Chunk:
    """A chunk ready to be written, with the vectors of the same text where they are known (`filling.known_to`)."""
    content_hash = hash_of(passage_of(document.title, draft))
    return Chunk(
        document=document,
        position=draft.position,
        text=draft.text,
        page_number=draft.page_number,
        section_title=_section_title(draft),
        language=document.language,
        overlap=draft.overlap_characters,
        offset=draft.offset,
        place=draft.place,
        lexemes=_lexemes(document.title, draft, document.language),
        content_hash=content_hash,
        staged=staged,
        **known.get(content_hash, {}),
    )


def passage_of(title: str, draft: ChunkDraft) -> str:
    """What the model sees of a chunk that is still a draft, in a document of this title."""
    return embedded_text(title, _section_title(draft), draft.text)


def hash_of(passage: str) -> bytes:
    """What tells two passages apart (Chunk.content_hash)."""
    return hashlib.sha256(passage.encode()).digest()


def _section_title(draft: ChunkDraft) -> str:
    return draft.section_title[:300]


def embedded_text(title: str, section_title: str, text: str) -> str:
    """What the model sees of a chunk: its title and section say what the passage alone may leave out.

    These are cut to HEADING_TOKENS, so that with a chunk of `drafts_of` the whole is never longer than the model reads:
    of the section the nearest headings stay, of the title its beginning.
    """
    return "\n".join(part for part in (*_cut_to_fit(title, section_title), text) if part)


def _cut_to_fit(title: str, section_title: str) -> tuple[str, str]:
    count = token_counter(settings.EMBEDDING_MODEL)
    title_tokens = count(title)
    if title_tokens + count(section_title) <= HEADING_TOKENS:
        return title, section_title
    room = HEADING_TOKENS - min(title_tokens, HEADING_TOKENS // 2)
    while count(section_title) > room and SECTION_SEPARATOR in section_title:
        section_title = section_title.partition(SECTION_SEPARATOR)[2]
    section_title = beginning(section_title, room, count)
    return beginning(title, HEADING_TOKENS - count(section_title), count), section_title


def _lexemes(title: str, draft: ChunkDraft, language: str) -> Lexemes:
    """Title, section and text, weighted A, B and D; each stemmed in its language and, beside it, as plain words."""
    stemmed = TEXT_SEARCH_CONFIGS.get(language, "simple")
    return Lexemes(
        (config, text if config != "simple" else searchable(text), weight)
        for text, weight in ((title, "A"), (draft.section_title, "B"), (draft.text, "D"))
        for config in dict.fromkeys((stemmed, "simple"))
    )


class Lexemes(Expression):
    """The words of several texts together, each as (configuration, text, weight).

    Does what `SearchVector` and `+` do, in one expression: a thousand chunks are written with five thousand of these,
    and resolving theirs took Django longer than PostgreSQL took to write the rows.
    """

    output_field = SearchVectorField()

    def __init__(self, texts: Iterable[tuple[str, str, str]]) -> None:
        super().__init__()
        self._texts = tuple(texts)

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str | int, ...]]:
        """What Django puts into the statement."""
        sql = " || ".join(["setweight(to_tsvector(%s::regconfig, %s), %s)"] * len(self._texts))
        return f"({sql})", tuple(part for text in self._texts for part in text)
