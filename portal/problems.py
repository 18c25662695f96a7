"""Errors of the API as RFC 9457 problems."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from accounts.parsing import TooLarge

CONTENT_TYPE = "application/problem+json"


def problem(status: int, detail: str, **members: Any) -> dict[str, Any]:
    """The body of a problem: title, status, detail, the request's id, and further members."""
    from portal.tracing import request_id

    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id.get(),
        **members,
    }


def problem_response(status: int, detail: str, *, retry_after: int | None = None, **members: Any) -> HttpResponse:
    """A problem as a finished answer, for places outside the REST framework."""
    response = JsonResponse(problem(status, detail, **members), status=status, content_type=CONTENT_TYPE)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


def _field_errors(detail: Any) -> dict[str, list[str]]:
    """Field name -> sentences, whatever shape the serializer's errors have."""
    if isinstance(detail, dict):
        return {
            _whole(name): [_whole(error) for error in (errors if isinstance(errors, list) else [errors])]
            for name, errors in detail.items()
        }
    return {"non_field_errors": [_whole(error) for error in (detail if isinstance(detail, list) else [detail])]}


def _whole(text: Any) -> str:
    """A text that can be sent: half a character that a body held ("\\ud800") stands in it as a question mark."""
    return str(text).encode(errors="replace").decode()


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Every error of an API view as a problem; what Django does not know stays a 500 with its log line."""
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    elif isinstance(exc, RequestDataTooBig):
        exc = TooLarge("The form is too large.")
    elif isinstance(exc, SuspiciousOperation):
        exc = exceptions.ParseError("The request is malformed.")
    response = drf_exception_handler(exc, context)
    if response is None or not isinstance(exc, exceptions.APIException):
        return response
    members: dict[str, Any] = dict(getattr(exc, "members", {}))
    if isinstance(exc, exceptions.ValidationError):
        members["errors"] = _field_errors(exc.detail)
        detail = "; ".join(f"{name}: {' '.join(errors)}" for name, errors in members["errors"].items())
    elif isinstance(exc.detail, dict):
        # A token's fault has a code that clients act on: a token that is out of date is renewed.
        members |= {"code": str(exc.detail["code"])} if "code" in exc.detail else {}
        detail = str(exc.detail.get("detail", exc.default_detail))
    else:
        detail = str(exc.detail)
    response.data = problem(response.status_code, detail, **members)
    response.content_type = CONTENT_TYPE
    for name, value in getattr(exc, "headers", {}).items():
        response[name] = value
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 of requests that no view ever saw, such as those for another host."""
    if request.path.startswith("/api/"):
        return problem_response(400, "The request is malformed.")
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403 outside the API's own views: a problem below /api/, a page elsewhere, each with what the refusal says."""
    if request.path.startswith("/api/"):
        detail = str(exception) or "You may not do this."
        return problem_response(403, detail, **getattr(exception, "members", {}))
    template = getattr(exception, "template", "403.html")
    return render(request, template, {"signed_in": signed_in(request)}, status=403)


def signed_in(request: HttpRequest) -> bool:
    """Whether the page of an error can say who is signed in: somebody is, and the database tells so."""
    try:
        return bool(request.user.is_authenticated)
    # No middleware got as far as to say who asks, or nothing can be read.
    except (AttributeError, InterfaceError, OperationalError):
        return False


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404 of unknown paths: a problem below /api/, a page elsewhere. Says nothing about why."""
    if request.path.startswith("/api/"):
        return problem_response(404, "Not found.")
    response = render(request, "404.html", {"signed_in": signed_in(request)}, status=404)
    # Whether anybody looked who asks must not show: an address that is hidden from them is not to be told from none.
    patch_vary_headers(response, ["Cookie"])
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """500: a problem below /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        return problem_response(500, "Something went wrong on our side. The request id helps to find it.")
    return render(request, "500.html", status=500)
