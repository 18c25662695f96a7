"""What a change of access does to people: of one document, and of several together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class RoleEffect:
    """What a change does to the people of one role."""

    role: str
    before: int
    after: int
    gained: int
    lost: int


@dataclass(frozen=True)
class _OnPeople:
    """What a change does to the people of each role that it concerns."""

    roles: tuple[RoleEffect, ...]

    @property
    def gained(self) -> int:
        """How many people come to see something that they did not."""
        return sum(one.gained for one in self.roles)

    @property
    def lost(self) -> int:
        """How many people lose sight of something."""
        return sum(one.lost for one in self.roles)


@dataclass(frozen=True)
class Effect(_OnPeople):
    """What a change does to who sees something, from some moment on (None: at once)."""

    anonymous_before: bool
    anonymous_after: bool
    moment: datetime | None = None

    @property
    def before(self) -> int:
        """How many people see it without the change."""
        return sum(one.before for one in self.roles)

    @property
    def after(self) -> int:
        """How many people see it with the change."""
        return sum(one.after for one in self.roles)

    @property
    def matters(self) -> bool:
        """Whether it makes a difference to anybody."""
        return bool(self.gained or self.lost or self.anonymous_before != self.anonymous_after)


@dataclass(frozen=True)
class JointEffect(_OnPeople):
    """What changes of several documents do to who sees them, from some moment on (None: at once).

    `before` and `after` of a role count who sees at least one of them; `gained` and `lost` who comes to see, or loses
    sight of, at least one: somebody may be both.
    """

    opens: bool
    """Whether one of them comes to be seen by everybody, without signing in."""
    shuts: bool
    """Whether everybody who is not signed in loses sight of one of them."""
    moment: datetime | None = None

    @property
    def matters(self) -> bool:
        """Whether it makes a difference to anybody."""
        return bool(self.gained or self.lost or self.opens or self.shuts)
