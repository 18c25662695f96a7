"""Counters of sign-ins and of the roll-out, for the operators' metrics."""

from __future__ import annotations

from prometheus_client import Counter

SIGN_INS = Counter("sign_ins", "Attempts to sign in, by how they ended.", ["result"])
"""`result` is one of succeeded, failed, locked (too many failures before), refused (no rule of the table gives the
claims a role, or the account is closed), away (the single sign-on provider did not answer)."""

ROLLOUT = Counter(
    "rollout_requests", "Requests for pages and to the API, by the phase that admitted them.", ["phase", "admitted"]
)
"""`admitted` is yes or no; `phase` is empty for those who were turned away and where there is no phase."""

MAX_PHASES = 50
"""Names of phases that one process counts apart; further ones share the name `other`."""

_phases: set[str] = set()


def count_admission(phase: str, admitted: bool) -> None:
    """Count one request of somebody whom this phase let in, or whom none did."""
    if phase not in _phases and len(_phases) >= MAX_PHASES:
        phase = "other"
    _phases.add(phase)
    ROLLOUT.labels(phase, "yes" if admitted else "no").inc()
