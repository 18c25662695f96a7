"""What librarians say of queries: which document answers them best, and which words mean the same."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils.translation import gettext_lazy as _

from ingestion.lexemes import searchable
from ingestion.models import Document
from search.query import MAX_QUERY_LENGTH


class BestBet(models.Model):
    """A document that stands first where one of these queries is asked, for whoever may see it (search.curation)."""

    queries = ArrayField(models.CharField(max_length=MAX_QUERY_LENGTH), help_text=_("As people ask it."))
    asked = ArrayField(models.TextField(), editable=False, help_text="The words of the queries, as they are compared.")
    document = models.ForeignKey(Document, null=True, on_delete=models.SET_NULL, related_name="+")
    place = models.PositiveSmallIntegerField(
        _("place"), default=1, help_text=_("Among several for the same query: 1 stands first.")
    )
    starts_on = models.DateField(_("from"), null=True, blank=True, help_text=_("The first day. Empty: at once."))
    ends_on = models.DateField(_("until"), null=True, blank=True, help_text=_("The last day. Empty: for good."))
    note = models.CharField(
        _("note"), max_length=300, blank=True, help_text=_("For your colleagues; readers never see it.")
    )
    is_active = models.BooleanField(_("in use"), default=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["queries", "pk"]
        verbose_name = _("best bet")
        verbose_name_plural = _("best bets")
        indexes = [GinIndex(fields=["asked"], name="best_bet_asked")]

    def __str__(self) -> str:
        return "; ".join(self.queries)

    def save(self, **how: Any) -> None:
        """Django's own; the words of the queries follow from them."""
        self.asked = sorted({searchable(query) for query in self.queries})
        super().save(**how)


class SynonymGroup(models.Model):
    """Words and phrases that mean the same. With `one_way` only the first is looked for as the others, too."""

    terms = ArrayField(models.CharField(max_length=100), help_text=_("Words or phrases that mean the same."))
    one_way = models.BooleanField(
        _("one way"),
        default=False,
        help_text=_("Who asks for the first is given the others too, and not the other way round."),
    )
    language = models.CharField(
        _("language"), max_length=10, blank=True, help_text=_("In which the words are inflected. Empty: in any.")
    )
    note = models.CharField(_("note"), max_length=300, blank=True, help_text=_("For your colleagues."))
    is_active = models.BooleanField(_("in use"), default=True)
    forms = models.JSONField(
        default=list, editable=False, help_text="Of each term the words, each with the forms that the index has of it."
    )
    begins = ArrayField(models.TextField(), default=list, editable=False, help_text="The forms of their first words.")

    class Meta:
        ordering = ["terms", "pk"]
        verbose_name = _("synonyms")
        verbose_name_plural = _("synonyms")
        indexes = [GinIndex(fields=["begins"], name="synonyms_begin")]

    def __str__(self) -> str:
        first, *others = self.terms
        return f"{first} → {', '.join(others)}" if self.one_way else " = ".join(self.terms)
