"""What the extraction library does not tell of a PDF: bookmarks, values of form fields, and pictures of its pages.

Asked of PDFium itself (pypdfium2). All of it is an addition to the text: where the file is too damaged for it, there
is none.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from ingestion.extraction_types import Heading, Limits

logger = logging.getLogger(__name__)

_POINTS_AN_INCH = 72
# What scanners use for text, and what recognition reads best.
_DOTS_AN_INCH = 300
# A page of odd size is drawn coarser: about A4 at 400 dots an inch.
_MOST_PIXELS = 16_000_000
_MOST_BOOKMARKS = 1_000
_DEEPEST_BOOKMARK = 6
# More than this for each page is the outline of a book from which these pages were taken.
_MOST_BOOKMARKS_A_PAGE = 30
_VALUE_FIELDS = frozenset(
    (pdfium.FPDF_FORMFIELD_TEXTFIELD, pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX)
)
_LONGEST_VALUE_BYTES = 1 << 16
_MOST_OPTIONS = 1_000


class Pdf:
    """One PDF file, open. Every answer is empty where the file is too damaged for it."""

    def __init__(self, path: Path) -> None:
        try:
            self._document: pypdfium2.PdfDocument | None = pypdfium2.PdfDocument(path)
        except (pypdfium2.PdfiumError, OSError, ValueError) as error:
            logger.debug("%s: %s", path, error)
            self._document = None

    def __enter__(self) -> Pdf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._document is not None:
            self._document.close()

    def is_damaged(self) -> bool:
        """Whether the file's table of its objects is wrong, so that they were searched for, or a page cannot be had."""
        if self._document is None or not pdfium.FPDF_DocumentHasValidCrossReferenceTable(self._document.raw):
            return True
        size = pdfium.FS_SIZEF()
        return not all(
            pdfium.FPDF_GetPageSizeByIndexF(self._document.raw, index, size) for index in range(len(self._document))
        )

    def bookmarks(self) -> tuple[Heading, ...]:
        """The outline that the file brings along, at most 1,000 lines."""
        found = tuple(self._bookmarks())
        pages = len(self._document) if self._document is not None else 0
        return found if len(found) <= _MOST_BOOKMARKS_A_PAGE * pages else ()

    def _bookmarks(self) -> Iterator[Heading]:
        if self._document is None:
            return
        try:
            for count, mark in enumerate(self._document.get_toc(max_depth=_DEEPEST_BOOKMARK)):
                if count == _MOST_BOOKMARKS:
                    return
                target = mark.get_dest()
                index = target.get_index() if target else None
                title = mark.get_title()
                if index is not None and title:
                    yield Heading(mark.level + 1, title, index + 1)
        except (pypdfium2.PdfiumError, ValueError) as error:
            logger.debug("bookmarks end early: %s", error)

    def form_values(self, limits: Limits) -> dict[int, list[str]]:
        """Page number -> what was filled into its form fields."""
        found: dict[int, list[str]] = {}
        if self._document is None or self._document.get_formtype() == pdfium.FORMTYPE_NONE:
            return found
        self._document.init_forms()
        form = self._document.formenv
        for index in range(min(len(self._document), limits.pages) if form else 0):
            try:
                page = self._document[index]
                values = list(_values(form.raw, page.raw))
                page.close()
            except pypdfium2.PdfiumError as error:
                logger.debug("form of page %s: %s", index + 1, error)
                continue
            if values:
                found[index + 1] = values
        return found

    def has_drawing(self, number: int) -> bool:
        """Whether anything at all is drawn on the page: a page without is blank."""
        return self._has_object(number, ())

    def has_picture(self, number: int) -> bool:
        """Whether the page holds a picture."""
        return self._has_object(number, (pdfium.FPDF_PAGEOBJ_IMAGE,))

    def _has_object(self, number: int, types: tuple[int, ...]) -> bool:
        if self._document is None:
            return False
        try:
            page = self._document[number - 1]
            found = any(True for _ in page.get_objects(filter=types or None, max_depth=4))
            page.close()
        except (pypdfium2.PdfiumError, IndexError):
            return False
        return found

    def largest_picture(self, number: int) -> tuple[int, int]:
        """Width and height in dots of the page's largest picture, from what the file says of it; (0, 0) without one."""
        largest = (0, 0)
        if self._document is None:
            return largest
        page = self._document[number - 1]
        for picture in page.get_objects(filter=(pdfium.FPDF_PAGEOBJ_IMAGE,), max_depth=4):
            try:
                size = picture.get_px_size()
            except pypdfium2.PdfiumError:
                continue
            largest = max(largest, size, key=lambda size: size[0] * size[1])
        page.close()
        return largest

    def picture_of(self, number: int) -> Image.Image | None:
        """The page as a grey picture at 300 dots an inch, or coarser where it is very large."""
        if self._document is None:
            return None
        try:
            page = self._document[number - 1]
            width, height = page.get_size()
            scale = _DOTS_AN_INCH / _POINTS_AN_INCH
            if width * height * scale * scale > _MOST_PIXELS:
                scale = (_MOST_PIXELS / (width * height)) ** 0.5
            # The page is kept open until its dots are copied.
            picture: Image.Image = page.render(scale=scale, grayscale=True).to_pil().copy()
            page.close()
        except (pypdfium2.PdfiumError, ValueError, ZeroDivisionError) as error:
            logger.debug("page %s cannot be drawn: %s", number, error)
            return None
        return picture


def _values(form: Any, page: Any) -> Iterator[str]:
    """The filled-in values of a page's fields, each after the field's own description where it has one."""
    for at in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, at)
        if not annotation:
            continue
        if (
            pdfium.FPDFAnnot_GetSubtype(annotation) == pdfium.FPDF_ANNOT_WIDGET
            and pdfium.FPDFAnnot_GetFormFieldType(form, annotation) in _VALUE_FIELDS
        ):
            value = _chosen(form, annotation) or _text(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation)
            name = _text(pdfium.FPDFAnnot_GetFormFieldAlternateName, form, annotation)
            if value.strip():
                yield f"{name}: {value}" if name.strip() and name != value else value
        pdfium.FPDFPage_CloseAnnot(annotation)


def _chosen(form: Any, annotation: Any) -> str:
    """The chosen ones of a list field, as they are shown; its value is what a program makes of them."""
    count = min(pdfium.FPDFAnnot_GetOptionCount(form, annotation), _MOST_OPTIONS)
    chosen = [at for at in range(count) if pdfium.FPDFAnnot_IsOptionSelected(form, annotation, at)]
    return ", ".join(_text(pdfium.FPDFAnnot_GetOptionLabel, form, annotation, at) for at in chosen)


def _text(ask: Callable[..., int], *about: Any) -> str:
    """PDFium writes UTF-16 with a final NUL, and first tells how many bytes that takes."""
    size = min(ask(*about, None, 0), _LONGEST_VALUE_BYTES)
    buffer = ctypes.create_string_buffer(max(size, 2))
    ask(*about, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size)
    return buffer.raw[:size].decode("utf-16-le", "replace").rstrip("\0")
