"""What is kept for some time, because making it again takes longer. Nothing depends on its being there.

Values are sealed: who can read the server behind the cache learns nothing of answers, and who can write to it can put
nothing into one, nor one person's answer in another's place (docs/decisions/0025).
"""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.utils.crypto import salted_hmac

from search._store import Away, allowance, store
from search.metrics import CACHE

__all__ = ["Cache", "Shared", "allowance", "short_key"]

LONGEST_KEY = 250
"""Bytes of a key that any server takes; a longer one is replaced by its digest."""

MOST_BYTES = 512 * 1024
"""Of a value as it is kept; what is larger is not."""

NONCE_BYTES = 12

WAIT_SECONDS = 0.5
"""How long somebody waits for what another is making, before they make it themselves."""

Value = TypeVar("Value")


def short_key(key: str, prefix: str, version: int) -> str:
    """The key as the server has it (Django's KEY_FUNCTION)."""
    full = f"{prefix}:{version}:{key}"
    if len(full.encode()) <= LONGEST_KEY:
        return full
    return f"{prefix}:{version}:{hashlib.sha256(key.encode()).hexdigest()}"


class Cache:
    """Bytes that are kept under keys, sealed. A server that is away, slow or full is a miss."""

    def __init__(self, name: str) -> None:
        """The name is a label of the metrics."""
        self._name = name

    def get(self, key: str) -> bytes | None:
        """What is kept under this key, as it was given; None where nothing is, or nothing of ours."""
        try:
            sealed = store().get(key)
        except Away:
            self._count("away")
            return None
        value = None if sealed is None else _opened(key, sealed)
        self._count("miss" if sealed is None else "unusable" if value is None else "hit")
        return value

    def put(self, key: str, value: bytes, *, seconds: float) -> None:
        """Keep it for so long, if it is not too large and the server takes it."""
        sealed = _sealed(key, value)
        if len(sealed) > MOST_BYTES:
            self._count("too_large")
            return
        try:
            store().put(key, sealed, seconds)
        except Away:
            self._count("not_kept")

    def _count(self, outcome: str) -> None:
        CACHE.labels(self._name, outcome).inc()


def _cipher(key: str) -> AESGCM:
    """A key of its own for each value: one under another key does not open."""
    return AESGCM(salted_hmac("search.caching", key, algorithm="sha256").digest())


def _sealed(key: str, value: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, zlib.compress(value, 1), None)


def _opened(key: str, sealed: bytes) -> bytes | None:
    try:
        return zlib.decompress(_cipher(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None))
    except (InvalidTag, ValueError):
        return None


class Shared(Generic[Value]):
    """Lets the threads of a process that want the same at the same time make it once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._being_made: dict[str, Future[Value | None]] = {}

    def get(self, key: str, make: Callable[[], Value], *, shareable: Callable[[Value], bool]) -> tuple[Value, bool]:
        """What `make` gives, and whether it was made for somebody else, who was making the same.

        Nobody waits for another longer than WAIT_SECONDS, or gets what is not `shareable`, or another's exception: then
        they make it themselves.
        """
        with self._lock:
            others = self._being_made.get(key)
            if others is None:
                ours = self._being_made[key] = Future()
        if others is not None:
            try:
                found = others.result(timeout=WAIT_SECONDS)
            except TimeoutError:
                found = None
            return (make(), False) if found is None else (found, True)
        told: Value | None = None
        try:
            value = make()
            if shareable(value):
                told = value
            return value, False
        finally:
            with self._lock:
                del self._being_made[key]
            ours.set_result(told)
