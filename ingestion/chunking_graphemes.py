"""Where text may be cut without tearing what is read as one letter or sign.

The rules of Unicode's extended grapheme clusters (UAX #29), and two more: a vowel that Thai and Lao write before its
consonant stays with it, and so do consonants that a virama joins.
"""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"
_MARKS = ("Mn", "Mc", "Me")
_CONTROLS = ("Cc", "Zl", "Zp")
# Vowels that are letters to Unicode, half-width voice marks: they follow their consonant.
_FOLLOWING = "\u0e33\u0eb3\uff9e\uff9f"
# Vowels that are written before their consonant, and signs that are drawn around the digits after them.
_LEADING = (
    "\u0e40\u0e41\u0e42\u0e43\u0e44\u0ec0\u0ec1\u0ec2\u0ec3\u0ec4\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2"
)
_VIRAMA = 9  # Canonical combining class.


def may_cut(text: str, place: int) -> bool:
    """Whether a cut before text[place] leaves every letter and sign whole."""
    if not 0 < place < len(text):
        return True
    before, after = text[place - 1], text[place]
    if before.isascii() and after.isascii():
        return before != "\r" or after != "\n"
    if unicodedata.category(before) in _CONTROLS or unicodedata.category(after) in _CONTROLS:
        return True
    if _goes_with_the_one_before(after) or before in _JOINERS or before in _LEADING:
        return False
    if unicodedata.combining(before) == _VIRAMA and after.isalpha():
        return False
    if _is_regional(before) and _is_regional(after):
        return _regional_run(text, place) % 2 == 0
    return not _is_one_syllable(before, after)


def _goes_with_the_one_before(sign: str) -> bool:
    return (
        unicodedata.category(sign) in _MARKS
        or sign in _JOINERS
        or sign in _FOLLOWING
        or "\U0001f3fb" <= sign <= "\U0001f3ff"  # colours of skin
        or "\U000e0020" <= sign <= "\U000e007f"  # tags, which make a flag of Scotland
    )


def _is_regional(sign: str) -> bool:
    """Whether two of this kind are a flag."""
    return "\U0001f1e6" <= sign <= "\U0001f1ff"


def _regional_run(text: str, place: int) -> int:
    start = place
    while start > 0 and _is_regional(text[start - 1]):
        start -= 1
    return place - start


def _is_one_syllable(before: str, after: str) -> bool:
    """Whether two signs of Hangul are parts of one syllable: leading consonants, vowels, trailing consonants."""
    is_lead = "\u1100" <= before <= "\u115f" or "\ua960" <= before <= "\ua97c"
    if is_lead:
        return "\u1100" <= after <= "\u11a7" or "\ua960" <= after <= "\ua97c" or "\uac00" <= after <= "\ud7c6"
    is_vowel = "\u1160" <= before <= "\u11a7" or "\ud7b0" <= before <= "\ud7c6"
    is_trail = "\u11a8" <= before <= "\u11ff" or "\ud7cb" <= before <= "\ud7fb"
    is_syllable = "\uac00" <= before <= "\ud7a3"
    # Every 28th syllable has no trailing consonant yet, and so can take a vowel.
    is_open = is_syllable and (ord(before) - 0xAC00) % 28 == 0
    if "\u11a8" <= after <= "\u11ff" or "\ud7cb" <= after <= "\ud7fb":
        return is_vowel or is_trail or is_syllable
    if "\u1160" <= after <= "\u11a7" or "\ud7b0" <= after <= "\ud7c6":
        return is_vowel or is_open
    return False
