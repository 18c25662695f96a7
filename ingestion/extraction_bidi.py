"""Right-to-left text that a PDF holds in the order of the eye, put into the order of reading.

Some programs place Arabic and Hebrew words on the page from left to right, and the extraction library gives them back
in that order: the last word of each line comes first. It shows in the full stops, which then stand before words.
"""

from __future__ import annotations

import re

_RTL = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_RTL_LETTER = re.compile(f"[{_RTL}]")
_LTR_WORD = re.compile(f"[^{_RTL}]*[A-Za-z0-9\u00c0-\u024f][^{_RTL}]*")
_MARK_BEFORE = re.compile(rf"(?:^|\s)[.،؛؟!:](?=[{_RTL}])")
_MARK_AFTER = re.compile(rf"(?<=[{_RTL}])[.،؛؟!:](?=\s|$)", re.MULTILINE)
_LEADING_MARKS = re.compile(rf"([.،؛؟!:]+)([{_RTL}].*)")
# The ligature of lam and alef comes out with its letters swapped; after the article's alef that is certain.
_SWAPPED = re.compile("ا([أإآ])ل")
_FEWEST_MARKS = 2


def in_reading_order(text: str) -> str:
    """`text` with the words of its right-to-left lines turned round where the page is in the order of the eye."""
    if not _RTL_LETTER.search(text):
        return text
    before = len(_MARK_BEFORE.findall(text))
    if before < _FEWEST_MARKS or before <= len(_MARK_AFTER.findall(text)):
        return text
    return "\n".join(_turned(line) if _is_rtl(line) else line for line in text.split("\n"))


def _is_rtl(line: str) -> bool:
    letters = sum(character.isalpha() for character in line)
    return len(_RTL_LETTER.findall(line)) * 2 > letters


def _turned(line: str) -> str:
    """The words from last to first; runs of left-to-right words keep their own order."""
    words: list[str] = []
    run: list[str] = []
    for word in reversed(line.split()):
        if _LTR_WORD.fullmatch(word):
            run.insert(0, word)
            continue
        words += run
        run = []
        words.append(_LEADING_MARKS.sub(r"\2\1", _SWAPPED.sub(r"ال\1", word)))
    return " ".join(words + run)
