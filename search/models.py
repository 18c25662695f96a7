"""What is kept of searches: the audit trail, what people say of their hits, and how good they were found to be."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from accounts.clearance import ANONYMOUS_ROLE, Role
from accounts.models import Department
from ingestion.models import Chunk, Document
from search.query import MAX_QUERY_LENGTH, Mode


class SearchEvent(models.Model):
    """One answered search: who asked what, as whom, and how many documents were found."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="searches")
    role = models.CharField(max_length=10)
    # With defaults of the database too: while a release is rolled out, processes of the one before go on writing.
    seen_as = models.CharField(
        max_length=200, blank=True, db_default="", help_text="As whom a curator searched, if not themselves."
    )
    phase = models.CharField(
        max_length=40, blank=True, db_default="", help_text="The roll-out's phase that admitted them."
    )
    query = models.CharField(max_length=500)
    filters = models.JSONField(default=dict)
    mode = models.CharField(max_length=10)
    degraded = models.JSONField(default=list)
    count = models.PositiveIntegerField()
    page = models.PositiveIntegerField(default=1)
    duration_ms = models.PositiveIntegerField()
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.query}"


class Verdict(models.TextChoices):
    """Whether a hit helped."""

    HELPFUL = "helpful", "helpful"
    UNHELPFUL = "unhelpful", "not helpful"


class Feedback(models.Model):
    """What a person said of one hit of one search; a later word replaces an earlier one."""

    search = models.ForeignKey(SearchEvent, on_delete=models.CASCADE, related_name="feedback")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="feedback")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["search", "document"], name="feedback_once_a_hit")]

    def __str__(self) -> str:
        return f"{self.verdict}: {self.document_id}"


class Heading(models.Model):
    """A document's title (in the row of its first chunk) or the section of a chunk, by its words, for completing.

    The database itself writes these rows (search/migrations/0005). They say nothing of who may see them: the document
    does. A title's text is the document's; a section's is the chunk's, with the headings above it.
    """

    chunk = models.ForeignKey(Chunk, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    document = models.ForeignKey(Document, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    is_title = models.BooleanField()
    staged = models.BooleanField()
    text = models.CharField(max_length=300)
    words = SearchVectorField()

    class Meta:
        indexes = [
            GinIndex(fields=["words"], condition=models.Q(is_title=True), name="heading_title_words"),
            GinIndex(fields=["words"], condition=models.Q(is_title=False), name="heading_section_words"),
        ]

    def __str__(self) -> str:
        return f"{self.document_id}: {self.text}"


class VocabularyWord(models.Model):
    """A word of any chunk, as the index has it. Who may be shown it is asked when it is wanted (search.vocabulary)."""

    word = models.CharField(max_length=40, primary_key=True)

    class Meta:
        indexes = [GinIndex(fields=["word"], opclasses=["gin_trgm_ops"], name="vocabulary_word_trgm")]

    def __str__(self) -> str:
        return self.word


class VocabularyReading(models.Model):
    """How far the words of the corpus were read, and when all of them were last. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    last_chunk = models.BigIntegerField(default=0)
    whole_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"up to chunk {self.last_chunk}"


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
