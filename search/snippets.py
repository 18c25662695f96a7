"""The piece of a passage that answers, its words marked. Pure; no Django models."""

from __future__ import annotations

import re
from html import escape

from ingestion.lexemes import searchable

SNIPPET_LENGTH = 300
"""Characters; about two lines on a wide screen, four on a phone."""

_WORD = re.compile(r"\w+(?:[-'’]\w+)*")
_WITHOUT_SPACES = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_MARKUP = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|[*+-][ \t]+|>[ \t]?)|\*\*|__|`", re.MULTILINE)
_RULE = re.compile(r"^[ \t|:-]+$", re.MULTILINE)


def snippet(text: str, query: str) -> str:
    """HTML of the stretch of the text where most of the query's words stand, escaped first, then marked.

    At most SNIPPET_LENGTH characters of text, cut at words, with an ellipsis where something is left out.
    """
    text = " ".join(_RULE.sub(" ", _MARKUP.sub("", text)).replace("|", " ").split())
    found = _matches(text, query)
    start, end = _window(text, found)
    pieces, at = [], start
    for left, right in found:
        if left < start or right > end:
            continue
        pieces += [escape(text[at:left]), "<mark>", escape(text[left:right]), "</mark>"]
        at = right
    pieces.append(escape(text[at:end]))
    return ("… " if start else "") + "".join(pieces) + (" …" if end < len(text) else "")


def _matches(text: str, query: str) -> list[tuple[int, int]]:
    """Where words of the query stand in the text, in order, none overlapping."""
    wanted = {_folded(word.group()) for word in _WORD.finditer(query)} - {""}
    wanted = {word for word in wanted if len(word) > 2 or not word.isascii()} or wanted
    spans = []
    for word in _WORD.finditer(text):
        if _WITHOUT_SPACES.search(word.group()):
            spans += _inside(word, wanted)
        elif any(_same_stem(_folded(word.group()), one) for one in wanted):
            spans.append(word.span())
    return spans


def _inside(word: re.Match[str], wanted: set[str]) -> list[tuple[int, int]]:
    """Pairs of characters that a run without spaces shares with the query, joined where they touch."""
    pairs = {one[i : i + 2] for one in wanted for i in range(len(one) - 1) if _WITHOUT_SPACES.search(one)}
    spans: list[tuple[int, int]] = []
    run, base = word.group(), word.start()
    for i in range(len(run) - 1):
        if run[i : i + 2] not in pairs:
            continue
        if spans and spans[-1][1] >= base + i:
            spans[-1] = (spans[-1][0], base + i + 2)
        else:
            spans.append((base + i, base + i + 2))
    return spans


def _folded(word: str) -> str:
    """The word as the index sees it, bigrams joined again."""
    return word.casefold() if _WITHOUT_SPACES.search(word) else searchable(word).replace(" ", "")


def _same_stem(word: str, other: str) -> bool:
    """Whether two words are alike up to a short ending: close to what stemming does, in any language."""
    if word == other:
        return True
    shorter, longer = sorted((word, other), key=len)
    stem = max(4, len(longer) - 3)
    return len(shorter) >= stem and word[:stem] == other[:stem]


def _window(text: str, found: list[tuple[int, int]]) -> tuple[int, int]:
    """The stretch with the most different matched words, cut at spaces where there are any."""
    if len(text) <= SNIPPET_LENGTH:
        return 0, len(text)
    best, best_count = 0, 0
    for left, _ in found:
        inside = {text[a:b].casefold() for a, b in found if left <= a and b <= left + SNIPPET_LENGTH - 40}
        if len(inside) > best_count:
            best, best_count = left, len(inside)
    start = max(0, best - 40)
    end = min(len(text), start + SNIPPET_LENGTH)
    if start and (space := text.find(" ", start, start + 40)) != -1:
        start = space + 1
    if end < len(text) and (space := text.rfind(" ", end - 40, end)) != -1:
        end = space
    return start, end
