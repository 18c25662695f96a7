"""Personal data in what people type or upload: e-mail addresses, UK telephone numbers, student numbers, staff ids,
postcodes, card and National Insurance numbers. Pure.

What is found is what its form tells, and where that does not suffice the word before it: 'room EH1 1AB' is no postcode.
Other scripts' digits, full-width letters and invisible characters are read as what they look like. Every expression
repeats things only so many times, so that a long text takes a time that grows with its length and no faster.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What kind of personal data something is, and what stands in its place."""

    EMAIL = "email"
    CARD = "card"
    INSURANCE = "ni"
    STUDENT = "student"
    PHONE = "phone"
    STAFF = "staff"
    POSTCODE = "postcode"


@dataclass(frozen=True)
class Found:
    """Personal data in a text: its kind, and where it begins and ends there."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True)
class _Plain:
    """A text as it looks, and of each of its characters where it stands in the text as it was given."""

    text: str
    places: list[int]


# Letters and digits of ours: a word of another script may touch what is looked for.
NOT_AFTER, NOT_BEFORE = "(?<![A-Za-z0-9_])", "(?![A-Za-z0-9_])"

# 'at' and 'dot' as people write them against machines that collect addresses.
_AT = r"(?:\s?@\s?|\s{0,2}[\[({<-]\s?at\s?[\])}>-]\s{0,2}|\s{1,2}at\s{1,2})"
_DOT = r"(?:\.|\s{0,2}[\[({<-]\s?dot\s?[\])}>-]\s{0,2}|\s{1,2}dot\s{1,2})"
EMAIL = re.compile(
    rf"(?<![\w.+%'-])([\w+%][\w.+%'-]{{0,63}}?)({_AT})((?:[\w-]{{1,63}}{_DOT}){{1,5}})([^\W\d_]{{2,24}})(?![\w-])",
    re.IGNORECASE,
)
_ENDINGS = """
ac biz ca ch co com de edu es eu fr gov ie info int io it net nl no org scot se uk us
"""
ENDINGS = frozenset(_ENDINGS.split())
"""Ends of addresses that are believed where 'at' and 'dot' are words, or stand apart."""

_NO_NAMES = """
are arrive available based be buy find held here in is it jobs live located log look looking me meet meeting
not of on page pages public read see shop sign site start starts study up us visit website work working
"""
NO_NAMES = frozenset(_NO_NAMES.split())
"""What stands before 'at' in a sentence about a place or an address of the web."""

PHONE = re.compile(
    r"(?<![A-Za-z0-9_.,+#-])(?<![0-9][/:])(\(?\+\s?44\)?|\(?00\s?44\)?|44(?=[\s-]?7)|\(?0)"
    r"((?:[\s().-]{0,3}[0-9]){8,12})(?![A-Za-z0-9_]|[\s.,:-]?[0-9]|/[0-9])"
)

STUDENT = re.compile(rf"(?<![A-Za-z0-9_'’])s[\s-]?(?:[0-9][\s-]?){{6}}[0-9]{NOT_BEFORE}", re.IGNORECASE)

STAFF = (
    re.compile(rf"{NOT_AFTER}(?:user|usr|staff|emp|employee)[_-]?[0-9]{{2,8}}{NOT_BEFORE}", re.IGNORECASE),
    re.compile(rf"{NOT_AFTER}user\s(?!(?:19|20)[0-9]{{2}}{NOT_BEFORE})[0-9]{{3,8}}{NOT_BEFORE}", re.IGNORECASE),
    re.compile(
        rf"{NOT_AFTER}(?:staff|employee|emp|payroll|personnel)\s(?:id|no|num|number|ref)\.?\s?[:#]?\s?"
        rf"([A-Z]?[0-9]{{4,9}}){NOT_BEFORE}",
        re.IGNORECASE,
    ),
    re.compile(
        rf"{NOT_AFTER}(?:user\s?name|user\s?id|log[io]n|uun)\s?[:=]?\s?(?:is\s)?([a-z][a-z._-]{{1,20}}[0-9]{{1,6}}){NOT_BEFORE}",
        re.IGNORECASE,
    ),
)
PRODUCTS = frozenset({"office365", "ms365", "microsoft365", "windows7", "windows10", "windows11", "web2"})
"""What people sign in to that looks like a name to sign in with."""

_AREAS = """
AB AL B BA BB BD BF BH BL BN BR BS BT CA CB CF CH CM CO CR CT CV CW DA DD DE DG DH DL DN DT DY E EC EH EN EX FK
FY G GL GU GY HA HD HG HP HR HS HU HX IG IM IP IV JE KA KT KW KY L LA LD LE LL LN LS LU M ME MK ML N NE NG NN NP
NR NW OL OX PA PE PH PL PO PR RG RH RM S SA SE SG SK SL SM SN SO SP SR SS ST SW SY TA TD TF TN TQ TR TS TW UB W
WA WC WD WF WN WR WS WV YO ZE
"""
AREAS = frozenset(_AREAS.split())
"""The United Kingdom's and the Crown dependencies' postcode areas."""

# The last two letters are none of C I K M O V: Royal Mail leaves out what is misread.
POSTCODE = re.compile(
    rf"{NOT_AFTER}([A-Z]{{1,2}})[0-9][A-Z0-9]?[\s-]{{0,2}}([0-9][ABD-HJLNP-UW-Z]{{2}}){NOT_BEFORE}", re.IGNORECASE
)
SPACED_POSTCODE = re.compile(
    rf"{NOT_AFTER}((?:[A-Z]\s){{1,2}})[0-9]\s(?:[A-Z0-9]\s)?([0-9]\s[ABD-HJLNP-UW-Z]\s[ABD-HJLNP-UW-Z]){NOT_BEFORE}",
    re.IGNORECASE,
)
NUMBERED = re.compile(
    r"(?:annexe?|appendix|building|class|course|form|grade|lab|level|module|room|section|unit|version)\s{1,2}$",
    re.IGNORECASE,
)
"""What a number follows that looks like a postcode and is none."""
ORDINAL = re.compile(r"1st|2nd|3rd|[4-9]th")

CARD = re.compile(r"(?<![A-Za-z0-9_.-])(?:[0-9][ .-]?){12,18}[0-9](?![A-Za-z0-9_])")
CARDS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6011|64[4-9]|65"), (16, 19)),
    (re.compile(r"30[0-5]|3[689]"), (14,)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16,)),
    (re.compile(r"5[06-9]|6[0-9]"), (16, 18, 19)),
)
"""How the numbers of each network begin, and how long they are (ISO/IEC 7812)."""
CARD_GROUPS = frozenset({(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1)})

# The letters that HMRC gives out, and the prefixes that it does not (NIM39110).
INSURANCE = re.compile(
    rf"{NOT_AFTER}(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][\s.-]?[A-CEGHJ-NPR-TW-Z]"
    rf"(?:[\s.-]?[0-9]){{6}}[\s.-]?[A-D]{NOT_BEFORE}",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with the kind of personal data, in brackets, in the place of each that was found."""
    parts, last = [], 0
    for one in find(text):
        parts += [text[last : one.start], f"[{one.kind}]"]
        last = one.end
    return "".join([*parts, text[last:]])


