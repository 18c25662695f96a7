"""Bytes to clean text: character sets, and what no text in the corpus may contain."""

from __future__ import annotations

import codecs
import re
import unicodedata

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DETECTION_BYTES = 1 << 17
# The web's reading of these labels is the wider Windows code page: https://encoding.spec.whatwg.org/#names-and-labels
_WIDER = {"ascii": "cp1252", "iso-8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932"}
_FALLBACK = "cp1252"
# In short Western texts the few accented letters are too little for statistics. So a text whose high bytes are few and
# are all among these, read as Windows-1252, is taken for that.
_WESTERN = frozenset("äöüÄÖÜßéèêëàâçîïôûùœñáíóúåæøÅÆØÉÈÀÇÊ–—‘’“”„…•€§°«»¿¡£©®·´½²\u00a0".encode(_FALLBACK))
_MOST_WESTERN_SHARE = 0.25

# Control characters (but tab and line feed), surrogates, noncharacters, the byte order mark, invisible spaces and soft
# hyphens (which split words for the index), and bidirectional overrides (which let text look like another text).
# Joiners stay: Persian and Indic words need them.
_UNWANTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u2028-\u202e\u2060-\u206f\ufeff\ufdd0-\ufdef\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_TRAILING_SPACE = re.compile(r"[ \t\u00a0]+$", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")


def decode(data: bytes) -> str:
    """The text in `data`: by byte order mark, as UTF-8, as UTF-16 or UTF-32 without a mark, else by statistics.

    Never fails: what is in no known character set is read as Windows-1252, the commonest of the rest.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        # One stray byte in a long UTF-8 text, or a cut last character, is damage and not another character set.
        damaged = data.decode("utf-8", "replace")
        if error.start > 0 and damaged.count("\ufffd") * 50 < sum(character > "\x7f" for character in damaged):
            return damaged
    else:
        wide = _wide_encoding(data)
        return data.decode(wide, "replace") if wide else text
    return _decode_by_statistics(data)


def clean(text: str) -> str:
    """The same text in NFC with plain line feeds, without what `_UNWANTED` names, trailing spaces or wide gaps."""
    text = _LINE_ENDS.sub("\n", text)
    text = _UNWANTED.sub("", text)
    text = unicodedata.normalize("NFC", text)
    text = _TRAILING_SPACE.sub("", text)
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def _wide_encoding(data: bytes) -> str:
    """UTF-16 or UTF-32 without a mark: every second byte (or three of four) of Western text is NUL."""
    sample = data[:4096]
    if sample.count(0) * 3 < len(sample):
        return ""
    zeros = [sample[offset::4].count(0) for offset in range(4)]
    few = len(sample) // 20
    if min(zeros[1], zeros[2], zeros[3]) > few and zeros[0] <= few:
        return "utf-32-le"
    if min(zeros[0], zeros[1], zeros[2]) > few and zeros[3] <= few:
        return "utf-32-be"
    return "utf-16-le" if zeros[1] + zeros[3] > zeros[0] + zeros[2] else "utf-16-be"


def _is_western(sample: bytes) -> bool:
    high = [byte for byte in sample if byte >= 0x80]
    return len(high) <= _MOST_WESTERN_SHARE * len(sample) and set(high) <= _WESTERN


def _decode_by_statistics(data: bytes) -> str:
    wide = _wide_encoding(data)
    if wide:
        return data.decode(wide, "replace")
    if _is_western(data[:_DETECTION_BYTES]):
        return data.decode(_FALLBACK, "replace")
    # Imported here: most text is UTF-8, and the detector's models take 80 ms and 40 MB.
    import chardet

    found = (chardet.detect(data[:_DETECTION_BYTES])["encoding"] or _FALLBACK).lower()
    try:
        return data.decode(_WIDER.get(found, found), "replace")
    except LookupError:
        return data.decode(_FALLBACK, "replace")
