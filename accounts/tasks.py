"""What the workers do for sign-in."""

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore

from accounts import anchors, chain, spool, tokens


@shared_task(name="accounts.purge_tokens")
def purge_tokens() -> int:
    """Forget what is out of date (on beat, daily)."""
    return tokens.purge_expired()


@shared_task(name="accounts.clear_sessions")
def clear_sessions() -> None:
    """Delete sessions that have ended (on beat, hourly): anybody can begin one by starting to sign in."""
    SessionStore.clear_expired()


@shared_task(name="accounts.seal_audit")
def seal_audit() -> int:
    """Give new events of the audit trail their places in its chains (on beat, every 15 seconds); how many they were."""
    spool.replay()
    return chain.seal()


@shared_task(name="accounts.anchor_audit")
def anchor_audit() -> None:
    """Tell the log, and AUDIT_ANCHOR, where the chains end (on beat, every five minutes)."""
    anchors.anchor()