def count(text: str) -> Counter[Kind]:
    """How many of each kind there are."""
    return Counter(one.kind for one in find(text))


def find(text: str) -> list[Found]:
    """The personal data in a text, in its order; where two kinds overlap, the one that its form tells more surely."""
    plain = _plain(text)
    if not _may_hold(plain.text):
        return []
    taken = bytearray(len(plain.text))
    found = []
    for kind, finder in FINDERS:
        for start, end in finder(plain.text):
            if end > start and not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                found.append(Found(kind, plain.places[start], plain.places[end - 1] + 1))
    return sorted(found, key=lambda one: one.start)


def _may_hold(text: str) -> bool:
    """Whether there is any of what all finders need: most queries have none of it."""
    return re.search("[0-9@]", text) is not None or ("at" in text.lower() and ("." in text or "dot" in text.lower()))


def _plain(text: str) -> _Plain:
    if text.isascii():
        return _Plain(text, list(range(len(text))))
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        category = unicodedata.category(character)
        if category == "Cf":
            continue
        if category == "Nd":
            shown = str(unicodedata.digit(character))
        elif category == "Pd":
            shown = "-"
        else:
            shown = unicodedata.normalize("NFKC", character)
        characters += shown
        places += [place] * len(shown)
    return _Plain("".join(characters), places)


def _emails(text: str) -> Iterator[tuple[int, int]]:
    for match in EMAIL.finditer(text):
        name, at, domain, ending = match.groups()
        worded = at != "@" or re.fullmatch(r"(?:[\w-]+\.)+", domain) is None
        if worded and ending.lower() not in ENDINGS:
            continue
        if at.strip().lower() == "at" and (name.lower() in NO_NAMES or "dot" not in domain.lower()):
            continue
        yield match.span()


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for match in PHONE.finditer(text):
        start, end = match.span()
        prefix, rest = match.groups()
        national = "".join(character for character in rest if character.isdigit())
        if "44" in prefix:
            national = national.removeprefix("0")
        groups = [len(group) for group in re.findall(r"[0-9]+", match.group())]
        spelt = set(groups) == {1}
        if not spelt and max(groups) <= 2:
            continue
        # Some numbers of old exchanges are one digit shorter, and so is the ISBN of a book: told by its gaps.
        short = len(national) == 9 and national[0] == "1" and groups[0] in (5, 6)
        if national[:1] in "1235789" and (len(national) == 10 or short):
            yield start, end


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in CARD.finditer(text):
        groups = tuple(len(group) for group in re.findall(r"[0-9]+", match.group()))
        digits = re.sub(r"[^0-9]", "", match.group())
        shaped = len(groups) == 1 or set(groups) == {1} or groups in CARD_GROUPS
        issued = any(begins.match(digits) and len(digits) in lengths for begins, lengths in CARDS)
        if shaped and issued and _luhn(digits):
            yield match.span()


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _postcodes(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (POSTCODE, SPACED_POSTCODE):
        for match in pattern.finditer(text):
            area, inward = match.group(1).replace(" ", "").upper(), match.group(2)
            before = text[max(0, match.start() - 20) : match.start()]
            if area in AREAS and not ORDINAL.fullmatch(inward) and not NUMBERED.search(before):
                yield match.span()


def _staff(text: str) -> Iterator[tuple[int, int]]:
    for pattern in STAFF:
        for match in pattern.finditer(text):
            group = match.lastindex or 0
            if match.group(group).lower() not in PRODUCTS:
                yield match.span(group)


def _all(pattern: re.Pattern[str]) -> Callable[[str], Iterator[tuple[int, int]]]:
    return lambda text: (match.span() for match in pattern.finditer(text))


FINDERS: tuple[tuple[Kind, Callable[[str], Iterator[tuple[int, int]]]], ...] = (
    (Kind.EMAIL, _emails),
    (Kind.CARD, _cards),
    (Kind.INSURANCE, _all(INSURANCE)),
    (Kind.STUDENT, _all(STUDENT)),
    (Kind.PHONE, _phones),
    (Kind.STAFF, _staff),
    (Kind.POSTCODE, _postcodes),
)
