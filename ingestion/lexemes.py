"""Text to the words that the lexical search compares, the same for chunks and queries.

PostgreSQL's default parser and its `simple` configuration do not fold accents, know nothing of words in scripts
without spaces, and cut identifiers at their hyphens in their own way. So text is normalised here, before it goes in:

- compatibility forms, case and accents are folded: 'Café' and 'ＣＡＦÉ' are 'cafe', 'Straße' is 'strasse';
- Arabic loses its vowel signs and tatweel, the variants of alef, yeh and teh marbuta become one, and the digits of
  other scripts become Western ones;
- runs of Chinese characters, kana, Thai, Lao, Khmer and Burmese become overlapping pairs: '大学图书馆' is
  '大学 学图 图书 书馆', and the last character after them, so that each one of a run is the beginning of some word;
- an identifier such as 'HR-12', 'COMP-10001/A' or 'v2.1' stands for itself as one word without its marks and for its
  parts: 'hr12 hr 12'. 'HR 12' and 'HR12' are not split or joined: they are found by their own words.

The result has only words and single spaces, so that the parser finds exactly these words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

# ISO 639-1 to PostgreSQL's built-in configurations (pg_ts_config of PostgreSQL 18); what is not here is 'simple'.
TEXT_SEARCH_CONFIGS: Mapping[str, str] = MappingProxyType(
    {
        "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english",
        "es": "spanish", "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish",
        "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
        "ne": "nepali", "nl": "dutch", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
        "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
    }
)  # fmt: skip
DEFAULT_TEXT_SEARCH_CONFIG = "simple"

_SPACELESS = (
    "\u0e00-\u0e7f\u0e80-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17d3"  # Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # iteration marks, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"  # Han
)
# Vowel signs of Indic scripts, which are parts of words but not of the regular expressions' \w.
_SIGNS = "\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963" + "".join(
    f"{chr(block + 1)}-{chr(block + 3)}{chr(block + 0x3C)}{chr(block + 0x3E)}-{chr(block + 0x57)}"
    for block in range(0x0980, 0x0E00, 0x80)
)
_LETTER = rf"(?:(?![{_SPACELESS}_])\w|[{_SIGNS}])"
_SPACELESS_RUN = re.compile(f"[{_SPACELESS}]+")
# A letter with the vowel signs and tone marks on it.
_SPACELESS_LETTER = re.compile(
    ".[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059\u17b4-\u17d3]*"
)
_WORD = re.compile(rf"[{_SPACELESS}]+|{_LETTER}+")
_ASCII_WORD = re.compile("[A-Za-z0-9]+")
# No identifier begins within a word, and no mark is a letter: without that being said each letter would be tried.
_IDENTIFIER = re.compile(rf"(?<![^\W_{_SPACELESS}])(?<![{_SIGNS}]){_LETTER}++(?:[-./:_]{_LETTER}++)+")
_LONGEST_IDENTIFIER_PARTS = 5
_ARABIC_MARKS = re.compile("[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]")
_FOLDED = str.maketrans(
    {
        "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ی": "ي", "ئ": "ي", "ک": "ك", "ة": "ه", "ۀ": "ه", "ؤ": "و",
        "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ð": "d", "þ": "th", "ł": "l", "đ": "d", "ħ": "h", "ı": "i",
        "ς": "σ",
    }
    | {
        # Arabic, Persian, Indic and Thai digits are found by Western ones, and the other way round.
        chr(code): str(unicodedata.decimal(chr(code)))
        for code in range(0x0660, 0x1A9A)
        if unicodedata.category(chr(code)) == "Nd"
    }
)  # fmt: skip
# Marks that only modify letters of these scripts; in Indic, Thai and Khmer they are letters of their own.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u1ab0-\u1aff\u1dc0-\u1dff]"
)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# PostgreSQL refuses words above 2 KB; nobody types a word of that length.
_LONGEST_WORD = 100


def searchable(text: str) -> str:
    """The words of `text`, normalised, in order, separated by single spaces; for `to_tsvector`."""
    return " ".join(_words(text))


def words(text: str) -> list[str]:
    """The distinct words of a query in order of appearance: those of `searchable`, but of a run without spaces only the
    pairs, which say all of it; a run of one character is that character (`is_beginning`)."""
    found = _words(text)
    return list(dict.fromkeys(word for at, word in enumerate(found) if not _repeats(found, at)))


def phrase(text: str) -> list[str]:
    """The words that stand one after the other in `searchable` wherever this text stands in a longer one.

    The last may be only the beginning of the word there (`is_beginning`).
    """
    found = _words(text)
    return found[:-1] if found and _repeats(found, len(found) - 1) else found


def is_beginning(word: str) -> bool:
    """Whether this is a single character of a script without spaces: words that hold it begin with it."""
    return _SPACELESS_RUN.match(word) is not None and _SPACELESS_LETTER.fullmatch(word) is not None


def _repeats(found: list[str], at: int) -> bool:
    """Whether this word is the last character of the run whose last pair is the word before it."""
    return bool(at and is_beginning(found[at]) and _SPACELESS_RUN.match(found[at - 1])) and not is_beginning(
        found[at - 1]
    )


def normalised(text: str) -> str:
    """`text` with compatibility forms, case, accents and Arabic variants folded, and otherwise as it was."""
    text = unicodedata.normalize("NFKC", text).casefold()
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
        text = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
        text = unicodedata.normalize("NFC", _ARABIC_MARKS.sub("", text)).translate(_FOLDED)
    return text


def _words(text: str) -> list[str]:
    found: list[str] = []
    at = 0
    text = normalised(text)
    for identifier in _IDENTIFIER.finditer(text):
        if not any(character.isdigit() for character in identifier[0]):
            continue
        found += _plain_words(text[at : identifier.start()])
        found += _identifier_words(identifier[0])
        at = identifier.end()
    return found + _plain_words(text[at:])


def _identifier_words(identifier: str) -> list[str]:
    """The identifier without its marks, then its parts."""
    parts = [part for part in re.split(r"[-./:_]", identifier) if part]
    whole = "".join(parts)
    if len(parts) > _LONGEST_IDENTIFIER_PARTS or len(whole) > _LONGEST_WORD:
        return [word for part in parts for word in _plain_words(part)]
    return [whole, *(word for part in parts for word in _plain_words(part))]


def _plain_words(text: str) -> list[str]:
    if text.isascii():
        return [word[:_LONGEST_WORD] for word in _ASCII_WORD.findall(text)]
    found: list[str] = []
    for word in _WORD.findall(text):
        if _SPACELESS_RUN.match(word):
            letters = _SPACELESS_LETTER.findall(word)
            found += ["".join(letters[at : at + 2]) for at in range(len(letters))]
        else:
            found.append(word[:_LONGEST_WORD])
    return found
