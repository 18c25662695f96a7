#!/usr/bin/env python3
"""Asks the advisory service, through pip-audit, whether anything in requirements.txt has a known vulnerability.

    .venv/bin/python .ci/audit.py [pip-audit's own arguments]

A known vulnerability fails the run, and so does a package that the service does not know, where it knows others: it may
come from the wrong place. Where the service answers for none of them it cannot be reached; that is said plainly and
fails nothing, because many machines that build this reach no such service. Standard library only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 300


@dataclass(frozen=True)
class Verdict:
    """What came of it, in words, and the exit status."""

    words: str
    status: int


def judge(printed: str, complaint: str) -> Verdict:
    """The verdict on what pip-audit printed as JSON; `complaint` is what it wrote to its error output."""
    try:
        packages: list[dict[str, Any]] = json.loads(printed)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = complaint.strip().splitlines()[-1:] or ["it said nothing"]
        return _unreached(f"pip-audit gave no list: {last[0][:300]}")
    known = [one for one in packages if "vulns" in one]
    unknown = [one for one in packages if "vulns" not in one]
    if not known:
        return _unreached(f"it answered for none of the {len(packages)} packages")
    lines = [
        f"{one['name']} {one['version']}: {vulnerability['id']}, mended in {_versions(vulnerability)}"
        for one in known
        for vulnerability in one["vulns"]
    ]
    lines += [f"{one['name']}: {one.get('skip_reason', 'not audited')}" for one in unknown]
    if lines:
        return Verdict("\n".join(["Not to be shipped like this:", *lines]), 1)
    return Verdict(f"{len(known)} packages, no known vulnerability.", 0)


def _versions(vulnerability: dict[str, Any]) -> str:
    return " or ".join(vulnerability.get("fix_versions", ())) or "no version yet"


def _unreached(why: str) -> Verdict:
    return Verdict(f"NOT AUDITED: the advisory service cannot be reached from here ({why}). Run this where it can.", 0)


def main(arguments: Sequence[str]) -> int:
    """Run pip-audit over requirements.txt, print the verdict and answer its status."""
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "requirements.txt"), "--format", "json"),
        # All versions are pinned, so nothing has to be resolved or installed.
        *("--no-deps", "--disable-pip", "--progress-spinner", "off", *arguments),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        verdict = _unreached(f"no answer within {SECONDS} s")
    else:
        if "No module named pip_audit" in done.stderr:
            verdict = Verdict("pip-audit is not installed: ./cloister test installs requirements-dev.txt.", 1)
        else:
            verdict = judge(done.stdout, done.stderr)
    print(verdict.words)  # noqa: T201  (what it is for)
    return verdict.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
