"""Looking at the portal as somebody else: what curators see then, for how long, and that they only look.

The session keeps who was chosen, never what they may see: that is read from the database at every request, like
everybody's rights. What is shown is what both may see, the curator and the one they look as, so that nobody learns
more in this way than they know already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy

from accounts.audit import note
from accounts.clearance import ANONYMOUS_ROLE, ROLE_CLEARANCE, Role, Viewer, viewer_for
from accounts.models import Department, User

SEEING = "seeing_as"
"""Name in the session: `{"role", "departments"}` or `{"person"}`, with `since` in seconds since 1970 and a `label`."""

LASTS_SECONDS = 30 * 60
"""After so long it ends by itself: nobody should find themselves half blind the next morning."""

ENDING_PAGES = frozenset({"see-as-end", "logout"})
"""The only addresses that take more than a reading request meanwhile, by their names."""

READING = frozenset({"GET", "HEAD", "OPTIONS"})

STATE_HEADER = "X-Seeing-As"
"""What a page's own later requests say of the page: whether it was made for somebody else, and since when."""

NAMED_DEPARTMENTS = 3
"""How many departments a label names before it counts the rest."""

EXPIRED, NOT_ALLOWED, GONE = "expired", "no longer allowed", "the person is gone"

ENDED_BECAUSE = {
    EXPIRED: gettext_lazy("That ended by itself after 30 minutes."),
    NOT_ALLOWED: gettext_lazy("You may not do that any more."),
    GONE: gettext_lazy("That account is closed."),
}


@dataclass(frozen=True)
class Seeing:
    """As whom a curator looks at the portal in this request."""

    label: str
    viewer: Viewer
    """What both may see."""
    narrowed: bool
    """Whether the curator's own rights leave out something that the other one may see."""
    since: int
    """Seconds since 1970."""

    @property
    def blind(self) -> bool:
        """Whether nothing at all is shown to them, as things stand."""
        return not self.viewer.clearance


class OnlyLooking(PermissionDenied):
    """403 of whatever would write while a curator looks as somebody else."""

    template = "see_as/refused.html"

    def __init__(self, label: str) -> None:
        super().__init__("You are looking as somebody else, and can only read. End that first.")
        self.members = {"required": "yourself", "current": label}


def lowered(own: Viewer, other: Viewer, label: str) -> Viewer:
    """A viewer who sees what both of these see, nothing else, and who curates nothing.

    The order of hits follows the departments and the campus of the other; searches are noted under the own user.
    """
    return Viewer(
        role=other.role,
        clearance=min(own.effective_clearance, other.effective_clearance),
        departments=other.departments,
        every_department=other.every_department,
        user_id=own.user_id,
        campus_id=other.campus_id,
        admitted=own.admitted and other.admitted,
        phase=own.phase,
        seen_as=label,
        within=None if own.every_department else own.departments,
    )


def narrows(own: Viewer, other: Viewer) -> bool:
    """Whether a document could exist that the other may see and this one not."""
    if own.effective_clearance < other.effective_clearance:
        return True
    if own.every_department:
        return False
    return other.every_department or not other.departments <= own.departments


def role_label(role: str, departments: list[str]) -> str:
    """How a role in some departments is called: "staff of Finance"."""
    if role == ANONYMOUS_ROLE:
        return "somebody who is not signed in"
    word = str(Role(role).label)
    if not departments:
        return f"{word} without a department"
    named, more = departments[:NAMED_DEPARTMENTS], len(departments) - NAMED_DEPARTMENTS
    if more > 0:
        return f"{word} of {', '.join(named)} and {more} more"
    return f"{word} of {' and '.join([', '.join(named[:-1]), named[-1]] if named[1:] else named)}"


def person_label(person: User) -> str:
    """How a person is called: name and user name."""
    name = person.get_full_name()
    return f"{name} ({person.username})" if name else person.username


def start(request: HttpRequest, chosen: Mapping[str, Any]) -> None:
    """From the next request on the signed-in curator looks as this role or person (see `SEEING`); it is noted."""
    other = _other(chosen, viewer_for(request.user))
    label = other[0] if other else ""
    request.session[SEEING] = {**chosen, "since": int(time.time()), "label": label}
    note("see_as_started", actor=request.user, subject=label, request=request)


