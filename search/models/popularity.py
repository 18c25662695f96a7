"""How popular documents are, as a worker counted it."""

from django.db import models


class Popularity(models.Model):
    """A document's popularity, -1 to 1 (search.approval). It may outlive the document until all is counted again."""

    document_id = models.UUIDField(primary_key=True)
    value = models.FloatField()

    def __str__(self) -> str:
        return f"{self.document_id}: {self.value:.2f}"
