"""A trusted system that asks on behalf of a person, such as an assistant of the service desk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from accounts.clearance import viewer_for
from accounts.models import ApiKey, Scope, User
from accounts.permissions import Refused
from accounts.seeing import lowered, person_label

ACTING_FOR = "acting_for"
"""What the parameter is called, in a query string and in a body."""


def act_for(request: Request, name: str) -> None:
    """From here on the request is answered with what both may see: the service account and the person of this name.

    What they prefer is theirs alone, as when a curator looks as somebody; like that, it stands in the audit trail with
    each search. Raises Refused where the request does not come with a key of the scope `act`, and ValidationError where
    nobody has this name.
    """
    key = request.auth if isinstance(request.auth, ApiKey) else None
    scopes = key.scopes if key else []
    if key is None or Scope.ACT not in scopes:
        raise Refused(
            "Only an API key that was made for it may act for a person.",
            required=str(Scope.ACT),
            current=sorted(scopes),
        )
    person = User.objects.filter(username=name, is_active=True).first() if "\0" not in name else None
    if person is None:
        raise ValidationError({ACTING_FOR: ["Nobody of this user name may sign in."]})
    person.preferred_campus_id, person.languages = None, []
    account = key.user
    request.__dict__["viewer"] = account.seen_as = lowered(
        viewer_for(account), viewer_for(person), person_label(person)
    )


def asked_for(data: Any) -> str | None:
    """The user name under ACTING_FOR, in a query string or in a body; None where there is none.

    Raises ValidationError for what is no name.
    """
    name = data.get(ACTING_FOR) if isinstance(data, Mapping) else None
    if name is not None and (not isinstance(name, str) or not name):
        # An empty one is a mistake of the system that asks: it must not be shown all that it may see itself.
        raise ValidationError({ACTING_FOR: ["Give a user name."]})
    return name
