"""What the portal answers when it does not do what was asked."""

from __future__ import annotations

from typing import Any

import httpx


class CloisterError(Exception):
    """A problem (RFC 9457): `status`, `detail` for people, `request_id` for whoever looks into it, other `members`."""

    def __init__(
        self, status: int, detail: str, *, request_id: str = "", members: dict[str, Any] | None = None
    ) -> None:
        super().__init__(f"{detail} (request {request_id})" if request_id else detail)
        self.status = status
        self.detail = detail
        self.request_id = request_id
        self.members = members or {}


class Invalid(CloisterError):
    """400, 413, 415 or 422: the request is wrong. `errors` has sentences by field."""

    @property
    def errors(self) -> dict[str, list[str]]:
        """What is wrong with which field."""
        found: dict[str, list[str]] = self.members.get("errors", {})
        return found


class NotSignedIn(CloisterError):
    """401: the key or token does not hold."""


class Forbidden(CloisterError):
    """403: not for this account; `members` has what is `required` and what is `current`."""


class NotFound(CloisterError):
    """404: there is nothing here that this account may see."""


class Conflict(CloisterError):
    """409: the document's state, or another document (`members["existing"]`), stands against it."""


class ChangedSince(CloisterError):
    """412: somebody has changed the document since it was read. Read it again, and decide again."""


class TooManyRequests(CloisterError):
    """429: `retry_after` says in how many seconds the next request is let through."""

    retry_after: int = 1


class Unavailable(CloisterError):
    """5xx, or no answer at all. What was asked may be asked again later."""


_BY_STATUS: dict[int, type[CloisterError]] = {
    400: Invalid,
    401: NotSignedIn,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: ChangedSince,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: TooManyRequests,
}


def error_of(answer: httpx.Response) -> CloisterError:
    """The error that an answer is."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    kind = _BY_STATUS.get(answer.status_code, Unavailable if answer.status_code >= 500 else CloisterError)
    standard = ("type", "title", "status", "detail", "request_id")
    error = kind(
        answer.status_code,
        str(body.get("detail") or f"The portal answered {answer.status_code}."),
        request_id=str(body.get("request_id") or answer.headers.get("X-Request-ID", "")),
        members={name: value for name, value in body.items() if name not in standard},
    )
    if isinstance(error, TooManyRequests):
        error.retry_after = seconds_to_wait(answer)
    return error


def seconds_to_wait(answer: httpx.Response) -> int:
    """What `Retry-After` says; 1 where it says nothing."""
    said = answer.headers.get("Retry-After", "")
    return int(said) if said.isdigit() else 1
