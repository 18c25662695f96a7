"""WordPerfect 5 and 6 (WPD): the text of the document.

A prefix, then characters and functions mixed; of functions only those that end lines and paragraphs, stand for a
character or hold a note's text matter. Format: the WordPerfect file formats as the Library of Congress describes them
(https://www.loc.gov/preservation/digital/formats/fdd/fdd000393.shtml), and what libwpd reads.
"""

from __future__ import annotations

import struct
from pathlib import Path

from ingestion import extraction_kinds as kinds
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_PREFIX_BYTES = 16
_TEXT_AT, _TYPE_AT, _MAJOR_AT, _ENCRYPTION_AT = 4, 9, 10, 12
_DOCUMENT = 0x0A
_VERSION_5 = 0
_TAB_FUNCTION_5, _INDENT_FUNCTION_5 = 0xC1, 0xC2
# One byte functions: what each stands for.
_LINES_5 = {
    0x0A: "\n\n",
    0x0B: "\n\n",
    0x0C: "\n\n",
    0x0D: " ",
    0x8C: "\n\n",
    0xA0: " ",
    0xA9: "-",
    0xAA: "-",
    0xAB: "",
}
_LINES_6 = {
    0x80: " ", 0x81: " ", 0x82: "-", 0x83: "-", 0x84: "-", 0x85: "", 0xB7: "\n\n", 0xB8: "\n\n", 0xB9: "\n\n",
    0xBA: "\n\n", 0xC6: "\n\n", 0xC7: "\n\n", 0xC8: "\n\n", 0xC9: "\n\n", 0xCA: "\n\n", 0xCB: "\n\n", 0xCC: "\n\n",
    0xCD: " ", 0xCE: " ", 0xCF: " ",
}  # fmt: skip
# Bytes of the fixed-length functions, first and last among them.
_FIXED_5 = {
    0xC0: 4, 0xC1: 9, 0xC2: 11, 0xC3: 3, 0xC4: 3, 0xC5: 5, 0xC6: 6, 0xC7: 7, 0xC8: 4, 0xC9: 5, 0xCA: 6, 0xCB: 6,
    0xCC: 8, 0xCD: 10, 0xCE: 10, 0xCF: 12,
}  # fmt: skip
_FIXED_6 = {
    0xF0: 4, 0xF1: 5, 0xF2: 3, 0xF3: 3, 0xF4: 3, 0xF5: 3, 0xF6: 4, 0xF7: 4, 0xF8: 4, 0xF9: 5, 0xFA: 5, 0xFB: 6,
    0xFC: 6, 0xFD: 8, 0xFE: 8, 0xFF: 3,
}  # fmt: skip
_CHARACTER_5, _CHARACTER_6 = 0xC0, 0xF0
_TABS_6 = 0xE0
_FIRST_VARIABLE = 0xD0
_END_OF_LINE_6 = 0xD0
# Kinds of line ends that the program put in itself, between words.
_SPACE_OR_LINE_6 = {0x01: " ", 0x02: " ", 0x03: " "}
# WordPerfect 6: bytes 1 to 32. https://sourceforge.net/projects/libwpd (extendedInternationalCharacterMap)
_SHORT_6 = " åÅæÆäÄáàâãÃçÇëéÉèêíñÑøØõÕöÖóüÜúùß"
# Character set 1 of WordPerfect (multinational): the letters of Western and Central Europe.
_MULTINATIONAL_FROM = 26
_MULTINATIONAL = (
    "ÁáÂâÄäÀàÅåÆæÇçÉéÊêËëÈèÍíÎîÏïÌìÑñÓóÔôÖöÒòÚúÛûÜüÙùŸÿÃãĐđØøÕõÝýÐðÞþĂăĀāĄąĆćČčĈĉĊċĎďĚěĖėĒēĘęǴǵĞğǦǧĢģĜĝĠġĤĥĦħİıĪīĮįĨĩĴĵ"
)
_TYPOGRAPHIC = {
    0: "•", 1: "○", 2: "■", 3: "•", 4: "*", 5: "¶", 6: "§", 7: "¡", 8: "¿", 9: "«", 10: "»", 11: "£", 12: "¥", 15: "ª",
    16: "º", 17: "½", 18: "¼", 19: "¢", 20: "²", 22: "®", 23: "©", 25: "¾", 27: "‛", 28: "’", 29: "‘", 30: "‟", 31: "”",
    32: "“", 33: "–", 34: "—", 56: "…", 72: "€",
}  # fmt: skip


