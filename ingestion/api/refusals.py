"""How the documents' API says no, where the framework has no answer of its own."""

from __future__ import annotations

from rest_framework import exceptions, status


class Conflict(exceptions.APIException):
    """409: the document's state, or another document, stands against it."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"

    def __init__(self, detail: str, **members: str) -> None:
        super().__init__(detail)
        self.members = members


class StorageUnavailable(exceptions.APIException):
    """503: nothing can be stored, or read from where it is stored, at the moment."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The storage of the original files does not answer. Try again in a few minutes."
    default_code = "storage_unavailable"


class PreconditionFailed(exceptions.APIException):
    """412: the document is not the one any more that the request is about."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = "This document has changed since you read it. Read it again, and decide again."
    default_code = "precondition_failed"


class KeyUsedOtherwise(exceptions.APIException):
    """422: a key that made one request unique comes with another one."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "This Idempotency-Key was sent before, with another request. Send a new key with a new request."
    default_code = "key_used_otherwise"
