"""Text recognition: Tesseract inside the extraction library, whose language data has to be installed.

The data is looked for in TESSDATA_PREFIX or, where that is not set, where Debian and others put it. OCR_LANGUAGES
('eng+deu') names the languages; unset, English and up to three more of those installed. Each further language costs
time on every page.
"""

from __future__ import annotations

import io
import os
import re
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import kreuzberg
from PIL import Image

from ingestion.extraction_pdf_lines import as_markdown
from ingestion.extraction_types import ExtractionError, Limits

_DATA_FOLDERS = (
    "/usr/share/tesseract-ocr/*/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)
_DATA_NAME = ".traineddata"
# What a university's documents are most often in; the first that are installed are taken.
_USUAL_LANGUAGES = (
    "eng", "deu", "fra", "spa", "ita", "por", "nld", "pol", "swe", "dan", "ces", "rus", "ukr", "tur", "ell", "ara",
    "heb", "hin", "chi_sim", "chi_tra", "jpn", "kor",
)  # fmt: skip
_MOST_LANGUAGES = 4
# Of what one file may cost, how much recognition takes before it leaves the remaining pages.
_SHARE_OF_TIME = 0.7
# An A4 page at 400 dots an inch; more makes recognition slower and no better.
_MOST_PIXELS = 16_000_000
# Median confidence (per cent, of words) below which a page is looked at again, turned or enlarged, and below which
# its words are noise. Measured: pages the right way up 89 to 97, upside down 11 to 18, a photograph 0 to 45.
_DOUBTFUL = 60
_NOISE = 45
_SMALL_PIXELS = 2_000_000
_STEEPEST = 15
_SKEW_WIDTH = 600
_UNSEEN_SKEW = 1
# Less difference than this between the darkest and the lightest spot (of 255) is paper and shadow.
_FAINTEST = 20


@dataclass(frozen=True)
class _Sight:
    text: str
    confidence: int


class Recogniser:
    """Reads pictures until its share of the file's time is used up."""

    def __init__(self, limits: Limits) -> None:
        """Raises ExtractionError ('needs_ocr') where no language data is installed."""
        folder = data_folder()
        if folder is None:
            raise not_installed()
        os.environ["TESSDATA_PREFIX"] = str(folder)
        self._languages = "+".join(languages(folder))
        self._pixels = limits.pixels
        self._wall_end = time.monotonic() + _SHARE_OF_TIME * limits.seconds
        self._cpu_end = _SHARE_OF_TIME * limits.cpu_seconds

    @property
    def has_time(self) -> bool:
        """Whether another picture may be read."""
        return time.monotonic() < self._wall_end and time.process_time() < self._cpu_end

    def nothing(self, what: str) -> ExtractionError:
        """Why a file whose pictures gave no text is refused; `what` it is: 'picture'."""
        return ExtractionError(
            "empty",
            f"No text could be recognised in the {what} (languages looked for: {self._languages.replace('+', ', ')}). "
            "Check that the right file was uploaded, or scan it anew in better quality.",
        )

    def read(self, picture: Image.Image) -> str:
        """The text in the picture as simple Markdown, '' when there is none. Takes about a second.

        Raises ExtractionError ('too_large') for more pixels than the limit.
        """
        check_pixels(picture.size, self._pixels)
        grey = _as_grey(picture)
        if _is_blank(grey):
            return ""
        best = self._look(grey)
        if best.confidence < _DOUBTFUL:
            best = self._look_again(grey, best)
        return as_markdown(best.text) if best.confidence >= _NOISE else ""

    def _look_again(self, grey: Image.Image, best: _Sight) -> _Sight:
        """The best of: turned by its skew, upside down, enlarged. Tesseract itself sees quarter turns."""
        skew = _skew(grey)
        if abs(skew) > _UNSEEN_SKEW:
            grey = grey.rotate(skew, resample=Image.Resampling.BICUBIC, expand=True, fillcolor=255)
            best = max(best, self._look(grey), key=_confidence)
        if best.confidence < _DOUBTFUL and self.has_time:
            best = max(best, self._look(grey.rotate(180)), key=_confidence)
        if best.confidence < _DOUBTFUL and self.has_time and grey.width * grey.height < _SMALL_PIXELS:
            larger = grey.resize((grey.width * 2, grey.height * 2), Image.Resampling.BICUBIC)
            best = max(best, self._look(larger), key=_confidence)
        return best

    def _look(self, grey: Image.Image) -> _Sight:
        data = io.BytesIO()
        grey.save(data, "PNG", compress_level=1)
        tesseract = kreuzberg.TesseractConfig(
            language=self._languages, psm=3, output_format="text", use_cache=False, enable_table_detection=False
        )
        config = kreuzberg.ExtractionConfig(
            use_cache=False,
            output_format="plain",
            concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
            ocr=kreuzberg.OcrConfig(backend="tesseract", language=self._languages, tesseract_config=tesseract),
        )
        try:
            result = kreuzberg.extract_bytes_sync(data.getvalue(), "image/png", config=config)
        except (kreuzberg.KreuzbergError, OSError, ValueError, RuntimeError) as error:
            raise ExtractionError(
                "needs_ocr",
                f"Text recognition failed (languages {self._languages}). Ask whoever runs the portal to check the "
                "data of Tesseract, or save the file as a searchable PDF and upload that.",
            ) from error
        metadata: dict[str, Any] = dict(result.metadata)
        return _Sight(result.content, int(metadata.get("median_word_conf") or 0))


def data_folder() -> Path | None:
    """The folder of Tesseract's language data, None where there is none."""
    named = os.environ.get("TESSDATA_PREFIX")
    if named:
        # Who names a folder means that one and no other; an empty one turns text recognition off.
        folders = [Path(named), Path(named) / "tessdata"]
    else:
        folders = [
            folder for pattern in _DATA_FOLDERS for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)
        ]
    return next((folder for folder in folders if _installed(folder)), None)


