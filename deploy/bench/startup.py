"""How long a newcomer waits: from a fresh clone to a portal that answers, and again at the second start.

    ./cloister bench startup [--json]

A copy of this clone (what git tracks, and what is new and not ignored) is put into a temporary folder with a space in
its name. pip's cache is as it is, so run it twice for the figure with a warm one.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from deploy.bench import Bar, conclude, machine

ROOT = Path(__file__).resolve().parents[2]

# Seconds: the bars of the issue that introduced the launcher; its target for the first start was 90.
FIRST_LIMIT, SECOND_LIMIT, EMBEDDED_LIMIT = 180.0, 15.0, 180.0

# Of the caller's environment, what another instance must not inherit.
OF_AN_INSTANCE = (
    "ALLOWED_HOSTS BIND_ADDRESS CELERY_BROKER_URL CLOISTER_DEMO CLOISTER_HOME DATABASE_URL DEMO_PASSWORD "
    "DJANGO_SETTINGS_MODULE EMBEDDING_DIMENSIONS EMBEDDING_MODEL INSECURE_COOKIES JWT_SIGNING_KEY MEDIA_ROOT "
    "OLLAMA_URLS PORT PROMETHEUS_MULTIPROC_DIR REDIS_URL SECRET_KEY STATIC_ROOT"
)


class Watch(threading.Thread):
    """Asks /health/ready over and over, and notes when it first answered 200."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{port}/health/ready"
        self._began = time.monotonic()
        self.seconds: float | None = None

    def run(self) -> None:
        while self.seconds is None:
            try:
                with urllib.request.urlopen(self._url, timeout=5):
                    self.seconds = time.monotonic() - self._began
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)


class Clone:
    """A fresh copy of this clone, driven as a newcomer would."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "a clone"
        git = shutil.which("git")
        if git is None or not (ROOT / ".git").exists():
            sys.exit("bench startup copies what git tracks: run it in a clone, with git installed.")
        listed = subprocess.run(
            [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            source, target = ROOT / name, self._root / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        self._environment = {key: value for key, value in os.environ.items() if key not in OF_AN_INSTANCE.split()}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def run(self, *arguments: str) -> str:
        """Run its launcher; what it printed. Ends the benchmark when it fails."""
        done = subprocess.run(
            [str(self._root / "cloister"), *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"./cloister {' '.join(arguments)} failed:\n{done.stdout}")
        return done.stdout

    def up(self) -> tuple[float, float]:
        """Start it; seconds until /health/ready answered 200 and until `up --detach` returned."""
        watch = Watch(self.port)
        started = time.monotonic()
        watch.start()
        self.run("up", "--detach", "--port", str(self.port))
        returned = time.monotonic() - started
        watch.join(timeout=10)
        return watch.seconds or returned, returned

    def wait_embedded(self, seconds: float) -> tuple[float, int]:
        """Wait until no chunk waits for its vector; the seconds it took, and the number of documents."""
        started = time.monotonic()
        while True:
            counts = json.loads(self.run("manage", "ingestion_status", "--json"))
            took = time.monotonic() - started
            working = counts["waiting_chunks"] + sum(counts.get(state, 0) for state in ("queued", "extracting"))
            if not working or took > seconds:
                return took, counts.get("ready", 0) + counts.get("embedding", 0)
            time.sleep(1)


def main() -> int:
    """Measure, print, and return the exit status."""
    before = machine()
    with tempfile.TemporaryDirectory(prefix="cloister startup ") as folder:
        clone = Clone(Path(folder))
        try:
            first_ready, first_returned = clone.up()
            # Twice the limit, so that the figure says by how much it was missed.
            embedded, documents = clone.wait_embedded(2 * EMBEDDED_LIMIT)
            clone.run("down")
            second_ready, second_returned = clone.up()
        finally:
            clone.run("down")
    return conclude(
        "startup",
        on=before,
        data=f"a fresh copy of this clone, {documents} demo documents, pip cache as found",
        figures={
            "first_start_ready_seconds": round(first_ready, 1),
            "first_start_demo_searchable_seconds": round(first_returned, 1),
            "demo_embedded_after_seconds": round(embedded, 1),
            "second_start_ready_seconds": round(second_ready, 1),
            "second_start_returned_seconds": round(second_returned, 1),
        },
        bars=[
            Bar("first start, demo searchable by words (s)", round(first_returned, 1), FIRST_LIMIT),
            Bar("demo embedded after that (s)", round(embedded, 1), EMBEDDED_LIMIT),
            Bar("second start (s)", round(second_returned, 1), SECOND_LIMIT),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