def end(request: HttpRequest, reason: str = "ended") -> None:
    """The curator is themselves again; it is noted. Does nothing where they are already."""
    state = request.session.pop(SEEING, None)
    if state is not None:
        note("see_as_ended", actor=request.user, subject=state["label"], request=request, reason=reason)


@receiver(user_logged_out)
def _signed_out(request: HttpRequest | None, **_: Any) -> None:
    """Signing out ends it too: Django calls this before it clears the session."""
    if request is not None and hasattr(request, "session"):
        end(request, "signed out")


def _other(state: Mapping[str, Any], own: Viewer) -> tuple[str, Viewer] | None:
    """The one looked as, read from the database now; None where there is nobody any more whom this viewer may be."""
    if "person" in state:
        person = User.objects.filter(pk=state["person"], is_active=True).first() if own.role == Role.ADMIN else None
        if person is None:
            return None
        # What they prefer is theirs alone, and the order of hits would tell it.
        person.preferred_campus_id, person.languages = None, []
        return person_label(person), viewer_for(person)
    if state["role"] == ANONYMOUS_ROLE:
        return role_label(ANONYMOUS_ROLE, []), viewer_for(AnonymousUser())
    departments = dict(Department.objects.filter(pk__in=state["departments"]).values_list("pk", "name"))
    viewer = Viewer(state["role"], ROLE_CLEARANCE[state["role"]], frozenset(departments))
    return role_label(state["role"], list(departments.values())), viewer


def _unavailable(error: Exception) -> NoReturn:
    raise error


class SeeAsMiddleware:
    """Lowers the signed-in curator to what they chose to look as, and lets them read only. Needs the session."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.seeing, request.seeing_ended = None, ""  # type: ignore[attr-defined]
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return self.get_response(request)
        try:
            self._look(request)
        except (OperationalError, InterfaceError) as error:
            # Whoever asks for the user meets the same error, and nobody is served with rights that were not read.
            request.user = SimpleLazyObject(partial(_unavailable, error))  # type: ignore[assignment]
        if _made_for_another(request):
            return HttpResponse(headers={"HX-Redirect": request.get_full_path()})
        response = self.get_response(request)
        self._note_document(request, response)
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Refuses what would write: while somebody looks as another, and when that ended only just now."""
        match, seeing = request.resolver_match, request.seeing  # type: ignore[attr-defined]
        if request.method in READING or (match and match.view_name in ENDING_PAGES):
            return
        if seeing or request.seeing_ended:  # type: ignore[attr-defined]
            raise OnlyLooking(seeing.label if seeing else "somebody else, until just now")

    def _look(self, request: HttpRequest) -> None:
        """Read from the session as whom the person looks, and lower them; end it where it does not hold any more."""
        user = request.user
        state = request.session.get(SEEING) if user.is_authenticated else None
        if state is None or not user.is_authenticated:
            return
        own = viewer_for(user)
        other = _other(state, own) if user.is_staff else None
        if other is None or time.time() - state["since"] > LASTS_SECONDS:
            gone = other is None and user.is_staff and own.role == Role.ADMIN
            reason = EXPIRED if other else GONE if gone else NOT_ALLOWED
            end(request, reason)
            request.seeing_ended = str(ENDED_BECAUSE[reason])  # type: ignore[attr-defined]
            return
        label, viewer = other
        seeing = Seeing(label, lowered(own, viewer, label), narrows(own, viewer), state["since"])
        user.seen_as, request.seeing = seeing.viewer, seeing  # type: ignore[attr-defined]

    def _note_document(self, request: HttpRequest, response: HttpResponse) -> None:
        """Each document that was shown, read or downloaded in this way: every address of one has its id."""
        match = request.resolver_match
        document = match.kwargs.get("pk") if match else None
        if request.seeing and response.status_code == 200 and isinstance(document, UUID):  # type: ignore[attr-defined]
            note("document_seen_as", actor=request.user, subject=str(document), request=request)


def _made_for_another(request: HttpRequest) -> bool:
    """Whether part of a page is asked for that was made while this person looked as somebody else than now.

    The part would stand under a banner that is not true, so the whole page is made anew.
    """
    if "HX-Request" not in request.headers or request.method != "GET":
        return False
    seeing: Seeing | None = request.seeing  # type: ignore[attr-defined]
    return request.headers.get(STATE_HEADER, "") != (str(seeing.since) if seeing else "")
