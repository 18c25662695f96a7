"""Somebody who uploads a folder of files, half of them at once and the others spread over a time, until all are in.

    python -m deploy.bench._ingest_uploads FOLDER SECONDS

A process of its own, as the web server is one: it meets a database or a queue that is away as that does. Where an
upload is answered with an error, it is tried again, as a person would. Its last line counts what happened.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

RETRY_SECONDS = 0.5
GIVE_UP_SECONDS = 120.0


def main() -> int:
    """Upload, and return the exit status."""
    import django

    django.setup()
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    files = sorted(folder.iterdir())
    started = began = time.monotonic()
    seen: Counter[str] = Counter()
    at_once = len(files) // 2
    for place, file in enumerate(files):
        if place == at_once:
            began = time.monotonic()
        if place > at_once:
            time.sleep(max(0.0, began + seconds * (place - at_once) / (len(files) - at_once) - time.monotonic()))
        _upload(file, seen)
    print(json.dumps(dict(seen) | {"seconds": round(time.monotonic() - started, 1)}))
    return 0


def _upload(file: Path, seen: Counter[str]) -> None:
    """Upload one file until it is taken in."""
    from django.core.files import File
    from django.db import DatabaseError, InterfaceError, connection

    from accounts.clearance import OPERATOR
    from accounts.models import Department
    from ingestion.models import DocumentType
    from ingestion.registration import DocumentMetadata, UploadRejected, register

    deadline = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            with file.open("rb") as stream:
                metadata = DocumentMetadata(
                    department=Department.objects.get(name="Registry"),
                    doc_type=DocumentType.objects.get(slug="guide"),
                    clearance=1,
                    audience="institution",
                )
                register(File(stream), file_name=file.name, viewer=OPERATOR, metadata=metadata)
            seen["accepted"] += 1
            return
        except UploadRejected as refusal:
            if refusal.reason != "duplicate":
                raise
            # It was taken in, and only the answer was lost.
            seen["accepted_without_an_answer"] += 1
            return
        except (DatabaseError, InterfaceError) as error:
            if time.monotonic() > deadline:
                raise
            seen["answered_with_an_error"] += 1
            print(f"{file.name}: {error}", file=sys.stderr, flush=True)
            connection.close()
            time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
