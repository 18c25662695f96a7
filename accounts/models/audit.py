"""What people did that somebody may have to answer for, and the chain that shows it unchanged."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.utils import timezone
from django.utils.formats import date_format

from accounts.acts import in_words


class AuditEvent(models.Model):
    """One act: who, as whom, what, on what, from where. Written by `accounts.audit`, never changed.

    The database refuses to change or delete one (migration 0003); only `actor` may become empty, with the person.
    """

    # Told by the writer, so that an act that had to wait in the spool is written once, however often it is tried.
    event_id = models.UUIDField(default=uuid.uuid4, db_default=RandomUUID(), unique=True, editable=False)
    at = models.DateTimeField(default=timezone.now, db_index=True, editable=False)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="acts")
    actor_name = models.CharField(max_length=150, blank=True, help_text="The user name, as it was then.")
    seen_as = models.CharField(max_length=200, blank=True, help_text="As whom they looked, if not as themselves.")
    action = models.CharField(max_length=40, db_index=True)
    subject = models.CharField(max_length=200, blank=True, help_text="Whom or what it was done to.")
    details = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name, verbose_name_plural = "act", "audit trail"

    def __str__(self) -> str:
        said = f"{self.actor_name or 'Nobody known'}: {in_words(self.action)}"
        return f"{said}, {date_format(timezone.localtime(self.at), 'j F Y, H:i')}"


class AuditChain(models.Model):
    """One chain of the trail, `acts` or `searches`: where it begins since the last purge, and where it ends."""

    name = models.CharField(max_length=10, primary_key=True)
    tail_position = models.BigIntegerField(default=0)
    tail_link = models.BinaryField()
    head_position = models.BigIntegerField(default=0)
    head_link = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.name}: {self.tail_position} to {self.head_position}"


class AuditPurge(models.Model):
    """What was taken out of a chain: from where to where, how many, and the digest of what they were.

    A retention purge takes the beginning away, seals and all, and the chain begins at its `link`. An erasure takes
    single events out and leaves their seals.
    """

    chain = models.CharField(max_length=10)
    at = models.DateTimeField()
    reason = models.CharField(max_length=20)
    first_position = models.BigIntegerField()
    last_position = models.BigIntegerField()
    count = models.BigIntegerField()
    digest = models.BinaryField(help_text="SHA-256 over the digests of what went, in the chain's order.")
    link = models.BinaryField(null=True)
    transaction = models.CharField(max_length=24, db_index=True, help_text="In which the guards let events go.")

    def __str__(self) -> str:
        return f"{self.chain}: {self.reason}, {self.count}"


class AuditSeal(models.Model):
    """The digest of one event, made by the database as it was written, and later its place in the chain.

    `link` is SHA-256 over the link before, the position (8 bytes, big end first) and the digest.
    """

    chain = models.CharField(max_length=10)
    event = models.UUIDField(unique=True)
    digest = models.BinaryField(help_text="SHA-256 over the event's canonical form.")
    position = models.BigIntegerField(null=True)
    link = models.BinaryField(null=True)
    erased_by = models.ForeignKey(AuditPurge, null=True, on_delete=models.PROTECT, related_name="erased")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chain", "position"], name="seal_one_a_position")]
        indexes = [
            models.Index(fields=["chain", "id"], condition=models.Q(position__isnull=True), name="seal_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.chain} {self.position}: {self.event}"
