"""What the API costs beside the work that it is for.

    ./cloister bench api [--json]

1. A search: what the whole request takes more than `search.service.search` by itself, in turns with it (the caches of
   answers are off, the vector of the question is known). Milliseconds on the processor, Python's and the database's
   together, which other work hardly changes; by the clock beside them.
2. The list of documents: an administrator follows the cursor through 10,000 of them, in pages of 200. Flat means that
   the last pages cost what the first ones did.
3. An upload of 200 MB through a gunicorn of its own: the most memory that its worker had.

Its corpus is that of `bench search`, in the database `searchbench`, which it leaves there (what was uploaded goes).
Without a running instance it starts the parts that it needs.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from deploy.bench import Bar, conclude, machine
from deploy.bench._access_statements import questions
from deploy.bench._access_whole import Cost, timed, vectors_known
from deploy.bench._access_whole import prepare as prepare_connection
from deploy.bench._parts import again_with_parts, missing
from deploy.bench._search_corpus import askers, described, prepare
from deploy.local.ports import choose
from deploy.local.process import family, wait_until

ROOT = Path(__file__).resolve().parents[2]

QUESTIONS, ROUNDS = 25, 4
"""Of each question the least of its rounds counts, which other work disturbs least; the first round fills memories."""

LISTED, PAGE, ENDS = 10_000, 200, 10
"""Documents that are listed, in a page, and how many pages at either end are compared."""

UPLOAD_BYTES = 200 * 1024 * 1024

OVERHEAD_MS, FLAT, WORKER_MB = 3.0, 1.25, 200.0
"""The issue that introduced this benchmark; a list is flat where its end costs at most a quarter more."""

READY_SECONDS = 60.0
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


def main() -> int:
    """Measure, print, and return the exit status."""
    if missing():
        return again_with_parts("deploy.bench.api")
    before = machine()
    os.environ["THROTTLE_FACTOR"] = "0"
    server, chunks = prepare(sys.argv[1:])
    with _account() as (token, department):
        with server.connect() as connection:
            asked = questions(connection, QUESTIONS)
        with vectors_known({question.words.replace(" | ", " "): question.vector for question in asked}):
            search = _search(asked, token)
        listing = _listing(token)
        upload = _upload(server.url(), token, department)
    return conclude(
        "api",
        on=before,
        data=f"{described(chunks)}; {QUESTIONS} questions; {LISTED:,} documents listed; an upload of 200 MB",
        figures=search | listing | upload,
        bars=[
            Bar("a search's request beside the search (ms, processor, p50)", search["overhead_ms"], OVERHEAD_MS),
            Bar("the list's last pages, times its first", listing["last_to_first"], FLAT),
            Bar("worker during an upload of 200 MB (MB)", upload["worker_peak_mb"], WORKER_MB),
        ],
    )


@contextmanager
def _account() -> Iterator[tuple[str, str]]:
    """An administrator's access token and the name of a department; the account and what it uploaded go again."""
    from rest_framework_simplejwt.tokens import RefreshToken

    from accounts.models import Department, User
    from ingestion import pipeline
    from ingestion.models import Document

    person = User.objects.create_user(f"bench-api-{secrets.token_hex(4)}", role="admin")
    try:
        department = Department.objects.order_by("pk").first()
        if department is None:
            raise RuntimeError("The corpus has no department: drop the database searchbench, and try again.")
        yield str(RefreshToken.for_user(person).access_token), department.name
    finally:
        pipeline.delete(*Document.objects.filter(owner=person))
        person.delete()


