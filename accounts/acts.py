"""The acts of the audit trail, in words that people read."""

from __future__ import annotations

IN_WORDS = {
    "account_closed": "account closed for good",
    "alert_mailed": "told by mail of new documents in saved searches",
    "api_key_made": "API key made",
    "api_key_revoked": "API key revoked",
    "audit_exported": "audit trail exported",
    "audit_purged": "events purged from the audit trail",
    "audit_read": "audit trail of searches read",
    "audience_changed": "who sees a document changed",
    "best_bet_changed": "best bet changed",
    "claim_rule_changed": "claim rule changed",
    "claims_applied": "rights set from the university account",
    "data_erased": "saved things, history and feedback erased",
    "data_exported": "personal data exported",
    "document_archived": "document archived",
    "document_changed": "document changed",
    "document_deleted": "document deleted",
    "document_downloaded": "document's file downloaded",
    "document_file_replaced": "document's file replaced",
    "document_restored": "document restored from the archive",
    "document_retried": "document retried",
    "document_seen_as": "opened a document as somebody else",
    "document_uploaded": "document uploaded",
    "document_version_restored": "earlier version of a document brought back",
    "document_viewed": "document viewed",
    "golden_query_changed": "golden query changed",
    "grant_revoked": "tokens taken back",
    "identity_confirmed": "confirmed that it is them",
    "locked_out": "locked out after failed sign-ins",
    "password_changed": "password changed",  # nosec B105  # an act's name
    "phase_changed": "phase changed",
    "personal_data_acknowledged": "personal data in a document acknowledged",
    "place_deleted": "department or campus deleted",
    "role_changed": "rights changed",
    "see_as_ended": "stopped looking as somebody else",
    "see_as_started": "began to look as somebody else",
    "sign_in_failed": "sign-in failed",
    "signed_in": "signed in",
    "signed_out": "signed out",
    "signed_out_everywhere": "signed out everywhere",
    "synonyms_changed": "synonyms changed",
}
"""What an act's fixed word means (`accounts.audit.note`)."""


def in_words(action: str) -> str:
    """An action as people read it; one that is not known here by its own word."""
    return IN_WORDS.get(action, action.replace("_", " "))
