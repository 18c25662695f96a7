"""Synonyms: which words of a query librarians gave others of the same meaning, and what those add to the search.

They are further forms of a word. A passage that holds one covers the word, as if it held it, and is worth a little less
than one that holds what was typed. What stands in quotation marks, or with a sign, is looked for as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ingestion.lexemes import phrase
from search.operators import marked_spans

if TYPE_CHECKING:
    from search.words import QueryWords, Word

WORTH = 0.8
"""What a synonym counts of what the typed word would (docs/decisions/0028-curation.md)."""

MOST_SYNONYMS = 8
"""Synonyms that one query is given; those of its first words come first."""


@dataclass(frozen=True)
class Group:
    """Terms of the same meaning, as the index has them: of each the words, each with its forms."""

    terms: tuple[str, ...]
    forms: tuple[tuple[frozenset[str], ...], ...]
    one_way: bool = False
    language: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Group:
        """The group of this row of the table, as JSON."""
        forms = tuple(tuple(frozenset(word) for word in term) for term in row["forms"])
        return cls(tuple(row["terms"]), forms, row["one_way"], row["language"])

    @property
    def asked(self) -> range:
        """The places of the terms that are given others when they are asked for."""
        return range(1 if self.one_way else len(self.terms))


@dataclass(frozen=True)
class Alternative:
    """A term that means the same as these words of the query, which stand one after the other."""

    text: str
    language: str
    typed: tuple[Word, ...]


@dataclass(frozen=True)
class Synonym:
    """An alternative as the index knows it. `match` is a tsquery; `covering` are dimensions that tell that a passage
    holds it: those of its rarest word that was not typed."""

    text: str
    match: str
    share: float
    weights: Mapping[int, float]
    covering: tuple[int, ...]


def alternatives(text: str, words: QueryWords, groups: Iterable[Group]) -> list[Alternative]:
    """What else may be looked for than this query says; the longest terms go first, and no word is of two of them."""
    typed = _sequence(text, words)
    found = [
        (at, group, place)
        for group in groups
        for place in group.asked
        for at in range(len(typed) - len(group.forms[place]) + 1)
        if group.forms[place] and _stands(group.forms[place], typed[at:])
    ]
    found.sort(key=lambda one: (-len(one[1].forms[one[2]]), one[0], one[1].terms))
    taken: dict[int, tuple[int, int]] = {}
    chosen: dict[tuple[int, str], Alternative] = {}
    for at, group, place in found:
        span = (at, at + len(group.forms[place]))
        if any(taken.get(position, span) != span for position in range(*span)):
            continue
        taken.update(dict.fromkeys(range(*span), span))
        replaced = tuple(word for word in typed[slice(*span)] if word is not None)
        for number, term in enumerate(group.terms):
            if number != place:
                chosen.setdefault((at, " ".join(phrase(term))), Alternative(term, group.language, replaced))
    return [chosen[key] for key in sorted(chosen, key=lambda key: key[0])][:MOST_SYNONYMS]


def _sequence(text: str, words: QueryWords) -> list[Word | None]:
    """The words of a query in their order; a gap stands for what is no word of it, or was marked."""
    known = {word.plain: word for word in words.words}
    sequence: list[Word | None] = []
    at = 0
    for start, end in [*marked_spans(text), (len(text), len(text))]:
        sequence += [known.get(word) for word in phrase(text[at:start])]
        sequence.append(None)
        at = end
    return sequence


def _stands(term: Sequence[frozenset[str]], typed: Sequence[Word | None]) -> bool:
    return all(word is not None and not forms.isdisjoint(word.forms) for forms, word in zip(term, typed, strict=False))


def synonym(one: Alternative, known: QueryWords) -> Synonym:
    """An alternative whose words are known, as something to look for.

    All of it counts no more than what was typed: a rare synonym of a common word says no more than that.
    """
    typed = {word.plain for word in one.typed}
    new = [word for word in known.telling if word.plain not in typed] or list(known.telling)
    own = sum(word.idf for word in known.telling)
    asked = sum(word.idf for word in one.typed)
    worth = WORTH * min(1.0, asked / own if own else 1.0)
    return Synonym(
        text=one.text,
        match=_match(one.text, known),
        share=min((word.share for word in known.telling), default=0.0),
        weights={
            dimension: worth * weight for word in known.telling for dimension, weight in word.weights.items()
        },
        covering=max(new, key=lambda word: word.idf).dimensions,
    )  # fmt: skip


def _match(text: str, known: QueryWords) -> str:
    """A tsquery of the words of a term, one after the other, each in any of its forms."""
    by_plain = {word.plain: word for word in known.words}
    return " <-> ".join(f"({by_plain[word].match})" for word in phrase(text) if word in by_plain)


def with_synonyms(words: QueryWords, found: Iterable[tuple[Alternative, QueryWords]]) -> QueryWords:
    """The words of a query with what else is looked for in their place."""
    also: dict[str, list[Synonym]] = {}
    for one, known in found:
        if not known.telling:
            continue
        made = synonym(one, known)
        for word in one.typed:
            also.setdefault(word.plain, []).append(made)
    return replace(words, words=tuple(replace(word, also=tuple(also.get(word.plain, ()))) for word in words.words))
