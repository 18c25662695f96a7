"""Document types and tags: the words that documents are sorted by."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch

from accounts.admin import OfferedFiltersOnly, RefusedWhileInUse
from accounts.arrival import viewer_of
from ingestion.models import Document, DocumentType, Tag
from ingestion.tags import InvalidTag, clean_names, known_tags


def _with_managed_counts(words: QuerySet[Any], request: HttpRequest) -> QuerySet[Any]:
    """Each word with the number of documents that this person manages: other documents are not betrayed by a count."""
    managed = Document.objects.manageable_by(viewer_of(request)).order_by().values("pk")
    counted: QuerySet[Any] = words.annotate(
        # access: counts managed documents only
        managed_count=Count("documents", filter=Q(documents__in=managed), distinct=True)
    )
    return counted


@admin.register(DocumentType)
class DocumentTypeAdmin(OfferedFiltersOnly, RefusedWhileInUse):
    """The kinds of documents. The short name is what filters, manifests and the API use."""

    list_display = ("name", "slug", "document_count")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[DocumentType]:
        """Types with their counts."""
        return _with_managed_counts(super().get_queryset(request), request)

    @admin.display(description="Documents", ordering="managed_count")
    def document_count(self, word: Any) -> int:
        """How many documents are of this type."""
        return int(word.managed_count)


class Unlinked(ChangeList):
    """A list whose lines lead nowhere."""

    def url_for_result(self, result: Any) -> str:
        """Raises NoReverseMatch, for which the list shows the text alone."""
        raise NoReverseMatch


class TagForm(forms.ModelForm):
    """A tag's name."""

    def clean_name(self) -> str:
        """The name as tags are written. Raises ValidationError for one that no tag may have."""
        try:
            names = clean_names([self.cleaned_data["name"]])
        except InvalidTag as error:
            raise ValidationError(str(error)) from None
        if not names:
            raise ValidationError("A tag needs a name.")
        return names[0]


@admin.register(Tag)
class TagAdmin(OfferedFiltersOnly):
    """Free key words. They come into being with the documents that bear them, so nobody adds one by itself.

    Administrators rename and delete them, for everybody; a tag that is deleted goes from its documents too. Librarians
    and curators get the list alone: the number of a row, which stands in the address of its page, would tell whether
    somebody else had made the tag before them.
    """

    form = TagForm
    list_display = ("name", "document_count")
    # By nothing else: of two tags with equal counts the list would put the older one last.
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        """Tags with their counts. A tag can betray what a document is about, so librarians and curators see only those
        that a document bears which they see or manage; whether others exist, in use or not, is not told.
        """
        viewer = viewer_of(request)
        known = known_tags(viewer).values("pk")
        return _with_managed_counts(super().get_queryset(request).filter(pk__in=known), request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """A list whose lines lead to the page of each tag, for administrators."""
        linked: type[ChangeList] = super().get_changelist(request, **kwargs)
        return linked if request.user.is_superuser else Unlinked

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """The name, in the list; the autocompletion, which answers with numbers, is the administrators'."""
        completing = request.resolver_match is not None and request.resolver_match.url_name == "autocomplete"
        return () if completing and not request.user.is_superuser else ("name",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Tag | None:
        """One tag, for administrators: for others no number is that of a tag."""
        found: Tag | None = super().get_object(request, object_id, from_field)
        return found if request.user.is_superuser else None

    @admin.display(description="Documents that you manage")
    def document_count(self, word: Any) -> int:
        """How many of the documents that this person manages bear the tag."""
        return int(word.managed_count)
