"""How long the statements of the access benchmarks take, and by which plan."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from deploy.bench._access_statements import Statement

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Timing:
    """What a statement took, in milliseconds: by the clock and, where it can be read, on the processor."""

    clock: list[float]
    processor: list[float]
    found: list[list[int]]
    plan: str

    def figures(self, nearest: list[list[int]]) -> dict[str, Any]:
        """p50 and p95, the processor's p50, recall@10 against the exact answer, and the plan."""
        recalls = [
            len(set(truth[:10]) & set(ids)) / len(truth[:10])
            for truth, ids in zip(nearest, self.found, strict=True)
            if truth
        ]
        return {
            "p50_ms": round(statistics.median(self.clock), 1),
            "p95_ms": round(float(np.percentile(self.clock, 95)), 1),
            "cpu_p50_ms": round(statistics.median(self.processor), 1) if self.processor else None,
            "recall_at_10": round(statistics.fmean(recalls), 3),
            "plan": self.plan,
        }


def take_turns(connection: psycopg.Connection, ways: dict[str, list[Statement]]) -> dict[str, Timing]:
    """Run the statements of all ways, one query after the other, when a few have warmed the memory."""
    cursor = connection.cursor()
    timings = {}
    for name, statements in ways.items():
        explained = cursor.execute(f"EXPLAIN (FORMAT json, COSTS off) {statements[0][0]}", statements[0][1]).fetchone()
        timings[name] = Timing([], [], [], _shape(explained[0][0]["Plan"]) if explained else "")
        for one in statements[:3]:
            cursor.execute(*one).fetchall()
    kept = scheduled(connection)
    # Whoever asks first warms the memory for the next: the ways change places all the time.
    orders = list(permutations(ways))
    for turn in range(len(next(iter(ways.values())))):
        for name in orders[turn % len(orders)]:
            statements = ways[name]
            before = processor_ms(kept) if kept else 0.0
            started = time.perf_counter()
            rows = cursor.execute(*statements[turn]).fetchall()
            timings[name].clock.append(1000 * (time.perf_counter() - started))
            if kept:
                timings[name].processor.append(processor_ms(kept) - before)
            timings[name].found.append([row[0] for row in rows])
    return timings


def scheduled(connection: psycopg.Connection) -> Path | None:
    """Where Linux keeps how long this connection's server process ran; None when it runs on another machine."""
    process = Path(f"/proc/{connection.info.backend_pid}")
    try:
        ours = connection.info.host in LOOPBACK and (process / "comm").read_text().startswith("postgres")
    except OSError:
        return None
    return process / "schedstat" if ours else None


def processor_ms(kept: Path) -> float:
    """Milliseconds that the server process has been on a processor since it started."""
    return int(kept.read_text().split()[0]) / 1e6


def _shape(plan: dict[str, Any]) -> str:
    """A plan in short: its nodes from the outside in, with the index that each one reads."""
    reads = plan.get("Index Name") or plan.get("Relation Name")
    inner = [_shape(one) for one in plan.get("Plans", [])]
    name = f"{plan['Node Type']}{f' {reads}' if reads else ''}"
    return name + (f" ({', '.join(inner)})" if inner else "")
