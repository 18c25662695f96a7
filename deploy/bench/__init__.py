"""Benchmarks: `./cloister bench NAME [--json]`. Each is a module with figures, and bars that they must reach."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Bar:
    """A figure and the most it may be."""

    name: str
    value: float
    limit: float

    @property
    def ok(self) -> bool:
        return self.value <= self.limit


class AtLeast(Bar):
    """A figure and the least it may be."""

    @property
    def ok(self) -> bool:
        return self.value >= self.limit


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": memory // 1_000_000,
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


def conclude(
    name: str,
    *,
    on: Mapping[str, Any],
    data: str,
    figures: Mapping[str, Any],
    bars: Sequence[Bar],
    arguments: Sequence[str] = tuple(sys.argv[1:]),
) -> int:
    """Print the outcome and return the exit status: 0 when every bar is reached, else 1.

    With `--json` the last line is one object, `{"name", "machine", "data", "figures", "bars", "ok"}`; `on` is what
    `machine()` said before the measuring, `data` says in words what was measured.
    """
    ok = all(bar.ok for bar in bars)
    if "--json" in arguments:
        print(
            json.dumps(
                {
                    "name": name,
                    "machine": dict(on),
                    "data": data,
                    "figures": dict(figures),
                    "bars": [asdict(bar) | {"ok": bar.ok} for bar in bars],
                    "ok": ok,
                }
            )
        )
        return 0 if ok else 1
    print(f"{name}: {data}")
    for key, value in figures.items():
        print(f"  {key.replace('_', ' '):40} {value}")
    for bar in bars:
        print(f"  {'reached' if bar.ok else 'MISSED ':8} {bar.name}: {bar.value:g} (limit {bar.limit:g})")
    return 0 if ok else 1
