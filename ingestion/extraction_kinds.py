"""What a file is, told by its content.

The upload's name is trusted only to tell text kinds apart (Markdown, HTML, CSV, mail), where content cannot.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from ingestion.extraction_ole import OleFile
from ingestion.extraction_types import MEBIBYTE, ExtractionError, Limits

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
ODP = "application/vnd.oasis.opendocument.presentation"
EPUB = "application/epub+zip"
DOC = "application/msword"
PPT = "application/vnd.ms-powerpoint"
XLS = "application/vnd.ms-excel"
MSG = "application/vnd.ms-outlook"
RTF = "application/rtf"
HWP = "application/x-hwp"
WORDPERFECT = "application/vnd.wordperfect"
MAIL = "message/rfc822"
MBOX = "application/mbox"
ZIP = "application/zip"
HTML = "text/html"
MARKDOWN = "text/markdown"
CSV = "text/csv"
TEXT = "text/plain"
# Excel before 97, in an OLE file or by itself, is read by another reader.
XLS_BEFORE_97 = "application/vnd.ms-excel; before=97"
PNG = "image/png"
JPEG = "image/jpeg"
GIF = "image/gif"
TIFF = "image/tiff"
BMP = "image/bmp"
WEBP = "image/webp"
HEIC = "image/heic"
SHEETS = frozenset((XLSX, XLS, XLS_BEFORE_97, ODS))
PICTURES = {PNG: "PNG", JPEG: "JPEG", GIF: "GIF", TIFF: "TIFF", BMP: "BMP", WEBP: "WebP", HEIC: "HEIC"}
"""The pictures, and what people call them."""

SUPPORTED = (
    "PDF, Word, PowerPoint, Excel, OpenDocument (text, sheets, slides), RTF, WordPerfect, HWP, EPUB, HTML, Markdown, "
    "CSV, plain text, mail (EML, MSG, MBOX), pictures and scans where text recognition is installed, and ZIP archives "
    "of these"
)

_PICTURES = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\xff\xd8\xff": JPEG,
    b"GIF8": GIF,
    b"II*\x00": TIFF,
    b"MM\x00*": TIFF,
    b"BM": BMP,
}
# Documents of programs that put all into one stream, told by its first bytes.
_OLD_DOCUMENTS = {
    b"\xff\x57\x50\x43": WORDPERFECT,
    b"\xdb\xa5\x2d\x00": DOC,  # Word 2
    b"\x09\x00\x04\x00": XLS_BEFORE_97,
    b"\x09\x02\x06\x00": XLS_BEFORE_97,
    b"\x09\x04\x06\x00": XLS_BEFORE_97,
}
_FOREIGN = {
    b"\x7fELF": "a program",
    b"MZ": "a Windows program",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an XZ archive",
    b"ID3": "a sound file",
    b"OggS": "a sound or video file",
    b"RIFF": "a sound or video file",
    b"\x1aE\xdf\xa3": "a video file",
    b"SQLite format 3": "a database",
}
# Extensions that promise a binary format: such a file with other content is damaged, or something else under its name.
_PROMISED = {
    ".pdf": "PDF",
    ".docx": "Word",
    ".docm": "Word",
    ".doc": "Word",
    ".pptx": "PowerPoint",
    ".pptm": "PowerPoint",
    ".ppt": "PowerPoint",
    ".xlsx": "Excel",
    ".xlsm": "Excel",
    ".xls": "Excel",
    ".odt": "OpenDocument",
    ".ods": "OpenDocument",
    ".odp": "OpenDocument",
    ".hwp": "HWP",
    ".wpd": "WordPerfect",
    ".zip": "ZIP",
    ".epub": "EPUB",
    ".msg": "Outlook",
}
_TEXT_KINDS = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".mdown": MARKDOWN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".csv": CSV,
    ".tsv": CSV,
    ".eml": MAIL,
    ".mht": MAIL,
    ".mhtml": MAIL,
}
_SUPPORTED_ZIPS = {
    "application/vnd.oasis.opendocument.text": ODT,
    "application/vnd.oasis.opendocument.text-template": ODT,
    "application/vnd.oasis.opendocument.spreadsheet": ODS,
    "application/vnd.oasis.opendocument.spreadsheet-template": ODS,
    "application/vnd.oasis.opendocument.presentation": ODP,
    "application/vnd.oasis.opendocument.presentation-template": ODP,
    "application/epub+zip": EPUB,
}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
# The line that begins each mail of a mailbox, and the first header after it.
_MAILBOX = re.compile(rb"From \S+ [^\r\n]*\d{4}[^\r\n]*\r?\n>?[\w-]+:[^\r\n]*\r?\n")
# What tells a zip of a program's own from one that people packed.
_PROGRAM_ZIPS = {
    "META-INF/MANIFEST.MF": "a Java program",
    "AndroidManifest.xml": "an Android program",
    "Index/Document.iwa": "a document of Apple's Pages, Numbers or Keynote (save it as PDF)",
    "Index/Presentation.iwa": "a document of Apple's Keynote (save it as PDF)",
    "doc.kml": "a map",
}
_MAILBOX_NAMES = frozenset((".mbox", ".mbx"))
_HEAD_BYTES = 4096
# A UTF-16 or UTF-32 text, or one with stray NULs, still has few other control characters.
_CONTROL_BYTES = bytes(set(range(32)) - {0, 9, 10, 12, 13, 27})
_MOST_CONTROL_SHARE = 0.05
RATIO_FROM_BYTES = 16 * MEBIBYTE
"""Less than this unpacked is no bomb, whatever its ratio."""


def recognise(path: Path, extension: str, limits: Limits) -> str:
    """The MIME type of the file, one of the constants above. `extension` is that of its name: '.md'.

    Raises ExtractionError when the file is of no supported type, empty, password-protected or plainly damaged.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if not head.strip(b"\x00 \t\r\n\xff\xfe\xef\xbb\xbf"):
        raise ExtractionError(
            "empty", "The file is empty: it holds no text at all. Check that the right file was sent."
        )
    # Before PDF: an archive whose first file is a PDF, packed as it is, shows that one's mark within its first bytes.
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _recognise_zip(path, extension, limits)
    if b"%PDF-" in head[:1024]:
        return PDF
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _recognise_ole(path, extension)
    if head.lstrip().startswith(b"{\\rtf"):
        return RTF
    if kind := _picture(head):
        return kind
    for magic, kind in _OLD_DOCUMENTS.items():
        if head.startswith(magic):
            return kind
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise _unsupported(name)
    if extension == ".doc" and head.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"<?xml") and b"progid=" in head:
        return DOC
    if extension in _PROMISED:
        raise _misnamed(head, _PROMISED[extension])
    return _recognise_text(head, extension)


