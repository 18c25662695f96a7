"""Pictures (PNG, JPEG, TIFF, BMP, GIF, WebP, HEIC) to text by recognition: each picture of a TIFF is a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from ingestion import extraction_kinds as kinds
from ingestion.extraction_ocr import Recogniser, check_pixels
from ingestion.extraction_origin import day
from ingestion.extraction_types import Extraction, ExtractionError, Limits, Page

_FORMATS = {
    kinds.PNG: "PNG",
    kinds.JPEG: "JPEG",
    kinds.GIF: "GIF",
    kinds.TIFF: "TIFF",
    kinds.BMP: "BMP",
    kinds.WEBP: "WEBP",
    kinds.HEIC: "HEIF",
}
_EXIF_TAKEN, _EXIF_CHANGED, _EXIF_FOLDER = 0x9003, 0x0132, 0x8769
_DECODER_ERRORS = (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError)


def read_picture(path: Path, limits: Limits, *, kind: str) -> Extraction:
    # Our own limit is asked before anything is unpacked; Pillow's only warns.
    Image.MAX_IMAGE_PIXELS = None
    if kind == kinds.HEIC:
        import pi_heif

        pi_heif.register_heif_opener()
    try:
        with Image.open(path, formats=[_FORMATS[kind]]) as picture:
            check_pixels(picture.size, limits.pixels)
            return _read(picture, kind, limits)
    except _DECODER_ERRORS as error:
        raise ExtractionError(
            "broken",
            f"The picture ({kinds.PICTURES[kind]}) is damaged or cut off. Open it in its program, save it anew, "
            "and upload that.",
        ) from error


def _read(picture: Image.Image, kind: str, limits: Limits) -> Extraction:
    count = getattr(picture, "n_frames", 1) if kind == kinds.TIFF else 1
    if count > limits.pages:
        raise ExtractionError("too_large", f"The file has {count} pages; at most {limits.pages} can be read. Split it.")
    recogniser = Recogniser(limits)
    taken = _taken(picture)
    pages: list[Page] = []
    unread: list[int] = []
    for number, frame in enumerate(_frames(picture, count), start=1):
        text = recogniser.read(ImageOps.exif_transpose(frame)) if recogniser.has_time else ""
        pages.append(Page(number, text))
        if not text:
            unread.append(number)
    if len(unread) == count:
        raise recogniser.nothing("picture")
    return Extraction(kind, tuple(pages), "", "", tuple(unread), written_on=day(taken))


def _frames(picture: Image.Image, count: int) -> Iterator[Image.Image]:
    for number in range(count):
        if number:
            picture.seek(number)
        yield picture


def _taken(picture: Image.Image) -> str:
    """The day on which a camera took the picture, as it writes it (2024:05:31), in ISO form; or ''."""
    exif = picture.getexif()
    told = str(exif.get_ifd(_EXIF_FOLDER).get(_EXIF_TAKEN) or exif.get(_EXIF_CHANGED) or "")
    return told[:10].replace(":", "-")
