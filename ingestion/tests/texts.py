"""Texts that become documents of known chunks, and what is found of them."""

from __future__ import annotations

from django.contrib.postgres.search import SearchQuery

from accounts.clearance import PUBLIC_VIEWER
from ingestion import pipeline
from ingestion.models import Chunk, Document

ENGLISH = "# Travel\n\nStaff claim their travel expenses within thirty days of returning, with receipts.\n"
GERMAN = (
    "# Prüfungen\n\nDie Anmeldung zu den Prüfungen erfolgt in den ersten sechs Wochen des Semesters. Wer eine Prüfung "
    "wiederholen muss, meldet sich innerhalb von vierzehn Tagen bei der Prüfungsverwaltung. Die Bibliotheken bleiben "
    "während der Prüfungszeit bis Mitternacht geöffnet.\n"
)


def long_text(sections: int, word: str = "matter") -> str:
    """A text that becomes about one chunk a section."""
    return "\n\n".join(
        f"# Section {number}\n\n" + f"This is {word} {number} of the policy, told at some length. " * 25
        for number in range(sections)
    )


def found(words: str, config: str = "english") -> set[str]:
    """The titles of the documents that everyone finds by these words."""
    query = SearchQuery(words, config=config, search_type="websearch")
    hits = Chunk.objects.visible_to(PUBLIC_VIEWER).filter(lexemes=query)
    return set(hits.values_list("document__title", flat=True))


def ingested(document: Document) -> Document:
    pipeline.ingest(document.pk)
    document.refresh_from_db()
    return document


def served(document: Document) -> list[tuple[int, str, str]]:
    chunks = Chunk.objects.visible_to(PUBLIC_VIEWER).filter(document=document).order_by("position")
    return list(chunks.values_list("position", "section_title", "text"))
