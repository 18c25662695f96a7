"""Documents by the day of their review, which is what people narrow a search to."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # An index is built concurrently outside of any transaction.
    atomic = False
    dependencies = [("ingestion", "0007_corpus_version")]
    operations = [
        AddIndexConcurrently(
            "document",
            models.Index(fields=["last_reviewed"], condition=models.Q(is_searchable=True), name="document_reviewed"),
        ),
    ]
