"""Whole lists of the desk as CSV: out of the admin site, and back into it after a look at what that would change."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin

MOST_LINES = 2000
MOST_BYTES = 1_000_000

WITHIN = " | "
"""Between several texts of one cell."""

YES, NO = "yes", "no"

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""What a spreadsheet program would take a cell that begins with it for; an apostrophe before it keeps it a text."""


def cell(value: object) -> str:
    """A value as the text of a cell, which no spreadsheet program takes for a formula."""
    text = (YES if value else NO) if isinstance(value, bool) else "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _read(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


class TableForm(forms.Form):
    """A file with a table, or the text of one that was looked at."""

    file = forms.FileField(
        required=False,
        label="File",
        help_text="A CSV file in UTF-8 with the columns of the exported one; their order does not matter.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv", "class": "file-drop"}),
    )
    table = forms.CharField(required=False, strip=False, widget=forms.HiddenInput, max_length=MOST_BYTES)

    def clean(self) -> dict[str, Any]:
        """The text of the table. Raises ValidationError where it cannot be read."""
        said: dict[str, Any] = super().clean() or {}
        file = said.get("file")
        if file is not None and file.size > MOST_BYTES:
            raise ValidationError({"file": f"At most {MOST_BYTES:,} bytes."})
        if file is not None:
            try:
                said["table"] = file.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise ValidationError({"file": "This is no text in UTF-8. Save the table as “CSV UTF-8”."}) from None
        if not said.get("table"):
            raise ValidationError({"file": "Choose a file."})
        return said


@dataclass(frozen=True)
class Line:
    """A line of a table and what becomes of it: `new`, `changed`, `as it is`, or what is wrong with it."""

    number: int
    name: str
    outcome: str
    faults: tuple[str, ...] = ()
    form: Any = None


class AsList(ModelAdmin):
    """A list that is exported and imported as CSV. What may be imported is what the form takes."""

    columns: tuple[str, ...]

    def row_of(self, one: Any) -> dict[str, object]:
        """The cells of a row by their columns."""
        raise NotImplementedError

    def data_of(self, row: dict[str, str]) -> dict[str, str]:
        """The form's fields of the cells of a row; of a checkbox that is off there is none."""
        raise NotImplementedError

    def known(self, request: HttpRequest, form: Any) -> Any:
        """The row that a valid form of the table means, among those that the person may change; None: a new one."""
        raise NotImplementedError

    def noted(self, one: Any) -> dict[str, Any]:
        """A row as the trail of acts has it: it is changed where this differs."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        """Both pages, before the addresses that take anything for an id."""
        view, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("export/", view(self.export_view), name=f"{name}_export"),
            path("import/", view(self.import_view), name=f"{name}_import"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """All that the person sees, as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        answer = HttpResponse(
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{self.opts.model_name}.csv"'},
        )
        answer.write("\ufeff")  # without it Excel takes the file for one in an encoding of its own
        lines = csv.DictWriter(answer, self.columns)
        lines.writeheader()
        for one in self.get_queryset(request):
            lines.writerow({name: cell(value) for name, value in self.row_of(one).items()})
        return answer

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """A file is chosen, then shown what it would change, and then it does; all of it or nothing."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        form = TableForm(request.POST or None, request.FILES or None)
        lines: list[Line] = []
        if form.is_valid():
            try:
                lines = self._lines(request, form.cleaned_data["table"])
            except ValidationError as error:
                form.add_error("file", error)
        wrong = any(line.faults for line in lines)
        changing = [line for line in lines if line.form is not None]
        if "confirmed" in request.POST and changing and not wrong:
            with transaction.atomic():
                for line in changing:
                    self.save_model(request, line.form.instance, line.form, line.outcome == "changed")
            self.message_user(request, f"{len(changing)} lines imported.")
            return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Import {self.opts.verbose_name_plural}",
            "form": form,
            "columns": self.columns,
            "lines": lines,
            "wrong": sum(bool(line.faults) for line in lines),
            "changing": len(changing),
            "table": form.cleaned_data.get("table", "") if lines else "",
        }
        return TemplateResponse(request, "admin/search/import.html", context)

    def _lines(self, request: HttpRequest, table: str) -> list[Line]:
        """What becomes of the lines of a table. Raises ValidationError where it is none."""
        try:
            rows = list(csv.DictReader(io.StringIO(table, newline=""), strict=True))
        except csv.Error as error:
            raise ValidationError(f"This is no CSV: {error}.") from None
        if not rows or not {self.columns[0]} <= set(rows[0]):
            raise ValidationError(f"There is no line, or no column “{self.columns[0]}”. Export the list to see how.")
        if len(rows) > MOST_LINES:
            raise ValidationError(f"At most {MOST_LINES:,} lines.")
        return [self._line(request, number, row) for number, row in enumerate(rows, 2)]

    def _line(self, request: HttpRequest, number: int, row: dict[str, Any]) -> Line:
        cells = {name: _read((row.get(name) or "").strip()) for name in self.columns}
        data = self.data_of(cells)
        form = self.get_form(request)(data)
        name = cells[self.columns[0]]
        before = None
        if form.is_valid() and (known := self.known(request, form)) is not None:
            before = self.noted(known)
            form = self.get_form(request, known)(data, instance=known)
        if not form.is_valid():
            faults = tuple(f"{form.fields[field].label if field in form.fields else ''}: {said}"
                           for field, found in form.errors.items() for said in found)  # fmt: skip
            return Line(number, name, "wrong", faults)
        if before is None:
            return Line(number, name, "new", form=form)
        # A valid form has written what it says into its row.
        if self.noted(form.instance) == before:
            return Line(number, name, "as it is")
        return Line(number, name, "changed", form=form)
