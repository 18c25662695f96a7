"""Who is asking, and how they prove it."""

from accounts.models.audit import AuditChain, AuditEvent, AuditPurge, AuditSeal
from accounts.models.claims import ClaimRule
from accounts.models.people import Campus, Department, PersonManager, User
from accounts.models.rollout import Phase
from accounts.models.tokens import ApiKey, RevokedGrant, Scope

__all__ = [
    "ApiKey",
    "AuditChain",
    "AuditEvent",
    "AuditPurge",
    "AuditSeal",
    "Campus",
    "ClaimRule",
    "Department",
    "PersonManager",
    "Phase",
    "RevokedGrant",
    "Scope",
    "User",
]
