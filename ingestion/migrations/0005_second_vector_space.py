"""A second vector beside the first, for changing the model while people search (docs/decisions/0015).

The lengths of the vectors leave Django's knowledge and stay in the database's: they change with the model.
"""

import django.db.models.deletion
import pgvector.django.halfvec
import pgvector.django.vector
from django.db import migrations, models

STATES = [
    ("live", "live: searches and new documents use it"),
    ("filling", "being filled"),
    ("checked", "complete and checked, ready to be switched to"),
    ("kept", "was live before, kept for a roll-back"),
]

# The one space that there was had a number of its own; the next takes its number from the sequence.
SEQUENCE = """
SELECT setval(pg_get_serial_sequence('ingestion_vectorspace', 'id'), (SELECT COALESCE(max(id), 0) + 1
FROM ingestion_vectorspace), false)
"""

KEEP_CENTRES = """
CREATE TEMPORARY TABLE earlier_languagecentre ON COMMIT DROP AS
SELECT centre.language, centre.vector, centre.chunks, space.id AS space_id
FROM ingestion_languagecentre AS centre CROSS JOIN ingestion_vectorspace AS space
"""

TAKE_CENTRES = """
INSERT INTO ingestion_languagecentre (space_id, language, vector, chunks)
SELECT space_id, language, vector, chunks FROM earlier_languagecentre
"""

COUNT_ANEW = "UPDATE ingestion_vectorspace SET counted = ''"


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0004_intake")]

    operations = [
        migrations.AddField(
            model_name="vectorspace",
            name="digest",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Of the weights; empty until a node told it.",
                max_length=200,
            ),
        ),
        migrations.AddField(
            model_name="vectorspace",
            name="state",
            field=models.CharField(choices=STATES, db_default="live", default="live", max_length=8),
        ),
        migrations.AddField(
            model_name="vectorspace",
            name="held",
            field=models.BooleanField(db_default=False, default=False, help_text="It is not switched to by itself."),
        ),
        migrations.AddField(
            model_name="vectorspace",
            name="recall",
            field=models.FloatField(
                help_text="Share of the nearest chunks that its index finds, when checked.", null=True
            ),
        ),
        migrations.AddField(
            model_name="vectorspace",
            name="problem",
            field=models.TextField(
                blank=True, db_default="", default="", help_text="Why it does not go on at present."
            ),
        ),
        migrations.AddField(
            model_name="vectorspace",
            name="run",
            field=models.UUIDField(help_text="The run that fills it; a later run wins.", null=True),
        ),
        migrations.AddField(
            model_name="vectorspace",
            name="run_seen_at",
            field=models.DateTimeField(help_text="Last sign of life of that run.", null=True),
        ),
        migrations.AddField(
            model_name="vectorspace",
            name="filled_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="vectorspace",
            name="live_at",
            field=models.DateTimeField(help_text="When it was switched to.", null=True),
        ),
        migrations.AddConstraint(
            model_name="vectorspace",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "live")), fields=("state",), name="vectorspace_one_is_live"
            ),
        ),
        migrations.RunSQL(SEQUENCE, COUNT_ANEW),
        # The primary key of the centres changes, which Django cannot do to a table.
        migrations.RunSQL(KEEP_CENTRES, migrations.RunSQL.noop),
        migrations.DeleteModel(name="LanguageCentre"),
        migrations.CreateModel(
            name="LanguageCentre",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("language", models.CharField(max_length=8)),
                ("vector", pgvector.django.vector.VectorField()),
                ("chunks", models.PositiveIntegerField()),
                (
                    "space",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="centres",
                        to="ingestion.vectorspace",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(TAKE_CENTRES, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="languagecentre",
            constraint=models.UniqueConstraint(fields=("space", "language"), name="languagecentre_once_a_space"),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="chunk", name="embedding", field=pgvector.django.halfvec.HalfVectorField(null=True)
                )
            ]
        ),
        migrations.AddField(
            model_name="chunk",
            name="second_embedding",
            field=pgvector.django.halfvec.HalfVectorField(
                help_text="Its vector in the other vector space, while there is one (ingestion.vectorspace).", null=True
            ),
        ),
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(condition=models.Q(("embedding__isnull", True)), fields=["id"], name="chunk_missing"),
        ),
    ]
