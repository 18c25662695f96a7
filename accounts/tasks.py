"""What the workers do for sign-in."""

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore

from accounts import tokens


@shared_task(name="accounts.purge_tokens")
def purge_tokens() -> int:
    """Forget what is out of date (on beat, daily)."""
    return tokens.purge_expired()


@shared_task(name="accounts.clear_sessions")
def clear_sessions() -> None:
    """Delete sessions that have ended (on beat, hourly): anybody can begin one by starting to sign in."""
    SessionStore.clear_expired()
