"""What changed of the corpus, noted by the database itself."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.clearance import RestrictedQuerySet


class CorpusChange(models.Model):
    """One change of what searches answer, for those who meet the access of a document that it concerns.

    The database writes it, in the transaction of the change (triggers in ingestion/migrations/0007), and draws its
    token at random: the tokens that somebody sees tell every state of the corpus from every other.
    """

    token = models.BigIntegerField(primary_key=True, editable=False)
    clearance = models.PositiveSmallIntegerField()
    readers = ArrayField(models.IntegerField())

    objects = RestrictedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.token:x}"
