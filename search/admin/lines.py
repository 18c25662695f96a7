"""Several short texts in one field of a form, a line each; and lists of them, to look through."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import F, Func, QuerySet, TextField, Value
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget


class LinesField(forms.CharField):
    """A list of texts, one a line; empty lines and repetitions are left out. Raises ValidationError above `most`."""

    def __init__(self, *, most: int, **kwargs: Any) -> None:
        self.most = most
        kwargs.setdefault("widget", UnfoldAdminTextareaWidget(attrs={"rows": 5}))
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        """A list as its lines."""
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the lines are others."""
        return bool(super().has_changed(self.prepare_value(initial), data))

    def to_python(self, value: Any) -> Any:
        """The lines."""
        text = super().to_python(value) or ""
        return list(dict.fromkeys(" ".join(line.split()) for line in text.splitlines() if line.strip()))

    def validate(self, value: Any) -> None:
        """As many as may be."""
        super().validate(value)
        if len(value) > self.most:
            raise ValidationError(f"At most {self.most} lines.")


class FoundByLines(ModelAdmin):
    """A list that is searched through a column of several texts, which `searched_lines` names."""

    searched_lines: str

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows one of whose texts holds what was typed."""
        if not search_term:
            return queryset, False
        joined = Func(F(self.searched_lines), Value("\n"), function="array_to_string", output_field=TextField())
        return queryset.annotate(lines=joined).filter(lines__icontains=search_term), False
