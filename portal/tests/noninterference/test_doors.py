"""No address of the portal is forgotten."""

from __future__ import annotations

from portal.tests.noninterference import comparison  # noqa: F401  (enters all doors)
from portal.tests.noninterference.doors import DOORS, EXEMPT, routes
from portal.tests.noninterference.doors_admin import other_admin_routes


def test_every_address_has_a_door_or_a_reason_why_not() -> None:
    asked = {route for door in DOORS.values() for route in door.routes} | set(other_admin_routes())
    forgotten = [route for route in routes() if route not in asked and route not in EXEMPT]
    assert forgotten == [], "enter a door for these in doors.py, or an exemption with its reason"


def test_no_door_and_no_exemption_is_for_an_address_that_is_gone() -> None:
    known = set(routes())
    named = {route for door in DOORS.values() for route in door.routes} | set(EXEMPT)
    assert named - known == set()