def read_wordperfect(path: Path, limits: Limits) -> Extraction:
    data = path.read_bytes()
    if len(data) < _PREFIX_BYTES:
        raise _broken()
    if struct.unpack_from("<H", data, _ENCRYPTION_AT)[0]:
        raise ExtractionError(
            "encrypted", "The WordPerfect document is protected with a password. Save a copy without one."
        )
    if data[_TYPE_AT] != _DOCUMENT:
        raise ExtractionError(
            "unsupported", "This is a WordPerfect file, but no document. Save it as PDF and upload that."
        )
    start = struct.unpack_from("<I", data, _TEXT_AT)[0]
    if not _PREFIX_BYTES <= start <= len(data):
        raise _broken()
    text = _text_5(data, start) if data[_MAJOR_AT] == _VERSION_5 else _text_6(data, start)
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return Extraction(kinds.WORDPERFECT, (Page(1, "\n".join(lines)),), "", "")


def _broken() -> ExtractionError:
    return ExtractionError(
        "broken", "The WordPerfect document is damaged. Open it in its program, save it as PDF, and upload that."
    )


def _text_5(data: bytes, at: int) -> str:
    pieces: list[str] = []
    while at < len(data):
        code = data[at]
        if 0x20 <= code < 0x7F:
            pieces.append(chr(code))
            at += 1
        elif code < _CHARACTER_5 or code == 0xFF:
            pieces.append(_LINES_5.get(code, ""))
            at += 1
        elif code < _FIRST_VARIABLE:
            if code == _CHARACTER_5 and at + 2 < len(data):
                pieces.append(_character(data[at + 1], data[at + 2]))
            elif code in (_TAB_FUNCTION_5, _INDENT_FUNCTION_5):
                pieces.append(" ")
            at += _FIXED_5[code]
        else:
            # The length counts from behind itself; hence the four bytes of code, kind and length.
            at += 4 + (struct.unpack_from("<H", data, at + 2)[0] if at + 4 <= len(data) else len(data))
    return "".join(pieces)


def _text_6(data: bytes, at: int) -> str:
    pieces: list[str] = []
    while at < len(data):
        code = data[at]
        if 0x21 <= code < 0x7F:
            pieces.append(chr(code))
            at += 1
        elif 0 < code <= 0x20:
            # The commonest letters beyond ASCII have one byte each.
            pieces.append(_SHORT_6[code] if code < len(_SHORT_6) else " ")
            at += 1
        elif code < _FIRST_VARIABLE:
            pieces.append(_LINES_6.get(code, ""))
            at += 1
        elif code < _CHARACTER_6:
            if code == _TABS_6:
                pieces.append(" ")
            elif code == _END_OF_LINE_6 and at + 1 < len(data):
                pieces.append(_SPACE_OR_LINE_6.get(data[at + 1], "\n\n"))
            size = struct.unpack_from("<H", data, at + 2)[0] if at + 4 <= len(data) else 0
            at += max(size, 4)
        else:
            if code == _CHARACTER_6 and at + 2 < len(data):
                pieces.append(_character(data[at + 1], data[at + 2]))
            at += _FIXED_6[code]
    return "".join(pieces)


def _character(character: int, character_set: int) -> str:
    if character_set == 0:
        return chr(character) if 0x20 <= character < 0x7F else ""
    if character_set == 1:
        at = character - _MULTINATIONAL_FROM
        # The sharp s stands before the letters with both cases.
        return "ß" if character == 23 else _MULTINATIONAL[at] if 0 <= at < len(_MULTINATIONAL) else ""
    return _TYPOGRAPHIC.get(character, "") if character_set == 4 else ""
