"""Which reader reads which kind of file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ingestion import extraction_kinds as kinds
from ingestion.extraction_parts import Parts
from ingestion.extraction_types import Extraction, Limits

Reader = Callable[[Path, Limits], Extraction]


def reader_for(kind: str, parts: Parts | None) -> Reader:
    """The reader of files of this kind, which writes the files within by way of `parts`, where it is given."""
    # Imported by need: the extraction library alone takes 0.1 s and 80 MB.
    if kind in (kinds.TEXT, kinds.MARKDOWN, kinds.CSV, kinds.HTML):
        from ingestion import extraction_plain

        return extraction_plain.READERS[kind]
    return _container_reader(kind, parts) or _office_reader(kind) or _library_reader(kind)


def _container_reader(kind: str, parts: Parts | None) -> Reader | None:
    if kind == kinds.ZIP:
        from ingestion.extraction_archive import read_zip

        return partial(read_zip, parts=parts)
    if kind == kinds.MBOX:
        from ingestion.extraction_mailbox import read_mailbox

        return partial(read_mailbox, parts=parts)
    if kind == kinds.MAIL:
        from ingestion.extraction_mail import read_mail

        return partial(read_mail, parts=parts)
    if kind == kinds.MSG:
        from ingestion.extraction_outlook import read_msg

        return partial(read_msg, parts=parts)
    return None


def _office_reader(kind: str) -> Reader | None:
    if kind == kinds.DOCX:
        from ingestion.extraction_docx import read_docx

        return read_docx
    if kind == kinds.PPTX:
        from ingestion.extraction_pptx import read_pptx

        return read_pptx
    if kind in (kinds.ODT, kinds.ODP):
        from ingestion.extraction_odf import read_odf

        return partial(read_odf, kind=kind)
    if kind == kinds.DOC:
        from ingestion.extraction_doc import read_doc

        return read_doc
    if kind == kinds.PPT:
        from ingestion.extraction_ppt import read_ppt

        return read_ppt
    if kind == kinds.WORDPERFECT:
        from ingestion.extraction_wordperfect import read_wordperfect

        return read_wordperfect
    if kind == kinds.HWP:
        from ingestion.extraction_hwp import read_hwp

        return read_hwp
    if kind == kinds.XLS_BEFORE_97:
        from ingestion.extraction_xls import read_xls

        return read_xls
    if kind == kinds.RTF:
        from ingestion.extraction_rtf import read_rtf

        return read_rtf
    return None


def _library_reader(kind: str) -> Reader:
    if kind == kinds.PDF:
        from ingestion.extraction_pdf import read_pdf

        return read_pdf
    if kind in kinds.PICTURES:
        from ingestion.extraction_picture import read_picture

        return partial(read_picture, kind=kind)
    from ingestion.extraction_library import reader_for as library_reader_for

    return library_reader_for(kind)
