"""Markdown as people write it, to the plain Markdown of the corpus.

The corpus keeps headings (`#`), lists and tables, which the chunker cuts by. Front matter, comments, template tags of
static site generators, markup inside lines and link targets are noise to a reader of a passage and to the embedding
model, and go. Code blocks stay as they are.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ingestion.extraction_html import read_html

_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[^\n]*\n.*?(?:^[ \t]*\2[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)|\{%-?\s*comment\s*-?%\}.*?(?:\{%-?\s*endcomment\s*-?%\}|\Z)", re.DOTALL)
_TEMPLATE_TAG = re.compile(r"\{%-?\s*([\w-]*)\s*((?:\"[^\"]*\"|'[^']*'|[^%\"']|%(?!\}))*)%\}")
_TEMPLATE_VALUE = re.compile(r"\{\{[^{}\n]*\}\}")
_ARGUMENT = re.compile(r"\"([^\"]*)\"|'([^']*)'")
# Template tags that stand for words: which of their arguments a reader sees, and what is put before it.
_SPEAKING_TAGS = {
    "page": (0, ""),
    "link": (0, ""),
    "download": (0, ""),
    "alert": (0, ""),
    "slack_channel": (0, "#"),
    "image": (1, ""),
    "image_with_class": (1, ""),
}
_HTML_TABLE = re.compile(r"<table\b.*?</table\s*>", re.DOTALL | re.IGNORECASE)
_HTML_HEADING = re.compile(r"^[ \t]*<h([1-6])\b[^>]*>(.*?)</h\1\s*>", re.DOTALL | re.IGNORECASE | re.MULTILINE)
_HTML_BREAK = re.compile(r"<br\s*/?>|</(?:p|div|li|ul|ol|details|summary|dt|dd|blockquote|section)\s*>", re.IGNORECASE)
_HTML_POINT = re.compile(r"<li\b[^>]*>", re.IGNORECASE)
_HTML_DROPPED = re.compile(r"<(script|style|svg|button|iframe)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_HTML_TAG = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|caption|center|code|dd|del|details|div|dl|dt|em|figcaption|figure|font|hr|i|img|ins|"
    r"kbd|li|mark|ol|p|pre|q|s|section|small|span|strong|sub|summary|sup|table|tbody|td|th|thead|tr|u|ul|video|source)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)?[^\s<>\\]*[@/][^\s<>\\]*)>")
_IMAGE = re.compile(r"!\[([^\[\]]*)\]\((?:[^()\n]|\([^()\n]*\))*\)(?:\{[^{}\n]*\})?|!\[([^\[\]]*)\]\[[^\[\]]*\]")
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\((?:[^()\n]|\([^()\n]*\))*\)(?:\{[^{}\n]*\})?")
_REFERENCE_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])+)\]\[[^\[\]]*\]")
_REFERENCE = re.compile(r"^[ ]{0,3}\[(?!\^)[^\[\]\n]+\]:[ \t]+\S+[^\n]*$", re.MULTILINE)
_ATTRIBUTES = re.compile(r"^[ \t]*\{:[^{}\n]*\}[ \t]*$|^\[TOC\]$|[ \t]*\{#[\w-]+\}[ \t]*$", re.MULTILINE)
_RULE = re.compile(r"^[ ]{0,3}(?:-[ \t]*){3,}$|^[ ]{0,3}(?:\*[ \t]*){3,}$|^[ ]{0,3}(?:_[ \t]*){3,}$", re.MULTILINE)
_SETEXT = re.compile(r"(\A|\n[ \t]*\n)[ ]{0,3}(?![-*+>|#])(\S[^\n]*)\n[ ]{0,3}(=+|--+)[ \t]*(?=\n|\Z)")
_CLOSED_HEADING = re.compile(r"^([ ]{0,3}#{1,6}[ \t]+[^\n]*?)[ \t]+#+[ \t]*$", re.MULTILINE)
_TIGHT_HEADING = re.compile(r"^[ ]{1,3}(?=#{1,6}[ \t])", re.MULTILINE)
_CODE_SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_STRONG = re.compile(r"(\*\*|(?<!\w)__)(?=\S)((?:.|\n(?!\s*\n))+?)(?<=\S)(\*\*|__(?!\w))|~~(?=\S)([^\n~]+?)~~")
_EMPHASIS = re.compile(
    r"(?<![\w*\\])\*(?=[^\s*])([^\n*]+?)(?<=[^\s\\])\*(?![\w*])|(?<![\w\\])_(?=\S)([^\n_]+?)(?<=[^\s\\])_(?!\w)"
)
# Any punctuation may be escaped; '#' stays so at the beginning of a line, and '|' in tables.
_ESCAPE = re.compile(r"\\([!-\"$-/:-@\[-`{}~]|(?<!^\\)#)", re.MULTILINE)
_SPACES = re.compile(r"(?<=\S)[ \t\u00a0]{2,}")


@dataclass(frozen=True)
class FrontMatter:
    """What the head of a Markdown file says of it; '' or () where it does not."""

    title: str = ""
    language: str = ""
    authors: tuple[str, ...] = ()
    written: str = ""


def front_matter(text: str) -> tuple[str, FrontMatter]:
    """The text without its front matter, and what that says."""
    match = _FRONT_MATTER.match(text)
    if match is None or not re.search(r"^[\w-]+[ \t]*:", match[1], re.MULTILINE):
        return text, FrontMatter()
    matter = match[1]
    return text[match.end() :], FrontMatter(
        title=_value(matter, "title"),
        language=_value(matter, "lang(?:uage)?"),
        authors=_several(matter, "authors?"),
        written=_value(matter, "date|created"),
    )


def joined(blocks: Iterable[str]) -> str:
    """Blocks with a blank line between, but none between the points of a list."""
    text = ""
    before = ""
    for block in blocks:
        if block.strip():
            within_list = block.lstrip().startswith("- ") and before.lstrip().startswith("- ")
            text += ("\n" if within_list else "\n\n" if text else "") + block
            before = block
    return text


def tidy(text: str) -> str:
    """Markdown reduced to headings, paragraphs, lists, tables and code blocks."""
    pieces: list[str] = []
    at = 0
    for fence in _FENCE.finditer(text):
        pieces += (_tidy_prose(text[at : fence.start()]), fence[0])
        at = fence.end()
    pieces.append(_tidy_prose(text[at:]))
    return "".join(pieces)


def _value(matter: str, key: str) -> str:
    match = re.search(rf"^(?:{key})[ \t]*:[ \t]*(\S.*)$", matter, re.MULTILINE)
    if match is None:
        return ""
    value = match[1].strip()
    if value[:1] in "|>":
        # A block scalar: its lines follow, indented.
        block = re.match(r"(?:\n[ \t]+[^\n]*)+", matter[match.end() :])
        value = " ".join(block[0].split()) if block else ""
    elif value[:1] in "'\"" and value[-1:] == value[:1]:
        value = value[1:-1]
    return re.sub(r"\\(?=\W)", "", value).strip()


def _several(matter: str, key: str) -> tuple[str, ...]:
    """One value, or a list: [a, b], or lines of '- a'."""
    lines = re.search(rf"^(?:{key})[ \t]*:[ \t]*\n((?:[ \t]*-[ \t]+[^\n]+\n?)+)", matter, re.MULTILINE)
    if lines:
        return tuple(line.strip().lstrip("-").strip(" \t'\"") for line in lines[1].strip().split("\n"))
    value = _value(matter, key)
    if value.startswith("[") and value.endswith("]"):
        return tuple(one.strip(" \t'\"") for one in value[1:-1].split(","))
    return (value,) if value else ()


def _tidy_prose(text: str) -> str:
    text = _COMMENT.sub("", text)
    text = _TEMPLATE_TAG.sub(_speak, text)
    text = _TEMPLATE_VALUE.sub("", text)
    if "<" in text:
        text = _tidy_html(text)
    text = _IMAGE.sub(lambda match: match[1] or match[2] or "", text)
    # Twice: a picture inside a link, and a link in brackets, leave one behind the first time.
    text = _LINK.sub(r"\1", _LINK.sub(r"\1", text))
    text = _REFERENCE_LINK.sub(r"\1", text)
    text = _REFERENCE.sub("", text)
    text = _ATTRIBUTES.sub("", text)
    text = _SETEXT.sub(lambda match: f"{match[1]}{'#' if match[3][0] == '=' else '##'} {match[2]}", text)
    text = _RULE.sub("", text)
    text = _CLOSED_HEADING.sub(r"\1", text)
    text = _TIGHT_HEADING.sub("", text)
    return _tidy_lines(text)


def _tidy_lines(text: str) -> str:
    """Emphasis, escapes and entities, outside code spans."""
    pieces: list[str] = []
    at = 0
    for span in _CODE_SPAN.finditer(text):
        pieces += (_tidy_words(text[at : span.start()]), span[2])
        at = span.end()
    pieces.append(_tidy_words(text[at:]))
    return "".join(pieces)


def _tidy_words(text: str) -> str:
    text = _STRONG.sub(lambda match: match[2] or match[4], text)
    text = _EMPHASIS.sub(lambda match: match[1] or match[2], text)
    text = _ESCAPE.sub(r"\1", text)
    if "&" in text:
        text = html.unescape(text)
    return _SPACES.sub(" ", text)


def _tidy_html(text: str) -> str:
    text = _HTML_DROPPED.sub("", text)
    text = _HTML_TABLE.sub(lambda match: f"\n\n{read_html(match[0]).text}\n\n", text)
    text = _HTML_HEADING.sub(lambda match: f"\n{'#' * int(match[1])} {' '.join(match[2].split())}\n", text)
    text = _HTML_POINT.sub("- ", text)
    # Inside a Markdown table a line break would end the row.
    text = "\n".join(
        _HTML_BREAK.sub(" " if line.lstrip().startswith("|") else "\n", line) if "<" in line else line
        for line in text.split("\n")
    )
    text = _AUTOLINK.sub(r"\1", text)
    return _HTML_TAG.sub("", text)


def _speak(tag: re.Match[str]) -> str:
    position, prefix = _SPEAKING_TAGS.get(tag[1], (-1, ""))
    arguments = [double or single for double, single in _ARGUMENT.findall(tag[2])]
    return prefix + arguments[position] if 0 <= position < len(arguments) else ""
