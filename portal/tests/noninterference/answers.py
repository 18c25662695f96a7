"""An answer as it is compared: byte for byte, but for what belongs to the one request."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import unified_diff
from uuid import UUID

from django.http.response import HttpResponseBase

REQUEST_ID = "the-same-request"
"""Sent with every question, so that answers carry the same id."""

MASKED = (
    # times
    re.compile(rb'"(?:timestamp|response_time)":(?:"[^"]*"|[\d.eE-]+)'),
    re.compile(rb'"(?:response_time|timestamp)": (?:"[^"]*"|[\d.eE-]+)'),
    re.compile(rb"\b\d+(?:[.,]\d+)?\s(?:ms|seconds?|s)\b"),
    # whether the same was asked shortly before: the database without what is hidden has caches of its own
    re.compile(rb'"from_cache": ?(?:true|false)'),
    # the nonce of the page's scripts, and the token of its forms, which are drawn for each answer
    re.compile(rb"nonce(?:=\"|-)[\w+/=-]+"),
    re.compile(rb'csrfmiddlewaretoken"\s+value="[^"]+'),
    re.compile(rb'X-CSRFToken(?:"|&quot;|\\u0022): ?(?:"|&quot;|\\u0022)\w+'),
    # the number of a search in somebody's own history, which counts on with each that is kept
    re.compile(rb'name="search" value="\d+'),
    # the ids of requests that name themselves
    re.compile(rb"\b[0-9a-f]{32}\b"),
)
WRITTEN = (
    re.compile(rb'"(?:created_at|updated_at)":"[^"]*"'),
    re.compile(rb"<time[^>]*>[^<]*</time>"),
    re.compile(rb'"X-Seeing-As": "\d+"'),
)
"""Masked in answers to what writes: the moment of the writing."""

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SECRET_COOKIES = frozenset(("sessionid", "csrftoken"))
TIMED_HEADERS = frozenset(("expires", "date"))


@dataclass(frozen=True)
class Answer:
    """Status, headers with cookies, and body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def answer_of(response: HttpResponseBase, known: Collection[UUID], *, written: bool = False) -> Answer:
    """What is compared of a response. Ids are masked that no document of the world has: those of searches, uploads."""
    headers = [(name.lower(), value) for name, value in response.headers.items()]
    for name, cookie in sorted(response.cookies.items()):
        # What is kept in a cookie carries the moment and a signature behind a colon.
        shown = "(drawn)" if name in SECRET_COOKIES else cookie.value.partition(":")[0]
        headers.append(("set-cookie", f"{name}={shown}; {cookie['path']}; {cookie['samesite']}; {cookie['max-age']}"))
    body: bytes = response.getvalue()  # type: ignore[attr-defined]
    return plain(response.status_code, headers, body, known, written=written)


def plain(
    status: int, headers: list[tuple[str, str]], body: bytes, known: Collection[UUID], *, written: bool = False
) -> Answer:
    """An answer without what belongs to the one request."""
    kept = {str(one).encode() for one in known}

    def masked(raw: bytes) -> bytes:
        for pattern in (*MASKED, *WRITTEN) if written else MASKED:
            raw = pattern.sub(b"(masked)", raw)
        return _UUID.sub(lambda found: found[0] if found[0] in kept else b"(id)", raw)

    bare = masked(body)
    # A length is compared where it is that of what is compared.
    dropped = TIMED_HEADERS if bare == body else TIMED_HEADERS | {"content-length"}
    return Answer(
        status,
        tuple(sorted((name, masked(value.encode()).decode()) for name, value in headers if name not in dropped)),
        bare,
    )


def difference(one: Answer, other: Answer) -> str:
    """The lines in which two answers differ, to read in a failure."""
    texts = [
        [
            f"{answer.status}",
            *(f"{name}: {value}" for name, value in answer.headers),
            *answer.body.decode(errors="replace").replace(',"', ',\n"').split("\n"),
        ]
        for answer in (one, other)
    ]
    lines = [line[:300] for line in unified_diff(*texts, "whole", "without the hidden", lineterm="", n=0)]
    return "\n".join(lines[:30])
