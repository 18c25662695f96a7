"""What the API reads of a request's body: bounded, so that nobody can fill the memory or the disk with one request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework import parsers, status
from rest_framework.exceptions import APIException, ParseError

MAX_JSON_BYTES = 1024 * 1024
"""No body of the API but an upload comes near it: a query has 500 characters, a filter 50 values of 200."""

MAX_FORM_BYTES = 1024 * 1024
"""What an upload may have beside its file: the form's fields and its boundaries."""


class TooLarge(APIException):
    """413: the body is longer than this address takes."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


def _require_at_most(limit: int, parser_context: Mapping[str, Any] | None) -> None:
    """Refuse a longer body by its announced length, before any of it is read.

    The server reads no more than was announced, so that the announcement can be trusted. Raises TooLarge.
    """
    length = parser_context["request"].META.get("CONTENT_LENGTH") if parser_context else None
    if length and int(length) > limit:
        raise TooLarge(f"The body has {length} bytes; at most {limit} are taken.")


class BoundedJSONParser(parsers.JSONParser):
    """JSON of at most MAX_JSON_BYTES."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The value that the body holds. Raises TooLarge and ParseError."""
        _require_at_most(MAX_JSON_BYTES, parser_context)
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None


class BoundedMultiPartParser(parsers.MultiPartParser):
    """A form with a file of at most MAX_UPLOAD_BYTES."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The form's fields and files. Raises TooLarge and ParseError."""
        _require_at_most(settings.MAX_UPLOAD_BYTES + MAX_FORM_BYTES, parser_context)
        return super().parse(stream, media_type, parser_context)


class BulkMultiPartParser(parsers.MultiPartParser):
    """A form with several files, of at most MAX_BATCH_BYTES together."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The form's fields and files. Raises TooLarge and ParseError."""
        _require_at_most(settings.MAX_BATCH_BYTES, parser_context)
        return super().parse(stream, media_type, parser_context)
