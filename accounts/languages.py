"""In which language people are written to."""

from __future__ import annotations

from django.conf import settings

from accounts.models import User


def language_of_mails(person: User) -> str:
    """One of LANGUAGES: LANGUAGE_CODE for whom reads it or says nothing of languages, else the first that they read.

    What they chose for the pages is their browser's to know.
    """
    usual: str = settings.LANGUAGE_CODE
    if not person.languages or usual.split("-")[0] in person.languages:
        return usual
    return next((code for code, _ in settings.LANGUAGES if code.split("-")[0] in person.languages), usual)