def languages(folder: Path) -> tuple[str, ...]:
    """The languages to look for: those of OCR_LANGUAGES that are installed, else the usual ones, at most four."""
    installed = _installed(folder)
    named = [name for name in re.split(r"[+,\s]+", os.environ.get("OCR_LANGUAGES", "")) if name in installed]
    usual = [name for name in _USUAL_LANGUAGES if name in installed]
    return tuple(named or usual or sorted(installed))[:_MOST_LANGUAGES]


def not_installed() -> ExtractionError:
    return ExtractionError(
        "needs_ocr",
        "It holds pictures of text, as a scanner or camera makes them, and text recognition (OCR) is not installed. "
        "Ask whoever runs the portal to install it (apt-get install tesseract-ocr-eng, and -deu, -fra and so on; or "
        "set TESSDATA_PREFIX to the folder of its data), then try again. Or save the file as a searchable PDF, for "
        "example with OCRmyPDF, and upload that.",
    )


def check_pixels(size: tuple[int, int], most: int) -> None:
    """Raises ExtractionError ('too_large') for a picture of more pixels. To be asked before it is unpacked."""
    pixels = size[0] * size[1]
    if pixels > most:
        raise ExtractionError(
            "too_large",
            f"The picture has {pixels / 1e6:,.0f} million dots; at most {most / 1e6:,.0f} million can be read. "
            "Save it smaller: 300 dots an inch are enough.",
        )


def _installed(folder: Path) -> frozenset[str]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return frozenset()
    return frozenset(name.removesuffix(_DATA_NAME) for name in names if name.endswith(_DATA_NAME)) - {"osd", "equ"}


def _as_grey(picture: Image.Image) -> Image.Image:
    """Grey on white, in a size that is worth reading."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        # What is transparent is paper.
        layer = picture.convert("RGBA")
        picture = Image.new("RGBA", layer.size, "white")
        picture.alpha_composite(layer)
    grey = picture.convert("L")
    factor = 1
    while grey.width * grey.height > _MOST_PIXELS * factor * factor:
        factor += 1
    return grey.reduce(factor) if factor > 1 else grey


def _is_blank(grey: Image.Image) -> bool:
    """Whether there is nothing on it, whatever its shade. Looked at small, so that dust does not count."""
    small = grey.resize((min(grey.width, _SKEW_WIDTH), min(grey.height, _SKEW_WIDTH)), Image.Resampling.BOX)
    spots = small.tobytes()
    return max(spots) - min(spots) < _FAINTEST


def _skew(grey: Image.Image) -> float:
    """By how many degrees (up to 15) the lines slope: turned straight, dark rows and light rows differ most."""
    width = min(_SKEW_WIDTH, grey.width)
    small = grey.resize((width, max(1, grey.height * width // grey.width)), Image.Resampling.BOX)

    def contrast(angle: float) -> float:
        turned = small.rotate(angle, resample=Image.Resampling.BILINEAR, fillcolor=255)
        rows = turned.resize((1, turned.height), Image.Resampling.BOX).tobytes()
        return float(sum((below - above) ** 2 for above, below in pairwise(rows)))

    best = max((float(angle) for angle in range(-_STEEPEST, _STEEPEST + 1)), key=contrast)
    return max((best + tenth / 4 for tenth in range(-3, 4)), key=contrast)


def _confidence(sight: _Sight) -> int:
    return sight.confidence
