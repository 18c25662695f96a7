"""What the index of vectors finds, compared with all that there was to find."""

from __future__ import annotations

from django.db import models


class RecallSample(models.Model):
    """How many of the ten nearest chunks the index found for one search, compared with all (search.recall).

    Empty where the search does not go through the index.
    """

    search_id = models.UUIDField(primary_key=True)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    role = models.CharField(max_length=10)
    recall = models.FloatField(null=True)

    def __str__(self) -> str:
        return f"{self.role}: {self.recall}"
