"""Golden queries with their runs, and samples of what the index of vectors finds."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_identity"),
        ("ingestion", "0007_corpus_version"),
        ("search", "0005_typeahead"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RecallSample",
            fields=[
                ("search_id", models.UUIDField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField(auto_now_add=True, db_index=True)),
                ("role", models.CharField(max_length=10)),
                ("recall", models.FloatField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="GoldenQuery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("query", models.CharField(max_length=500)),
                (
                    "mode",
                    models.CharField(
                        choices=[("hybrid", "hybrid"), ("semantic", "semantic"), ("keyword", "keyword")],
                        default="hybrid",
                        max_length=10,
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("anonymous", "nobody signed in"),
                            ("student", "student"),
                            ("staff", "staff"),
                            ("academic", "academic"),
                            ("admin", "administrator"),
                        ],
                        default="student",
                        max_length=10,
                        verbose_name="asked by",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="asked every night")),
                (
                    "fingerprint",
                    models.CharField(
                        editable=False,
                        help_text="Of all that the measures depend on: results of another are not shown.",
                        max_length=64,
                    ),
                ),
                (
                    "departments",
                    models.ManyToManyField(blank=True, related_name="golden_queries", to="accounts.department"),
                ),
                ("expected", models.ManyToManyField(related_name="+", to="ingestion.document")),
            ],
            options={
                "verbose_name_plural": "golden queries",
                "ordering": ["query", "pk"],
            },
        ),
        migrations.CreateModel(
            name="GoldenRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("started_at", models.DateTimeField(auto_now_add=True, db_index=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("failure", models.CharField(blank=True, help_text="Why it measured nothing.", max_length=200)),
                (
                    "started_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-started_at", "-pk"],
            },
        ),
        migrations.CreateModel(
            name="GoldenResult",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fingerprint", models.CharField(max_length=64)),
                ("rank", models.PositiveSmallIntegerField(null=True)),
                ("ndcg", models.FloatField()),
                ("reciprocal_rank", models.FloatField()),
                ("recall", models.FloatField()),
                (
                    "golden",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="results", to="search.goldenquery"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="results", to="search.goldenrun"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("run", "golden"), name="golden_once_a_run")],
            },
        ),
    ]
