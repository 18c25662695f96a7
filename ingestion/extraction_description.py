"""What a document is called, what language it is in, and its outline: from the file, else from its text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ingestion.extraction_text import clean
from ingestion.extraction_types import Heading, Page
from ingestion.language import detect_language, language_code

LONGEST_TITLE = 300
MOST_HEADINGS = 1000
_DEEPEST_HEADING = 6
# Below this a statistical guess is less sure than what the file says of itself.
_DETECTION_CHARACTERS = 200
_PAGES_FOR_DETECTION = 50
# Titles that programs put in by themselves say nothing.
_MACHINE_TITLE = re.compile(
    r"(?:untitled|unbenannt|sans titre|document\d*|presentation\d*|powerpoint presentation|powerpoint-präsentation|"
    r"présentation powerpoint|slide \d+|folie \d+|title|titel|microsoft (?:word|excel|powerpoint) - .*|"
    r"[^ ]+\.(?:docx?|pptx?|xlsx?|pdf|odt|rtf|indd|tex|jpe?g|png|tiff?|qxd|dvi|html?|txt|md)|[\W\d_]*)"
    r"(?: document| dokument)?",
    re.IGNORECASE,
)
_TOP_HEADING = re.compile(r"^# +(\S[^\n]*)$", re.MULTILINE)
_HEADING = re.compile(r"^(#{1,6}) +(\S[^\n]*)$", re.MULTILINE)
_FENCED = re.compile(r"^([ \t]*)(`{3,}|~{3,})[^\n]*\n.*?(?:^[ \t]*\2[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
# How far from the beginning a heading may stand to be the document's title.
_TITLE_WITHIN = 1500


def title(named: str, first_page: str) -> str:
    """The title that the file names, else a top heading near its beginning, else ''; at most 300 characters."""
    found = " ".join(clean(named).split())
    if not found or _MACHINE_TITLE.fullmatch(found):
        heading = _TOP_HEADING.search(first_page[:_TITLE_WITHIN])
        found = heading[1].strip() if heading else ""
    return found[:LONGEST_TITLE]


def language(named: str, pages: Sequence[Page]) -> str:
    """Detected from enough text, because office programs name their own language; else what the file says."""
    sample = "\n".join(page.text for page in pages[:_PAGES_FOR_DETECTION])
    declared = language_code(named)
    if declared and len(sample) < _DETECTION_CHARACTERS:
        return declared
    return detect_language(sample) or declared


def outline(named: Iterable[Heading]) -> tuple[Heading, ...]:
    """The file's own outline, cleaned, at most 1,000 headings."""
    found: list[Heading] = []
    for heading in named:
        text = " ".join(clean(heading.title).split())[:LONGEST_TITLE]
        if text and heading.page_number > 0:
            found.append(Heading(min(max(heading.level, 1), _DEEPEST_HEADING), text, heading.page_number))
        if len(found) == MOST_HEADINGS:
            break
    return tuple(found)


def headings(pages: Iterable[Page]) -> tuple[Heading, ...]:
    """The headings of the text (simple Markdown), at most 1,000."""
    found: list[Heading] = []
    for page in pages:
        prose = _FENCED.sub("", page.text) if "```" in page.text or "~~~" in page.text else page.text
        for match in _HEADING.finditer(prose):
            found.append(Heading(len(match[1]), match[2].strip()[:LONGEST_TITLE], page.number))
            if len(found) == MOST_HEADINGS:
                return tuple(found)
    return tuple(found)
