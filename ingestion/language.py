"""Which language a text is in.

By Compact Language Detector 2 (pycld2: 7 MB of memory, 0.05 ms a text), where there is a build of it: none yet for
Python 3.14 and later. There the extraction library's own detector answers, which knows fewer languages.
"""

from __future__ import annotations

import re
from importlib.util import find_spec

_SAMPLE_CHARACTERS = 50_000
# A longer text is taken to be in its main language even where the detector has doubts: tables, names, abbreviations.
_LONG_SAMPLE = 200
_MAIN_PERCENT = 60
# Without a bound, a text without spaces would be gone through from each of its characters on.
_MARKUP = re.compile(r"[#|*_`>\[\]()-]+|\S{0,200}[@/\\]\S*|\d+")
_NONCHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# CLD2 keeps some withdrawn codes: https://www.iana.org/assignments/language-subtag-registry
_CURRENT = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "nb": "no"}
# ISO 639-3 to 639-1 for the languages that the second detector knows.
_SHORT = {
    "afr": "af", "ara": "ar", "aze": "az", "bel": "be", "ben": "bn", "bul": "bg", "cat": "ca", "ces": "cs",
    "cmn": "zh", "dan": "da", "deu": "de", "ell": "el", "eng": "en", "epo": "eo", "est": "et", "fin": "fi",
    "fra": "fr", "guj": "gu", "heb": "he", "hin": "hi", "hrv": "hr", "hun": "hu", "hye": "hy", "ind": "id",
    "ita": "it", "jav": "jv", "jpn": "ja", "kan": "kn", "kat": "ka", "khm": "km", "kor": "ko", "lat": "la",
    "lav": "lv", "lit": "lt", "mal": "ml", "mar": "mr", "mkd": "mk", "mya": "my", "nep": "ne", "nld": "nl",
    "nob": "no", "ori": "or", "pan": "pa", "pes": "fa", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru",
    "sin": "si", "slk": "sk", "slv": "sl", "spa": "es", "srp": "sr", "swe": "sv", "tam": "ta", "tel": "te",
    "tgl": "tl", "tha": "th", "tuk": "tk", "tur": "tr", "ukr": "uk", "urd": "ur", "uzb": "uz", "vie": "vi",
    "yid": "yi", "zul": "zu",
}  # fmt: skip


def detect_language(text: str) -> str:
    """ISO 639-1 code of the text's main language, or '' when it cannot be told.

    Sure from about 200 characters on; shorter texts give an answer only where the script or the words leave no doubt.
    """
    sample = _MARKUP.sub(" ", _NONCHARACTERS.sub("", text[:_SAMPLE_CHARACTERS]))
    if not any(character.isalpha() for character in sample):
        return ""
    return _by_cld2(sample) if find_spec("pycld2") else _by_library(sample)


def language_code(tag: str) -> str:
    """The ISO 639-1 code in a language tag such as 'en-GB' or 'zh_Hant', or ''."""
    match = re.match(r"\s*([a-z]{2,3})(?![a-z])", tag.lower())
    if match is None:
        return ""
    code = _SHORT.get(match[1], match[1])
    return _CURRENT.get(code, code) if len(code) == 2 else ""


def _by_cld2(sample: str) -> str:
    import pycld2

    sure, _, languages = pycld2.detect(sample, isPlainText=True)
    _, code, percent, _ = languages[0]
    likely = sure or (len(sample) >= _LONG_SAMPLE and percent >= _MAIN_PERCENT)
    return language_code(code) if likely and code != "un" else ""


def _by_library(sample: str) -> str:
    import kreuzberg

    config = kreuzberg.ExtractionConfig(
        use_cache=False, language_detection=kreuzberg.LanguageDetectionConfig(enabled=True, min_confidence=0.5)
    )
    found = kreuzberg.extract_bytes_sync(sample.encode(), "text/plain", config=config).detected_languages
    return _SHORT.get(found[0], "") if found else ""