def _search(asked: Any, token: str) -> dict[str, Any]:
    """What a search takes as a request and by itself."""
    from django.test import Client

    from search.service import search

    client, kept, asker = Client(headers={"Authorization": f"Bearer {token}"}), prepare_connection(), askers()[0]
    whole: list[list[Cost]] = [[] for _ in asked]
    alone: list[list[Cost]] = [[] for _ in asked]
    for turn in range(ROUNDS):
        for place, question in enumerate(asked):
            query = asker.query(question, "hybrid")
            ways: list[tuple[list[list[Cost]], Callable[[], Any]]] = [
                (whole, partial(client.get, "/api/v1/search/", {"q": query.text})),
                (alone, partial(search, query, viewer=asker.viewer)),
            ]
            for costs, work in ways if (turn + place) % 2 else reversed(ways):
                cost, answer = timed(work, kept)
                if costs is whole and answer.status_code != 200:
                    raise RuntimeError(f"The search answered {answer.status_code}: {answer.content[:300]!r}")
                if turn:
                    costs[place].append(cost)

    def over(measure: str) -> float:
        return statistics.median(
            min(getattr(one, measure) or 0.0 for one in with_request)
            - min(getattr(one, measure) or 0.0 for one in by_itself)
            for with_request, by_itself in zip(whole, alone, strict=True)
        )

    on_processor = over("processor") if kept else over("clock")
    return {"overhead_ms": round(on_processor, 2), "overhead_clock_ms": round(over("clock"), 2)}


def _listing(token: str) -> dict[str, Any]:
    """What the pages of the list take, from the first to the last."""
    from django.test import Client

    client, kept = Client(headers={"Authorization": f"Bearer {token}"}), prepare_connection()
    pages: list[float] = []
    for _ in range(2):
        address, costs = f"/api/v1/documents/?page_size={PAGE}", []
        for _ in range(LISTED // PAGE):
            cost, answer = timed(partial(client.get, address), kept)
            costs.append(cost.clock if cost.processor is None else cost.processor)
            address = answer.json()["next"]
        pages = [min(pair) for pair in zip(pages, costs, strict=True)] if pages else costs
    first, last = statistics.median(pages[:ENDS]), statistics.median(pages[-ENDS:])
    return {
        "first_pages_ms": round(first, 1), "last_pages_ms": round(last, 1), "last_to_first": round(last / first, 2),
    }  # fmt: skip


def _upload(database_url: str, token: str, department: str) -> dict[str, Any]:
    """What a worker of gunicorn needs while it takes 200 MB in."""
    port = choose(None, ())
    with tempfile.TemporaryDirectory(prefix="cloister-bench-") as name:
        folder = Path(name)
        environment = os.environ | {
            "DATABASE_URL": database_url,
            "PORT": str(port),
            "WEB_CONCURRENCY": "1",
            "MEDIA_ROOT": str(folder / "media"),
            "ALLOWED_HOSTS": "127.0.0.1",
            "INSECURE_COOKIES": "1",
        }
        environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
        (folder / "media" / "originals").mkdir(parents=True)
        command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py"]
        with (folder / "log").open("wb") as log:
            web = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            if not wait_until(lambda: _answers(port), READY_SECONDS):
                raise RuntimeError(f"gunicorn did not start:\n{(folder / 'log').read_text()[-2000:]}")
            (worker,) = [one for one in family(web.pid) if one != web.pid]
            before, began = _peak_mb(worker), time.monotonic()
            status = _send(port, token, department)
            seconds, after = time.monotonic() - began, _peak_mb(worker)
        finally:
            web.terminate()
            web.wait()
    if status != 202:
        raise RuntimeError(f"The upload was answered {status}.")
    return {
        "worker_peak_mb": round(after), "worker_mb_before": round(before), "upload_seconds": round(seconds, 1),
    }  # fmt: skip


def _answers(port: int) -> bool:
    try:
        return _exchange(port, "GET", "/health/live", b"", {}) == 200
    except OSError:
        return False


def _send(port: int, token: str, department: str) -> int:
    """Upload a file of random bytes, a block at a time; the status of the answer."""
    fields = {"department": department, "doc_type": "guide"}
    head = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    head += '--b\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
    tail = "\r\n--b--\r\n"
    block = secrets.token_bytes(1024 * 1024)
    length = len(head) + UPLOAD_BYTES - len(block) + len(tail)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.putrequest("POST", "/api/v1/documents/")
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    connection.send(head.encode())
    for _ in range(UPLOAD_BYTES // len(block) - 1):
        connection.send(block)
    connection.send(tail.encode())
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 202:
        print(json.dumps({"upload": body.decode(errors="replace")[:500]}), file=sys.stderr)
    return answer.status


def _exchange(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _peak_mb(process: int) -> float:
    """The most that a process ever had resident."""
    found = _PEAK.search(Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1000 if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