def _picture(head: bytes) -> str:
    """The kind of picture, or ''."""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        if head[8:12] in _HEIC_BRANDS:
            return HEIC
        raise _unsupported("a video file")
    return next((kind for magic, kind in _PICTURES.items() if head.startswith(magic)), "")


def _misnamed(head: bytes, promised: str) -> ExtractionError:
    if b"<html" in head.lower() or b"<!doctype html" in head.lower():
        return ExtractionError(
            "broken",
            f"The file is called {promised} but is a web page, perhaps a sign-in page saved in its place. "
            "Download the original again and upload that.",
        )
    return ExtractionError(
        "broken",
        f"The file is called {promised} but its content is not. It was perhaps damaged or cut off on the way. "
        "Open it in its program, save it anew, and upload that.",
    )


def _recognise_text(head: bytes, extension: str) -> str:
    begin = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if begin.startswith((b"<!doctype html", b"<html")):
        return HTML
    if begin.startswith(b"from ") and (extension in _MAILBOX_NAMES or _MAILBOX.match(head)):
        return MBOX
    if extension in _TEXT_KINDS:
        return _TEXT_KINDS[extension]
    control = len(head) - len(head.translate(None, _CONTROL_BYTES))
    if control > _MOST_CONTROL_SHARE * len(head) and extension != ".txt":
        raise _unsupported("of an unknown kind")
    return TEXT


