"""Documents, and the words that describe them."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.deletion import Collector
from django.urls import reverse

from accounts.clearance import Audience, CuratedQuerySet, Restricted
from accounts.models import Campus, Department
from ingestion.models.intake import UploadBatch


class DocumentType(models.Model):
    """A kind of document, such as policy or guide."""

    slug = models.SlugField(unique=True, help_text="The short name that filters, manifests and the API use.")
    name = models.CharField(max_length=60, help_text="The name that people read.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    """A free key word that librarians give to documents."""

    name = models.CharField(max_length=60, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Status(models.TextChoices):
    """Where a document is on its way into the search."""

    QUEUED = "queued", "queued"
    EXTRACTING = "extracting", "reading the file"
    EMBEDDING = "embedding", "embedding"
    READY = "ready", "ready"
    FAILED = "failed", "failed"
    ARCHIVED = "archived", "archived"


WORKING = (Status.QUEUED, Status.EXTRACTING, Status.EMBEDDING)
"""The states of a document that something is still to be done for."""


def original_path(_document: Document, _file_name: str) -> str:
    """A generated name for a stored original: nothing of the uploader's file name reaches the file system."""
    name = uuid.uuid4().hex
    return f"originals/{name[:2]}/{name}"


class Documents(models.Manager.from_queryset(CuratedQuerySet)):  # type: ignore[misc]
    """Documents without what is long and seldom asked for: it is read where somebody looks at it."""

    def get_queryset(self) -> CuratedQuerySet:
        """All documents."""
        documents: CuratedQuerySet = super().get_queryset().defer("outline", "sketch", "sketch_bands")
        return documents


def attachments_go_along(collector: Collector, field: Any, parts: Any, using: str) -> None:
    """What becomes of a document's parts when it is deleted: attachments go with it, the others stay by themselves."""
    models.CASCADE(collector, field, parts.filter(is_attachment=True), using)
    models.SET_NULL(collector, field, parts.filter(is_attachment=False), using)


