"""Best bets and synonyms. Whoever's answers they change is given new ones at once (ingestion/migrations/0007): a best bet
changes the answers of those who may see its document, and nobody else learns that there is one."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

CHANGED = """
    INSERT INTO ingestion_corpuschange (clearance, readers)
    SELECT DISTINCT document.clearance, document.readers
    FROM {rows} AS bet JOIN ingestion_document AS document ON document.id = bet.document_id
    WHERE document.is_searchable;
    RETURN NULL;
"""
OF_ONE, OF_BOTH = (CHANGED.format(rows=rows) for rows in ("changed", "(SELECT * FROM before UNION ALL TABLE changed)"))

FORWARD = f"""
CREATE FUNCTION search_change_of_bets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {OF_ONE} END $$;
CREATE FUNCTION search_change_of_changed_bets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {OF_BOTH} END $$;
CREATE TRIGGER search_bestbet_inserted AFTER INSERT ON search_bestbet
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION search_change_of_bets();
CREATE TRIGGER search_bestbet_deleted AFTER DELETE ON search_bestbet
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION search_change_of_bets();
CREATE TRIGGER search_bestbet_updated AFTER UPDATE ON search_bestbet
    REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_change_of_changed_bets();
CREATE TRIGGER search_bestbet_truncated AFTER TRUNCATE ON search_bestbet
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_for_all();
CREATE TRIGGER search_synonyms_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON search_synonymgroup
    FOR EACH STATEMENT EXECUTE FUNCTION ingestion_change_for_all();
"""

BACKWARD = """
DROP FUNCTION search_change_of_bets(), search_change_of_changed_bets() CASCADE;
DROP TRIGGER search_bestbet_truncated ON search_bestbet;
DROP TRIGGER search_synonyms_changed ON search_synonymgroup;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0007_corpus_version"),
        ("search", "0006_golden_queries"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Popularity",
            fields=[
                ("document_id", models.UUIDField(primary_key=True, serialize=False)),
                ("value", models.FloatField()),
            ],
        ),
        migrations.CreateModel(
            name="SynonymGroup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "terms",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=100),
                        help_text="Words or phrases that mean the same.",
                        size=None,
                    ),
                ),
                (
                    "one_way",
                    models.BooleanField(
                        default=False,
                        help_text="Who asks for the first is given the others too, and not the other way round.",
                        verbose_name="one way",
                    ),
                ),
                (
                    "language",
                    models.CharField(
                        blank=True,
                        help_text="In which the words are inflected. Empty: in any.",
                        max_length=10,
                        verbose_name="language",
                    ),
                ),
                (
                    "note",
                    models.CharField(blank=True, help_text="For your colleagues.", max_length=300, verbose_name="note"),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="in use")),
                (
                    "forms",
                    models.JSONField(
                        default=list,
                        editable=False,
                        help_text="Of each term the words, each with the forms that the index has of it.",
                    ),
                ),
                (
                    "begins",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(),
                        default=list,
                        editable=False,
                        help_text="The forms of their first words.",
                        size=None,
                    ),
                ),
            ],
            options={
                "verbose_name": "synonyms",
                "verbose_name_plural": "synonyms",
                "ordering": ["terms", "pk"],
                "indexes": [django.contrib.postgres.indexes.GinIndex(fields=["begins"], name="synonyms_begin")],
            },
        ),
        migrations.CreateModel(
            name="BestBet",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "queries",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=500), help_text="As people ask it.", size=None
                    ),
                ),
                (
                    "asked",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(),
                        editable=False,
                        help_text="The words of the queries, as they are compared.",
                        size=None,
                    ),
                ),
                (
                    "place",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="Among several for the same query: 1 stands first.",
                        verbose_name="place",
                    ),
                ),
                (
                    "starts_on",
                    models.DateField(
                        blank=True, help_text="The first day. Empty: at once.", null=True, verbose_name="from"
                    ),
                ),
                (
                    "ends_on",
                    models.DateField(
                        blank=True, help_text="The last day. Empty: for good.", null=True, verbose_name="until"
                    ),
                ),
                (
                    "note",
                    models.CharField(
                        blank=True,
                        help_text="For your colleagues; readers never see it.",
                        max_length=300,
                        verbose_name="note",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="in use")),
                ("made_at", models.DateTimeField(auto_now_add=True)),
                (
                    "document",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="ingestion.document",
                    ),
                ),
                (
                    "made_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "best bet",
                "verbose_name_plural": "best bets",
                "ordering": ["queries", "pk"],
                "indexes": [django.contrib.postgres.indexes.GinIndex(fields=["asked"], name="best_bet_asked")],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