def _recognise_zip(path: Path, extension: str, limits: Limits) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            kind = _zip_kind(archive, names)
            if kind in (DOCX, PPTX, XLSX, ODT, ODS, ODP, EPUB):
                _check_members(archive, limits)
                return kind
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        if extension in _PROMISED and extension != ".zip":
            raise ExtractionError(
                "broken",
                f"The {_PROMISED[extension]} file is damaged or cut off. "
                "Open it in its program, save it anew, and upload that.",
            ) from error
        raise ExtractionError(
            "broken", "The ZIP archive is damaged or cut off. Pack it anew, or upload its files one by one."
        ) from error
    if kind:
        raise _unsupported(kind)
    if extension in _PROMISED and extension != ".zip":
        raise _misnamed(b"", _PROMISED[extension])
    return ZIP


def _zip_kind(archive: zipfile.ZipFile, names: set[str]) -> str:
    if "mimetype" in names:
        kind = archive.read("mimetype")[:200].decode("ascii", "replace").strip()
        if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
            raise _encrypted("OpenDocument file")
        return _SUPPORTED_ZIPS.get(kind, f"of the kind {kind}")
    if "[Content_Types].xml" not in names:
        return next((kind for name, kind in _PROGRAM_ZIPS.items() if name in names), "")
    for folder, kind in (("word/", DOCX), ("ppt/", PPTX), ("xl/", XLSX)):
        if any(name.startswith(folder) for name in names):
            return kind
    return "an Office file of another kind"


def _check_members(archive: zipfile.ZipFile, limits: Limits) -> None:
    """Refuse what would unpack to too much. Only the parts with text are counted: pictures are never unpacked."""
    members = archive.infolist()
    if len(members) > limits.archive_members:
        raise ExtractionError("too_large", f"The file has {len(members)} parts; {limits.archive_members} can be read.")
    texts = [member for member in members if member.filename.lower().endswith((".xml", ".rels", ".html", ".xhtml"))]
    unpacked = sum(member.file_size for member in texts)
    steep = any(
        member.file_size > RATIO_FROM_BYTES and member.file_size > limits.unpack_ratio * max(1, member.compress_size)
        for member in texts
    )
    if steep or unpacked > limits.unpacked_bytes:
        raise ExtractionError(
            "too_large",
            f"The file unpacks to {unpacked / 1_000_000:.0f} MB of text and markup, more than can be read "
            f"({limits.unpacked_bytes / 1_000_000:.0f} MB). Split it into several documents.",
        )


def _recognise_ole(path: Path, extension: str) -> str:
    ole = OleFile(path.read_bytes())
    names = ole.names
    if ole.is_encrypted():
        raise _encrypted("Office file")
    kinds = [
        kind
        for stream, kind in (
            ("WordDocument", DOC),
            ("PowerPoint Document", PPT),
            ("Workbook", XLS),
            ("Book", XLS_BEFORE_97),
            ("__properties_version1.0", MSG),
            ("BodyText", HWP),
        )
        if stream.upper() in names
    ]
    # An embedded object brings its own streams along; the name then decides between those that are there.
    promised = {".doc": DOC, ".ppt": PPT, ".xls": XLS, ".msg": MSG, ".hwp": HWP}.get(extension)
    if promised in kinds:
        return str(promised)
    if kinds:
        return kinds[0]
    if not names:
        raise ExtractionError(
            "broken", "The Office file is damaged. Open it in its program, save it anew, and upload that."
        )
    raise _unsupported("an Office file of another kind")


def _unsupported(what: str) -> ExtractionError:
    return ExtractionError("unsupported", f"This file is {what} and cannot be read. Supported are: {SUPPORTED}.")


def _encrypted(what: str) -> ExtractionError:
    return ExtractionError(
        "encrypted",
        f"The {what} is protected with a password or by rights management. "
        "Save a copy without protection and upload that.",
    )
