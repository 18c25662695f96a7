"""Somebody who uploads a folder of files in the order of their names, until all are in, or SIGTERM ends it.

    python -m deploy.bench._ingest_uploads FOLDER IN_FLIGHT

With IN_FLIGHT 0 one file follows upon the other. Else the next is uploaded whenever fewer documents than that are in
flight: taken in, and not yet done.

A process of its own, as the web server is one: it meets a database or a queue that is away as that does. Where an
upload is answered with an error, it is tried again, as a person would. Its last line counts what happened.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from threading import Event

RETRY_SECONDS = 0.5
GIVE_UP_SECONDS = 120.0
LOOK_SECONDS = 0.05


def main() -> int:
    """Upload, and return the exit status."""
    import django

    django.setup()
    folder, in_flight = Path(sys.argv[1]), int(sys.argv[2])
    enough = Event()
    signal.signal(signal.SIGTERM, lambda *_: enough.set())
    started = time.monotonic()
    seen: Counter[str] = Counter()
    for file in sorted(folder.iterdir()):
        while in_flight and not enough.is_set() and _in_flight() >= in_flight:
            enough.wait(LOOK_SECONDS)
        if enough.is_set():
            break
        _upload(file, seen)
    print(json.dumps(dict(seen) | {"seconds": round(time.monotonic() - started, 1)}))
    return 0


def _in_flight() -> int:
    """How many documents are taken in and not yet done; none are known of while the database is away."""
    from django.db import DatabaseError, InterfaceError, connection

    from ingestion.models import WORKING, Document

    try:
        number: int = Document.objects.filter(status__in=WORKING).count()
    except (DatabaseError, InterfaceError):
        connection.close()
        return 0
    return number


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