class Document(Restricted):
    """One file of the institution and what is known about it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=300, blank=True, help_text="Taken from the file when left empty.")
    file = models.FileField(upload_to=original_path, editable=False, max_length=200)
    file_name = models.CharField(max_length=255, editable=False)
    file_size = models.PositiveBigIntegerField(editable=False)
    mime_type = models.CharField(max_length=150, editable=False, blank=True)
    sha256 = models.CharField(max_length=64, editable=False)
    # A replacement waits here until it can be served: until then the file above is what readers get.
    next_file = models.FileField(upload_to=original_path, editable=False, max_length=200, blank=True)
    next_file_name = models.CharField(max_length=255, editable=False, blank=True)
    next_file_size = models.PositiveBigIntegerField(editable=False, default=0)
    next_sha256 = models.CharField(max_length=64, editable=False, blank=True)

    department = models.ForeignKey(Department, on_delete=models.PROTECT, related_name="documents")
    campus = models.ForeignKey(
        Campus,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="documents",
        help_text="Leave empty when it concerns all campuses.",
    )
    doc_type = models.ForeignKey(DocumentType, verbose_name="type", on_delete=models.PROTECT, related_name="documents")
    audience = models.CharField(max_length=12, choices=Audience.choices, default=Audience.DEPARTMENT)
    shared_with = models.ManyToManyField(
        Department,
        blank=True,
        related_name="shared_documents",
        help_text="Further departments that may read it when the audience is the department.",
    )
    language = models.CharField(
        max_length=8, blank=True, help_text="ISO 639-1 code such as en or de; found by itself when left empty."
    )
    priority = models.PositiveSmallIntegerField(
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(5)],
        help_text="1 (stub) to 5 (authoritative); a higher one ranks a little higher.",
    )
    tags = models.ManyToManyField(Tag, blank=True, related_name="documents")
    last_reviewed = models.DateField(null=True, blank=True)
    review_by = models.DateField(
        "next review",
        null=True,
        blank=True,
        help_text="Left empty: 24 months after the last review.",
    )
    reminded_on = models.DateField(null=True, editable=False, help_text="When its review was last asked for by mail.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="documents",
        help_text="Who uploaded it.",
    )
    batch = models.ForeignKey(
        UploadBatch,
        null=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="documents",
        help_text="The upload that it came with.",
    )
    parent = models.ForeignKey(
        "self",
        null=True,
        editable=False,
        on_delete=attachments_go_along,
        related_name="parts",
        help_text="The document in whose file it came: the mail of an attachment, the ZIP file of one of its files.",
    )
    part = models.CharField(max_length=500, blank=True, editable=False, help_text="Its place in the parent's file.")
    is_attachment = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="It is read by whoever may read its parent: the database keeps its access like the parent's.",
    )

    # What the file says of itself.
    authors = ArrayField(models.CharField(max_length=200), default=list, db_default=[], editable=False)
    written_on = models.DateField(null=True, editable=False, help_text="When the file says that it was written.")
    outline = models.JSONField(
        default=list, db_default=[], editable=False, help_text="Its headings: [level, title, page], in order."
    )
    # How alike two texts are is told from these (ingestion.likeness).
    sketch = models.BinaryField(null=True, editable=False)
    sketch_bands = ArrayField(models.IntegerField(), null=True, editable=False)

    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    checked_at = models.DateTimeField(
        null=True, editable=False, help_text="When the stored original was last compared with its checksum."
    )

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED, editable=False)
    progress = models.PositiveSmallIntegerField(default=0, editable=False, help_text="Percent of the way to ready.")
    error = models.TextField(blank=True, editable=False, help_text="Why it failed, or what is wrong with it.")
    error_reason = models.CharField(max_length=20, blank=True, editable=False)
    page_count = models.PositiveIntegerField(default=0, editable=False)
    unread_pages = models.PositiveIntegerField(default=0, editable=False, help_text="Pages without any text to read.")
    chunk_count = models.PositiveIntegerField(default=0, editable=False)
    recipe = models.CharField(
        max_length=64, blank=True, editable=False, help_text="Hash of everything that went into its chunks."
    )
    run = models.UUIDField(null=True, editable=False, help_text="The run that is working on it; a later run wins.")
    run_seen_at = models.DateTimeField(null=True, editable=False, help_text="Last sign of life of that run.")
    attempts = models.PositiveSmallIntegerField(
        default=0, db_default=0, editable=False, help_text="Runs in a row that began and never came to an end."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = Documents()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["-created_at", "id"], name="document_newest"),
            models.Index(fields=["sha256"], name="document_sha256"),
            models.Index(
                fields=["status", "run_seen_at"],
                condition=models.Q(status__in=["queued", "extracting", "embedding", "failed"]),
                name="document_unfinished",
            ),
            models.Index(
                fields=["department", "clearance"], condition=models.Q(is_searchable=True), name="document_dept_visible"
            ),
            GinIndex(fields=["readers"], name="document_readers"),
            GinIndex(fields=["title"], opclasses=["gin_trgm_ops"], name="document_title_trgm"),
            GinIndex(fields=["sketch_bands"], name="document_sketch_bands"),
            # What was reviewed since some day is what people narrow a search to.
            models.Index(fields=["last_reviewed"], condition=models.Q(is_searchable=True), name="document_reviewed"),
            # When the next window begins or ends is asked at each search.
            models.Index(
                fields=["visible_from"],
                condition=models.Q(visible_from__isnull=False),
                name="document_visible_from",
            ),
            models.Index(
                fields=["visible_until"],
                condition=models.Q(visible_until__isnull=False),
                name="document_visible_until",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(clearance__range=(1, 4)), name="document_clearance_range"),
            models.CheckConstraint(condition=models.Q(priority__range=(1, 5)), name="document_priority_range"),
            models.CheckConstraint(condition=models.Q(audience__in=Audience.values), name="document_audience_known"),
            models.CheckConstraint(condition=models.Q(status__in=Status.values), name="document_status_known"),
            models.CheckConstraint(
                condition=models.Q(is_attachment=False) | models.Q(parent__isnull=False),
                name="document_attachment_has_parent",
            ),
            models.UniqueConstraint(
                fields=["parent", "part"], condition=models.Q(parent__isnull=False), name="document_part_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.file_name

    def get_absolute_url(self) -> str:
        """The document's page."""
        return reverse("document", args=[self.pk])
