"""Saved searches and documents, and what people asked lately."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

DIGEST = "SHA-256 of the address, which may be too long for an index."


class Migration(migrations.Migration):
    dependencies = [
        ("search", "0007_curation"),
        ("ingestion", "0008_retrieval"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SavedSearch",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=100)),
                ("address", models.TextField()),
                ("digest", models.CharField(help_text=DIGEST, max_length=64)),
                (
                    "alert",
                    models.CharField(
                        choices=[("off", "not at all"), ("site", "here, in Cloister"), ("mail", "here and by e-mail")],
                        default="off",
                        max_length=4,
                    ),
                ),
                (
                    "rhythm",
                    models.CharField(
                        choices=[("day", "every day"), ("week", "every Monday")], default="day", max_length=4
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "checked_on",
                    models.DateField(help_text="Empty: what it finds next is known already, not new.", null=True),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="saved_searches",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["name", "pk"],
                "constraints": [
                    models.UniqueConstraint(fields=("owner", "digest"), name="search_saved_once"),
                    models.CheckConstraint(
                        condition=models.Q(("alert__in", ["off", "site", "mail"])), name="saved_alert_is_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rhythm__in", ["day", "week"])), name="saved_rhythm_is_known"
                    ),
                ],
                "indexes": [
                    models.Index(
                        condition=models.Q(("alert", "off"), _negated=True),
                        fields=["checked_on"],
                        name="saved_to_check",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="FoundDocument",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("told", models.BooleanField(help_text="It was new, and its owner is told of it.")),
                ("at", models.DateTimeField(auto_now_add=True)),
                ("seen_at", models.DateTimeField(null=True)),
                ("mailed_at", models.DateTimeField(help_text="Claimed for a mail, before it is sent.", null=True)),
                (
                    "document",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="found_by", to="ingestion.document"
                    ),
                ),
                (
                    "saved",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="found", to="search.savedsearch"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("saved", "document"), name="found_once_a_search"),
                ],
                "indexes": [
                    models.Index(
                        condition=models.Q(("seen_at__isnull", True), ("told", True)),
                        fields=["saved"],
                        name="found_and_not_seen",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SavedDocument",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "document",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="saved_by", to="ingestion.document"
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="saved_documents",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("owner", "document"), name="document_saved_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="RememberedSearch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.CharField(blank=True, max_length=500)),
                ("address", models.TextField()),
                ("digest", models.CharField(help_text=DIGEST, max_length=64)),
                ("at", models.DateTimeField()),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="remembered_searches",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-at", "-pk"],
                "constraints": [models.UniqueConstraint(fields=("owner", "digest"), name="search_remembered_once")],
                "indexes": [models.Index(fields=["owner", "-at"], name="remembered_newest")],
            },
        ),
    ]
