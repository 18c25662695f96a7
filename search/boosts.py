"""The small preferences that order equal hits, and how much each adds at most. Pure; no Django."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

MOST = 0.2
"""The most that one may be set to: half of what the best match of the words adds (ranking.LEXICAL_WEIGHT)."""


@dataclass(frozen=True)
class Boosts:
    """What each adds at most, as a share of the headroom that similarities have (ranking.Candidate); 0 switches it off.

    All together stay below half of what a match of the words adds, so that they decide between passages that answer
    about as well, and never lift one that does not answer. Campus and department are the greatest: they are facts about
    the reader. The others say how a document is looked after, or what others thought of it.
    """

    campus: float = 0.04
    department: float = 0.04
    priority: float = 0.015
    recency: float = 0.015
    popularity: float = 0.015
    language: float = 0.015


def boosts_from(text: str) -> Boosts:
    """Boosts as an operator sets them: "recency=0.01,popularity=0"; those that are not named stay as they are.

    Raises ValueError with a sentence that says what is wrong.
    """
    known = asdict(Boosts())
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        if name.strip() not in known:
            raise ValueError(f"SEARCH_BOOSTS: there is no boost {name.strip()!r}; there are {', '.join(known)}.")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 <= number <= MOST:
            raise ValueError(f"SEARCH_BOOSTS: {name.strip()} must be a number from 0 to {MOST}, not {value!r}.")
        known[name.strip()] = number
    return Boosts(**known)
