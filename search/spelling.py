"""Did you mean: what was probably to be typed, in words that the viewer may read somewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from accounts.clearance import Viewer
from ingestion.lexemes import normalised, words
from search import metrics
from search.operators import marked_spans
from search.vocabulary import seen, similar_words
from search.words import QueryWords, Word

SHORTEST = 4
"""Letters of a word that is corrected: any three are one letter away from half a dozen words."""

MOST_CORRECTED = 3
"""Words of a query that are looked up. Who mistypes more of them means something that is not here."""

SEEN_AT_MOST = 4
"""Of the nearest words: the first may be stems, which are not written anywhere."""

UNKNOWN_IDF = 30.0
"""Where words stand that no two public passages hold, when the more frequent ones come first."""

_WORD = re.compile(r"(?<!\S)[(¿¡]*([^\W\d_]+(?:['’][^\W\d_]+)?)(?=[).,;:!?]*(?:\s|$))")
"""A word that stands alone: no part of an identifier, an address or anything else with marks in it."""


def did_you_mean(text: str, known: QueryWords, *, viewer: Viewer) -> str | None:
    """The query with its mistyped words corrected; None where nothing is mistyped, or nothing like it can be seen.

    `known` are its words as the index has them: where all of them are in public passages, nothing is asked. A word is
    mistyped if no passage that the viewer may see holds it. Identifiers, and what stands in quotation marks
    or is excluded, are what was meant.
    """
    started = time.perf_counter()
    corrected = _corrected(text, known, viewer)
    metrics.DURATION.labels("did_you_mean").observe(time.perf_counter() - started)
    return corrected


def _corrected(text: str, known: QueryWords, viewer: Viewer) -> str | None:
    unknown = {form for word in known.words if _is_rare(word) for form in word.forms}
    doubtful = [found for found in _words_of(text) if unknown.intersection(words(found[1]))]
    if not doubtful:
        return None
    held = {one.word for one in seen([(words(word)[0], None) for _, word in doubtful], viewer, limit=len(doubtful))}
    mistyped = [found for found in doubtful if words(found[1])[0] not in held]
    result = text
    # From the end, so that the places of those before stay right.
    for place, word in reversed(mistyped[:MOST_CORRECTED]):
        if better := _nearest(word, viewer):
            result = result[:place] + _in_the_case_of(word, better) + result[place + len(word) :]
    return result if result != text else None


def _is_rare(word: Word) -> bool:
    """What two public passages hold, everybody can see."""
    return not word.known and not word.added


def _words_of(text: str) -> Iterator[tuple[int, str]]:
    """The words that may be mistyped, and where each begins."""
    meant = marked_spans(text)
    for found in _WORD.finditer(text):
        word = found[1]
        if len(word) >= SHORTEST and len(words(word)) == 1 and not any(a <= found.start(1) < b for a, b in meant):
            yield found.start(1), word


def _nearest(word: str, viewer: Viewer) -> str | None:
    """The visible word with the fewest slips to this one; of several one that begins alike, then the commonest."""
    folded = normalised(word)
    most = slips_allowed(folded)
    candidates = [
        (slips(folded, one), one[0] != folded[0], UNKNOWN_IDF if idf is None else idf, one, idf)
        for one, idf in similar_words(folded, slips=most)
        if one != folded
    ]
    near = sorted(candidate for candidate in candidates if candidate[0] <= most)
    for found in seen([(one, idf) for *_, one, idf in near], viewer, limit=SEEN_AT_MOST):
        if found.spelling:
            return found.spelling
    return None


def slips_allowed(word: str) -> int:
    """How many letters may be wrong in a word of this length: 1 up to five letters, 2 up to ten, else 3."""
    return 1 if len(word) <= 5 else 2 if len(word) <= 10 else 3


def slips(typed: str, meant: str) -> int:
    """How many letters were left out, added, mistaken or exchanged with their neighbour: Levenshtein and exchanges."""
    before_last: list[int] = []
    last = list(range(len(meant) + 1))
    for row, letter in enumerate(typed, 1):
        current = [row]
        for column, other in enumerate(meant, 1):
            fewest = min(last[column] + 1, current[-1] + 1, last[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == meant[column - 2] and typed[row - 2] == other:
                fewest = min(fewest, before_last[column - 2] + 1)
            current.append(fewest)
        before_last, last = last, current
    return last[-1]


def _in_the_case_of(typed: str, word: str) -> str:
    if typed.isupper():
        return word.upper()
    return word[:1].upper() + word[1:].lower() if typed[:1].isupper() else word.lower()
