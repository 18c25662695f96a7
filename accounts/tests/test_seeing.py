"""Looking as somebody else, where the database or the session does not play along."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

from accounts.clearance import ANONYMOUS_ROLE, Role, Viewer
from accounts.seeing import SeeAsMiddleware, lowered, role_label


def request_with(user: Any, **cookies: str) -> HttpRequest:
    request = RequestFactory().post("/")
    request.user = user
    request.COOKIES.update(cookies)
    return request


def test_whoever_asks_for_the_user_meets_the_error_that_kept_the_session_from_being_read() -> None:
    answers = iter([OperationalError("away"), AnonymousUser()])

    def user() -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def view(request: HttpRequest) -> HttpResponse:
        # The database is back by now; the rights of this request were not read all the same.
        return HttpResponse(str(request.user))

    request = request_with(SimpleLazyObject(user), **{settings.SESSION_COOKIE_NAME: "x"})
    with pytest.raises(OperationalError):
        SeeAsMiddleware(view)(request)


def test_without_a_session_nobody_asks_for_the_user() -> None:
    def user() -> Any:
        raise AssertionError("asked")

    answer = SeeAsMiddleware(lambda request: HttpResponse("served"))(request_with(SimpleLazyObject(user)))
    assert answer.content == b"served"


@pytest.mark.parametrize(
    ("role", "departments", "label"),
    [
        (ANONYMOUS_ROLE, [], "somebody who is not signed in"),
        (Role.STUDENT, [], "student without a department"),
        (Role.STAFF, ["Finance"], "staff of Finance"),
        (Role.STAFF, ["Finance", "Law"], "staff of Finance and Law"),
        (Role.STAFF, ["Finance", "Law", "Library"], "staff of Finance, Law and Library"),
        (Role.ACADEMIC, ["A", "B", "C", "D", "E"], "academic of A, B, C and 2 more"),
    ],
)
def test_a_role_is_called_by_its_departments(role: str, departments: list[str], label: str) -> None:
    assert role_label(role, departments) == label


def test_a_lowered_viewer_curates_nothing_and_reclassifies_nothing() -> None:
    boss = Viewer(Role.ADMIN, 4, every_department=True, user_id=1)
    seen = lowered(boss, boss, "another administrator")
    assert (seen.effective_clearance, seen.user_id) == (4, 1)
    assert not seen.curates
    assert not seen.may_reclassify(1, 1)
