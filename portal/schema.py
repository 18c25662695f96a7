"""What the API's description says of every operation alike: its problems, and the headers of every answer."""

from __future__ import annotations

from typing import Any

PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do, for people."},
        "request_id": {"type": "string", "description": "Name it when you report something."},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "description": "With 400: sentences by field.",
        },
        "required": {"description": "With 403: what would be needed."},
        "current": {"description": "With 403: what the person has."},
        "opens_at": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "With 403: when the portal opens to them.",
        },
        "existing": {"type": "string", "format": "uuid", "description": "With 409: the document that is there."},
    },
    "required": ["type", "title", "status", "detail", "request_id"],
}  # fmt: skip

RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}

ANYWHERE = {
    "400": "The request is malformed, or a value in it is wrong.",
    "401": "The token or key does not hold, or one is needed.",
    "403": "It is known who asks, and they may not do this.",
    "429": "Too many requests.",
    "500": "An error of ours.",
    "503": "The database or the storage of the originals is away.",
}
ABOUT_ONE = {"404": "There is nothing here that the person may see."}
WITH_A_BODY = {
    "413": "The body is too large.",
    "415": "The body is of a type that this address does not take.",
}
CONDITIONAL = {"412": "The document has changed since it was read."}
STANDS_AGAINST = {"409": "The document's state, or another document, stands against it."}
KEYED = {"422": "The Idempotency-Key came before with another request."}


def with_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Says of each operation which problems it may answer (a hook of drf-spectacular)."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            headers = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"}
            problems = dict(ANYWHERE)
            if "{" in path or method == "get":
                problems |= ABOUT_ONE
            if "requestBody" in operation:
                problems |= WITH_A_BODY
            if "If-Match" in headers:
                problems |= CONDITIONAL
            if "Idempotency-Key" in headers:
                problems |= KEYED
            if "/documents/" in path and method != "get":
                problems |= STANDS_AGAINST
            for status, sentence in problems.items():
                operation["responses"].setdefault(status, _problem(status, sentence))
            operation["responses"] = dict(sorted(operation["responses"].items()))
            for answer in operation["responses"].values():
                answer.setdefault("headers", {})["X-Request-ID"] = {"schema": {"type": "string"}}
    return result


def _problem(status: str, sentence: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "description": sentence,
        "content": content,
        **({"headers": dict(RETRY_AFTER)} if status in ("429", "503") else {}),
    }
