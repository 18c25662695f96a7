"""The words of the corpus: those that are like a given one, and those that go on from a beginning.

Every word of every chunk is known here, so that a word of a restricted document can be offered to those who may read
it. What is offered stands in a chunk that the viewer may see, and is written as it is there; how frequent it is, is
counted over public chunks alone (docs/decisions/0026).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from accounts.clearance import Viewer
from ingestion.lexemes import normalised, words
from ingestion.models import Chunk
from ingestion.statistics import WORDS, last_chunk
from search import reach
from search.models import VocabularyReading
from search.operators import quoted

SHORTEST, LONGEST = 3, 40
"""Letters of a word that is kept. What has figures in it is an identifier, and is not corrected into another."""

ANEW_AFTER = timedelta(days=1)
"""How often all words are read, so that those which nothing holds any more go."""

COMMITTED_LATE = 5000
"""Chunks, before the last one that was read, that are read again: of two that are written at once the older may be
committed later."""

COMPLETIONS = 4
"""Words that are offered to go on from a beginning."""

TRIED = 8
"""Frequent words with that beginning of which these are taken: half of them are stems, which nobody writes."""

READ = 4
"""Passages that are read for how a word is written: some have only others of the same stem."""

ASKED_AT_ONCE = 8
"""Words that one statement looks for: the first is mostly enough."""

MOST_FREQUENT = 0.7
"""Rarity (idf) under which a word stands in about half of all passages, and says nothing."""

SIMILAR_ENOUGH = ((5, "0.19"), (LONGEST, "0.25"))
"""pg_trgm's similarity from which a word of up to so many letters is looked at: two neighbouring letters exchanged in
the middle of a word leave no more."""

_LOCK = 0x436C6F76
"""Key of the advisory lock that keeps two workers from reading at once ("Clov")."""

_WRITTEN_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


@dataclass(frozen=True)
class Known:
    """A word of the index, some text that the viewer may see and that holds it, and its rarity in public passages."""

    word: str
    text: str
    idf: float | None

    @property
    def spelling(self) -> str | None:
        """How the text writes it; None for what is only the stem of words there."""
        return next((one for one in _WRITTEN_WORD.findall(self.text) if normalised(one) == self.word), None)


def refresh() -> bool:
    """Read the words of new chunks, and once a day of all; whether there was something to read.

    Another worker's reading is left to finish.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return False
        reading, _ = VocabularyReading.objects.get_or_create(pk=1)
        last = last_chunk()
        whole = reading.whole_at is None or reading.whole_at < timezone.now() - ANEW_AFTER
        if last == reading.last_chunk and not whole:
            return False
        after = 0 if whole else reading.last_chunk - COMMITTED_LATE
        cursor.execute(_READ_ALL if whole else _READ_NEW, {"after": str(after), "least": SHORTEST, "most": LONGEST})
        reading.last_chunk = last
        if whole:
            reading.whole_at = timezone.now()
        reading.save()
    return True


_READ_NEW = f"INSERT INTO search_vocabularyword (word) {WORDS} ON CONFLICT DO NOTHING"  # nosec B608  # ingestion's own SQL
_READ_ALL = f"""
    WITH found AS MATERIALIZED ({WORDS}),
    gone AS (DELETE FROM search_vocabularyword AS known
             WHERE NOT EXISTS (SELECT FROM found WHERE found.word = known.word))
    INSERT INTO search_vocabularyword (word) SELECT word FROM found ON CONFLICT DO NOTHING
"""  # noqa: S608  # nosec B608  # ingestion's own SQL


def similar_words(word: str, *, slips: int) -> list[tuple[str, float | None]]:
    """Words of the corpus that may be so many letters away from this one, with their rarity.

    Whoever may see them: they are never to be shown as they are.
    """
    enough = next((share for letters, share in SIMILAR_ENOUGH if len(word) <= letters), SIMILAR_ENOUGH[-1][1])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pg_trgm.similarity_threshold', %s, true)", [enough])
        cursor.execute(
            "SELECT known.word, term.idf FROM search_vocabularyword AS known "
            "LEFT JOIN ingestion_term AS term ON term.word = known.word "
            "WHERE known.word %% %s AND char_length(known.word) BETWEEN %s AND %s",
            [word, len(word) - slips, len(word) + slips],
        )
        return list(cursor.fetchall())


def seen(candidates: Sequence[tuple[str, float | None]], viewer: Viewer, *, limit: int) -> list[Known]:
    """The first of these words that stand in chunks which the viewer may see, in the same order."""
    known: list[Known] = []
    for first in range(0, len(candidates), ASKED_AT_ONCE):
        if len(known) < limit:
            known += _seen_of(candidates[first : first + ASKED_AT_ONCE], viewer, limit - len(known))
    return known


def _seen_of(candidates: Sequence[tuple[str, float | None]], viewer: Viewer, limit: int) -> list[Known]:
    legs: list[str] = []
    params: list[Any] = []
    visible, of_viewer = reach.kept(
        "texts",
        viewer,
        None,
        lambda: (
            Chunk.objects.visible_to(viewer).order_by().values("document__title", "section_title", "text", "lexemes")
        ),
    )
    holding = (
        f"SELECT document__title, section_title, text FROM ({visible}) AS seen "  # noqa: S608  # nosec B608  # a queryset's own SQL
        "WHERE lexemes @@ to_tsquery('simple', %s) LIMIT %s"
    )
    for word, idf in candidates:
        text = "string_agg(concat_ws(' ', title, section, passage), ' ')"
        legs.append(f"(SELECT %s::text, {text}, %s::float8 FROM ({holding}) AS held (title, section, passage))")  # noqa: S608  # nosec B608  # a queryset's own SQL
        params += [word, idf, *of_viewer, quoted(word), READ]
    sql = f"SELECT * FROM ({' UNION ALL '.join(legs)}) AS found (word, text, idf) WHERE text IS NOT NULL LIMIT %s"  # noqa: S608  # nosec B608  # the legs above
    with transaction.atomic(), connection.cursor() as cursor:
        # The planner takes the words for more frequent, and visible chunks for fewer, than they are, and would read the
        # whole table for a rare one; even the commonest word's bitmap is made in some milliseconds.
        cursor.execute("SELECT set_config('enable_seqscan', 'off', true)")
        cursor.execute(sql, [*params, limit])
        found = [Known(*row) for row in cursor.fetchall()]
        cursor.execute("SELECT set_config('enable_seqscan', 'on', true)")
    return found


def completions(typed: str, *, viewer: Viewer) -> list[str]:
    """What was typed with its last word completed to frequent words that the viewer may read somewhere."""
    before, _, last = typed.rpartition(" ")
    asked = words(last)
    if len(asked) != 1 or not last.isalpha():
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT word, idf FROM ingestion_term WHERE word LIKE %s AND idf >= %s AND char_length(word) >= %s "
            "ORDER BY idf, word LIMIT %s",
            [
                asked[0].replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%") + "%",
                MOST_FREQUENT,
                SHORTEST,
                TRIED,
            ],
        )
        frequent = cursor.fetchall()
    written = [known.spelling.lower() for known in seen(frequent, viewer, limit=TRIED) if known.spelling]
    return [f"{before} {word}".strip() for word in written[:COMPLETIONS]]
