"""The limits of extraction as an operator sets them, in the environment.

Imports no Django: the portal's settings are made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ingestion.extraction_types import MEBIBYTE, Limits


@dataclass(frozen=True)
class LimitSetting:
    """One limit as a setting: a whole number of `unit` (1, or bytes in a MiB), within bounds that make sense."""

    variable: str
    field: str
    least: int
    most: int
    unit: int = 1


LIMIT_SETTINGS = (
    # Scratch folders an hour old are taken for left behind, so no reading may last as long.
    LimitSetting("EXTRACTION_SECONDS", "seconds", 5, 1800),
    LimitSetting("EXTRACTION_CPU_SECONDS", "cpu_seconds", 5, 1800),
    # Below 256 MiB of address space the libraries themselves do not load.
    LimitSetting("EXTRACTION_MEMORY_MB", "memory_bytes", 256, 65_536, MEBIBYTE),
    LimitSetting("EXTRACTION_FILE_MB", "file_bytes", 1, 4096, MEBIBYTE),
    LimitSetting("EXTRACTION_OUTPUT_MB", "output_bytes", 1, 1024, MEBIBYTE),
    LimitSetting("EXTRACTION_SCRATCH_MB", "scratch_bytes", 1, 65_536, MEBIBYTE),
    LimitSetting("EXTRACTION_CHARACTERS", "characters", 10_000, 500_000_000),
    LimitSetting("EXTRACTION_PAGES", "pages", 10, 1_000_000),
    LimitSetting("EXTRACTION_UNPACKED_MB", "unpacked_bytes", 16, 16_384, MEBIBYTE),
    LimitSetting("EXTRACTION_UNPACK_RATIO", "unpack_ratio", 60, 1100),
    LimitSetting("EXTRACTION_ARCHIVE_MEMBERS", "archive_members", 100, 1_000_000),
    LimitSetting("EXTRACTION_PARTS", "parts", 1, 100_000),
    LimitSetting("EXTRACTION_PARTS_MB", "parts_bytes", 1, 65_536, MEBIBYTE),
    LimitSetting("EXTRACTION_NESTING", "nesting", 1, 20),
    LimitSetting("EXTRACTION_PIXELS", "pixels", 1_000_000, 1_000_000_000),
)
"""Every limit. The greatest ratio that deflate reaches is 1,032; the least that honest Office files need is 60."""


def limits_from(environment: Mapping[str, str]) -> Limits:
    """The limits that the environment names, the defaults of `Limits` for the others.

    Raises ValueError, with a sentence that names the variable and what it may be.
    """
    chosen: dict[str, int] = {}
    for setting in LIMIT_SETTINGS:
        text = environment.get(setting.variable, "").strip()
        if not text:
            continue
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
        if not setting.least <= number <= setting.most:
            raise ValueError(
                f"{setting.variable} is {text!r}. Set a whole number from {setting.least} to {setting.most}, "
                "or leave it unset."
            )
        chosen[setting.field] = number * setting.unit
    return Limits(**chosen)
