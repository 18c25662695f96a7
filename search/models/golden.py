"""Questions whose right answers librarians know, and how they fared."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from accounts.clearance import ANONYMOUS_ROLE, Role
from accounts.models import Department
from ingestion.models import Document
from search.query import MAX_QUERY_LENGTH, Mode


class GoldenQuery(models.Model):
    """A question with the documents that answer it, asked every night as a certain kind of person (search.golden)."""

    query = models.CharField(max_length=MAX_QUERY_LENGTH)
    mode = models.CharField(
        max_length=10, choices=[(mode.value, mode.value) for mode in Mode], default=Mode.HYBRID.value
    )
    role = models.CharField(
        "asked by", max_length=10, choices=[(ANONYMOUS_ROLE, "nobody signed in"), *Role.choices], default=Role.STUDENT
    )
    departments = models.ManyToManyField(Department, blank=True, related_name="golden_queries")
    expected = models.ManyToManyField(Document, related_name="+")
    is_active = models.BooleanField("asked every night", default=True)
    fingerprint = models.CharField(
        max_length=64, editable=False, help_text="Of all that the measures depend on: results of another are not shown."
    )

    class Meta:
        ordering = ["query", "pk"]
        verbose_name_plural = "golden queries"

    def __str__(self) -> str:
        return self.query


class GoldenRun(models.Model):
    """One time that all golden queries were asked. Unfinished while `finished_at` is empty."""

    started_at = models.DateTimeField(auto_now_add=True, db_index=True)
    finished_at = models.DateTimeField(null=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    failure = models.CharField(max_length=200, blank=True, help_text="Why it measured nothing.")

    class Meta:
        ordering = ["-started_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class GoldenResult(models.Model):
    """How one golden query fared in one run: measures over the first ten hits, and the rank of the first right one."""

    run = models.ForeignKey(GoldenRun, on_delete=models.CASCADE, related_name="results")
    golden = models.ForeignKey(GoldenQuery, on_delete=models.CASCADE, related_name="results")
    fingerprint = models.CharField(max_length=64)
    rank = models.PositiveSmallIntegerField(null=True)
    ndcg = models.FloatField()
    reciprocal_rank = models.FloatField()
    recall = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "golden"], name="golden_once_a_run")]

    def __str__(self) -> str:
        return f"{self.golden_id}: {self.rank}"
