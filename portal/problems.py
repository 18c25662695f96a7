"""Errors of the API as RFC 9457 problems."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

CONTENT_TYPE = "application/problem+json"


def problem(status: int, detail: str, **members: Any) -> dict[str, Any]:
    """The body of a problem: title, status, detail, the request's id, and further members."""
    from portal.middleware import request_id

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
            str(name): [str(error) for error in (errors if isinstance(errors, list) else [errors])]
            for name, errors in detail.items()
        }
    return {"non_field_errors": [str(error) for error in (detail if isinstance(detail, list) else [detail])]}


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Every error of an API view as a problem; what Django does not know stays a 500 with its log line."""
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    response = drf_exception_handler(exc, context)
    if response is None or not isinstance(exc, exceptions.APIException):
        return response
    members: dict[str, Any] = {}
    if isinstance(exc, exceptions.ValidationError):
        members["errors"] = _field_errors(exc.detail)
        detail = "; ".join(f"{name}: {' '.join(errors)}" for name, errors in members["errors"].items())
    elif isinstance(exc.detail, dict):
        # Our own refusals name what was required and what the person has; a token's name its fault.
        members = {name: value for name, value in exc.detail.items() if name in ("required", "current", "code")}
        detail = str(exc.detail.get("detail", exc.default_detail))
    else:
        detail = str(exc.detail)
    response.data = problem(response.status_code, detail, **members)
    response.content_type = CONTENT_TYPE
    return response


def not_found(request: Any, exception: Exception | None = None) -> HttpResponse:
    """404 of unknown paths: a problem below /api/, a page elsewhere. Says nothing about why."""
    from django.shortcuts import render

    if request.path.startswith("/api/"):
        return problem_response(404, "Not found.")
    return render(request, "404.html", status=404)


def server_error(request: Any) -> HttpResponse:
    """500: a problem below /api/, a page elsewhere."""
    from django.shortcuts import render

    if request.path.startswith("/api/"):
        return problem_response(500, "Something went wrong on our side. The request id helps to find it.")
    return render(request, "500.html", status=500)
