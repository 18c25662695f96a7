"""How to find out whether a part does its work: by having it do a little of it, never by asking whether it is there.

Each check returns what operators want to know of the part, or raises: `Trouble` with more to say, or whatever the part
raises itself. They run in threads of their own, and each gives up by itself after a few seconds.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import InterfaceError, OperationalError, connection, transaction

from ingestion import progress, vectorspace
from ingestion.embeddings import KNOWN_GOOD_TEXT, EmbeddingClient, EmbeddingUnavailable
from ingestion.metrics import node_name
from portal import queues
from portal.celery import app as celery_app
from portal.replicas import states as replica_states

STATEMENT_MILLISECONDS = 1500
"""After which the database itself ends our statement: a check must not add to what an overloaded one has to do."""

NODE_SECONDS = 5.0
"""For one vector: a node that is busy with a large document answers late."""

COUNTED_SECONDS = 60.0
"""How long the number of searchable chunks is believed; to count them reads all documents."""

_searchable: tuple[float, int] = (float("-inf"), 0)


class Trouble(Exception):
    """What is wrong with a part, with what is known of it, and whether it does its work all the same."""

    def __init__(self, message: str, details: dict[str, Any] | None = None, *, works: bool = False) -> None:
        super().__init__(message)
        self.details = details or {}
        self.works = works


def database() -> dict[str, Any]:
    """Connects, compares two vectors, finds the tables, and counts connections and searchable chunks."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(STATEMENT_MILLISECONDS)])
            # Fails where pgvector is missing or migrations have not run: such a database answers no search.
            cursor.execute(
                "SELECT '[1,0]'::halfvec <=> '[0,1]'::halfvec, EXISTS (SELECT FROM ingestion_chunk),"
                " EXISTS (SELECT FROM search_searchevent), (SELECT count(*) FROM django_migrations),"
                " (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),"
                " current_setting('max_connections')::int"
            )  # access: asks whether the table is there
            distance, _, _, migrations, connected, most = cursor.fetchone()
            if distance != 1:
                raise Trouble("the vector operation answered wrongly")
            return {
                "migrations": migrations,
                "searchable_chunks": _searchable_chunks(),
                "connections": connected,
                "max_connections": most,
            }
    finally:
        connection.close()


def _searchable_chunks() -> int:
    """How many chunks there are to be found by somebody, counted a minute ago at most."""
    global _searchable
    at, known = _searchable
    if time.monotonic() - at > COUNTED_SECONDS:
        known = progress.searchable_chunks()
        _searchable = (time.monotonic(), known)
    return known


def replicas() -> dict[str, Any]:
    """Every read replica that is configured, and how far it is behind; all is well where there is none."""
    states = replica_states()
    found: dict[str, Any] = {"configured": len(states)}
    if not states:
        return found
    found["replicas"] = {state.alias: asdict(state) for state in states}
    if ill := [f"{state.alias}: {state.error}" for state in states if not state.healthy]:
        raise Trouble("; ".join(ill), found, works=len(ill) < len(states))
    return found


def embedding() -> dict[str, Any]:
    """Has every node make a vector: it is reachable, has the model with the right weights, and the vector is one.

    As long as one node does, queries are embedded.
    """
    try:
        space = vectorspace.live()
    except (OperationalError, InterfaceError):
        space = vectorspace.configured()  # the database has a check of its own
    finally:
        connection.close()
    urls = tuple(dict.fromkeys(url.strip().rstrip("/") for url in settings.OLLAMA_URLS))
    with ThreadPoolExecutor(len(urls), thread_name_prefix="health-node") as pool:
        nodes = list(pool.map(lambda url: _node(url, space), urls))
    found = {"model": space.model, "dimensions": space.dimensions, "nodes": nodes}
    ill = [node["error"] for node in nodes if not node["healthy"]]
    if ill:
        raise Trouble("; ".join(ill), found, works=len(ill) < len(nodes))
    return found


def _node(url: str, space: vectorspace.Space) -> dict[str, Any]:
    started, error = time.perf_counter(), ""
    try:
        _client_of(url, space.model, space.dimensions, space.digest).embed_query(KNOWN_GOOD_TEXT)
    except EmbeddingUnavailable as failure:
        error = str(failure)
    seconds = round(time.perf_counter() - started, 4)
    return {"node": node_name(url), "healthy": not error, "response_time": seconds, "error": error}


@lru_cache(maxsize=64)
def _client_of(url: str, model: str, dimensions: int, digest: str) -> EmbeddingClient:
    """A client that knows this node alone, so that no other one answers for it."""
    return EmbeddingClient([url], model, dimensions, digest=digest, timeout=NODE_SECONDS, connect_timeout=1.0)


def cache() -> dict[str, Any]:
    """Asks the server behind the cache, writes a value and reads it back."""
    # Not through Django's cache, which hides a lost server on purpose.
    backend: Any = caches["default"]
    server = backend.client.get_client()
    server.ping()
    key, value = f"health:{socket.gethostname()}:{os.getpid()}", secrets.token_hex(8)
    server.set(key, value, ex=60)
    if server.get(key) != value.encode():
        raise Trouble("what was written a moment ago cannot be read back")
    said = server.info()
    return {
        "memory_bytes": said["used_memory"],
        "max_memory_bytes": said["maxmemory"],
        "clients": said["connected_clients"],
    }


def workers() -> dict[str, Any]:
    """Whether workers answer, and whether canaries pass through each queue."""
    waiting = queues.states()
    # The first answer will do: without a limit it would wait for more until the time is over.
    answers = celery_app.control.ping(timeout=1.0, limit=1)
    found = {
        "answering": [name for answer in answers or () for name in answer],
        "queues": {name: state.described() for name, state in waiting.items()},
    }
    if not answers:
        raise Trouble("no worker answers; documents wait in the queue", found)
    if stuck := [f"{name}: {state.trouble}" for name, state in waiting.items() if state.trouble]:
        raise Trouble("; ".join(stuck), found)
    return found


def storage() -> dict[str, Any]:
    """Writes a file where the originals are, reads it back, and deletes it."""
    name, content = f"health/{socket.gethostname()}-{os.getpid()}", secrets.token_bytes(16)
    try:
        stored = default_storage.save(name, ContentFile(content))
        try:
            with default_storage.open(stored) as file:
                if file.read() != content:
                    raise Trouble("what was written a moment ago cannot be read back")
        finally:
            default_storage.delete(stored)
    finally:
        connection.close()  # the storage may ask whether there are documents
    return {"kind": "bucket" if settings.MEDIA_S3_BUCKET else "folder"}


def disk() -> dict[str, Any]:
    """Whether the disks that the portal writes to have room (LOW_DISK_SHARE)."""
    found: dict[str, Any] = {}
    low = []
    for name, place in _places().items():
        usage = shutil.disk_usage(place)
        found[name] = {"free_bytes": usage.free, "size_bytes": usage.total}
        if usage.free < settings.LOW_DISK_SHARE * usage.total:
            low.append(f"{name}: {usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB are free")
    if low:
        raise Trouble("; ".join(low), found)
    return found


def _places() -> dict[str, Path]:
    """The folders, by what is in them; of one that is not there yet, the next above that is."""
    places = {"temporary": Path(tempfile.gettempdir())}
    if not settings.MEDIA_S3_BUCKET:
        places["originals"] = next(
            path for path in (Path(settings.MEDIA_ROOT), *Path(settings.MEDIA_ROOT).parents) if path.exists()
        )
    return places
