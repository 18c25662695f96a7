"""What librarians call the kinds of files."""

from __future__ import annotations

from ingestion import extraction_kinds as kinds

NAMES = {
    kinds.PDF: "PDF",
    kinds.DOCX: "Word",
    kinds.DOC: "Word (old format)",
    kinds.PPTX: "PowerPoint",
    kinds.PPT: "PowerPoint (old format)",
    kinds.XLSX: "Excel",
    kinds.XLS: "Excel (old format)",
    kinds.XLS_BEFORE_97: "Excel (old format)",
    kinds.ODT: "OpenDocument text",
    kinds.ODS: "OpenDocument sheet",
    kinds.ODP: "OpenDocument slides",
    kinds.RTF: "RTF",
    kinds.HWP: "HWP",
    kinds.WORDPERFECT: "WordPerfect",
    kinds.EPUB: "EPUB",
    kinds.MSG: "mail of Outlook",
    kinds.MAIL: "mail",
    kinds.MBOX: "mailbox",
    kinds.ZIP: "ZIP archive",
    kinds.HTML: "web page",
    kinds.MARKDOWN: "Markdown",
    kinds.CSV: "table (CSV)",
    kinds.TEXT: "plain text",
    **{kind: f"picture ({name})" for kind, name in kinds.PICTURES.items()},
}


def kind_in_words(mime_type: str) -> str:
    """The kind's name; of one without a name its media type, and nothing where it is not known yet."""
    return NAMES.get(mime_type, mime_type)
