"""Texts to vectors, over the Ollama protocol: one client for Ollama in production and for the bundled server.

A call chooses the least busy of several nodes and goes on to another when one fails. A node that keeps failing is left
alone for a while, then tried by one request. A text that no healthy node can embed is found by halving its batch, and
only that text is given up: a node's failure is never blamed on a text.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx

BATCH_SIZE = 16
"""Texts a request. A node embeds one text at a time, so that more only makes the answer late (measured on Ollama)."""

REQUESTS_PER_NODE = 2
"""Requests in flight a node: one being computed, one waiting, so that the node never idles between the two."""

FAILURES_TO_OPEN = 2
REST_SECONDS = 5.0
LONGEST_REST_SECONDS = 60.0
BUSY_PAUSE_SECONDS = 0.5

NORM_TOLERANCE = 0.05
"""Both servers answer unit vectors; what is further off than this was not made by a healthy model."""

OLLAMA_OPTIONS: dict[str, dict[str, int]] = {"bge-m3": {"num_ctx": 2048, "num_batch": 2048}}
"""Without these Ollama cuts long texts silently. 2,048 tokens is over four times our largest chunk."""

KNOWN_GOOD_TEXT = "library opening hours"

log = logging.getLogger(__name__)


class EmbeddingUnavailable(Exception):
    """No node answers. What is derived from it says more; whoever only wants to degrade catches this one."""


class ModelMissing(EmbeddingUnavailable):
    """The nodes answer, and do not have the model. The message names the command that fetches it."""


class DimensionMismatch(EmbeddingUnavailable):
    """The model's vectors are not of the configured length."""


class TextRejected(EmbeddingUnavailable):
    """A healthy node cannot embed this one text."""


@dataclass(frozen=True)
class ModelDescription:
    """The model in use: its name, the digest of its weights, and the length of its vectors."""

    name: str
    digest: str
    dimensions: int


@dataclass(frozen=True)
class NodeStatus:
    """How one node does, as this process sees it. `resting` means that its circuit is open."""

    url: str
    in_flight: int
    failures: int
    resting: bool


class _NodeFault(Exception):
    """The node failed, whatever it was asked."""


class _NodeBusy(_NodeFault):
    """The node is well and has too much to do."""


class _NodeLacksModel(_NodeFault):
    """The node is well and does not have the model."""


class _BatchRefused(Exception):
    """The node answered that it cannot embed this batch, or sent numbers that are no vectors."""


class _Node:
    """One node's state, guarded by the lock of its _Nodes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.in_flight = 0
        self.failures = 0
        self.rests_until = 0.0
        self.last_used = 0.0

    def is_open_at(self, now: float) -> bool:
        """Whether the node rests, or has one request already that finds out whether it is well again."""
        broken = self.failures >= FAILURES_TO_OPEN
        return broken and (now < self.rests_until or self.in_flight > 0)


class _Nodes:
    """The nodes of one process: its connections, who is busy, and whose circuit is open."""

    def __init__(self, urls: Sequence[str], connect_seconds: float) -> None:
        self.http = httpx.Client(
            timeout=httpx.Timeout(None, connect=connect_seconds),
            limits=httpx.Limits(max_keepalive_connections=REQUESTS_PER_NODE * len(urls), keepalive_expiry=60),
            verify=any(url.startswith("https:") for url in urls),
            trust_env=False,  # nodes are inside the institution; a proxy from the environment would only break this
        )
        self.all = [_Node(url) for url in urls]
        self._changed = threading.Condition()

    @contextmanager
    def least_busy(self, *, besides: set[str], deadline: float) -> Iterator[_Node]:
        """Hold a place at the least busy node, waiting until `deadline` (monotonic seconds) where all are taken.

        Raises EmbeddingUnavailable at once when the circuits of all are open, and TimeoutError at the deadline.
        """
        with self._changed:
            while (node := self._choose(besides)) is None:
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimeoutError
            node.in_flight += 1
            node.last_used = time.monotonic()
        try:
            yield node
        except _NodeFault as fault:
            if not isinstance(fault, _NodeBusy | _NodeLacksModel):
                self._note_failure(node, fault)
            raise
        else:
            node.failures = 0
        finally:
            with self._changed:
                node.in_flight -= 1
                self._changed.notify_all()

    def reachable_count(self, *, besides: set[str]) -> int:
        """How many nodes could be asked now or soon."""
        now = time.monotonic()
        return sum(1 for node in self.all if node.url not in besides and not node.is_open_at(now))

    def _choose(self, besides: set[str]) -> _Node | None:
        now = time.monotonic()
        reachable = [node for node in self.all if node.url not in besides and not node.is_open_at(now)]
        if not reachable:
            raise EmbeddingUnavailable("no embedding node answers: all of them failed a moment ago")
        free = [node for node in reachable if node.in_flight < REQUESTS_PER_NODE]
        return min(free, key=lambda node: (node.in_flight, node.last_used), default=None)

    def _note_failure(self, node: _Node, fault: _NodeFault) -> None:
        with self._changed:
            node.failures += 1
            if node.failures >= FAILURES_TO_OPEN:
                doublings = node.failures - FAILURES_TO_OPEN
                rest = min(REST_SECONDS * 2 ** min(doublings, 10), LONGEST_REST_SECONDS)
                node.rests_until = time.monotonic() + rest
                log.warning("embedding node %s rests for %.0f s: %s", node.url, rest, fault)


class EmbeddingClient:
    """Embeds queries and passages on the nodes at `urls`. One may be shared by threads, and kept over a fork.

    `timeout` is for a query and `passages_timeout` for a batch of passages, in seconds, failovers included.
    """

    def __init__(
        self,
        urls: Sequence[str],
        model: str,
        dimensions: int,
        *,
        timeout: float = 2.0,
        passages_timeout: float = 60.0,
        connect_timeout: float = 1.0,
    ) -> None:
        if not urls:
            raise ValueError("OLLAMA_URLS names no embedding node")
        self.urls = tuple(url.rstrip("/") for url in urls)
        self.model = model
        self.dimensions = dimensions
        self._timeout = timeout
        self._passages_timeout = passages_timeout
        self._connect_timeout = connect_timeout
        self._nodes_by_process: dict[int, _Nodes] = {}
        # e5 was trained with a word before each text that says what it is; bge-m3 and others without.
        is_e5 = "e5" in model.lower().split(":")[0].split("-")
        self._query_prefix, self._passage_prefix = ("query: ", "passage: ") if is_e5 else ("", "")

    def embed_query(self, text: str) -> list[float]:
        """The query vector of what a person typed, a unit vector, within the short time-out.

        Raises EmbeddingUnavailable: at once when every circuit is open, as TextRejected when only this text fails.
        """
        cleaned = clean(text)
        if not cleaned:
            raise TextRejected("the text is empty")
        deadline = time.monotonic() + self._timeout
        try:
            return self._request([self._query_prefix + cleaned], deadline)[0]
        except _BatchRefused as refusal:
            raise TextRejected(f"the text cannot be embedded: {refusal}") from None

    def embed_passages(self, texts: Sequence[str]) -> list[list[float] | None]:
        """The texts' unit vectors, in their order; None for a text that is empty or that healthy nodes cannot embed.

        Raises EmbeddingUnavailable when the nodes, and not the texts, are at fault: nothing is then returned.
        """
        vectors: list[list[float] | None] = [None] * len(texts)
        cleaned = [(position, clean(text)) for position, text in enumerate(texts)]
        whole = [(position, self._passage_prefix + text) for position, text in cleaned if text]
        batches = [whole[start : start + BATCH_SIZE] for start in range(0, len(whole), BATCH_SIZE)]
        if not batches:
            return vectors
        workers = min(len(batches), REQUESTS_PER_NODE * len(self.urls))
        with ThreadPoolExecutor(workers, thread_name_prefix="embedding") as pool:
            futures = [pool.submit(self._embed_batch, [text for _, text in batch]) for batch in batches]
            try:
                for batch, future in zip(batches, futures, strict=True):
                    for (position, _), vector in zip(batch, future.result(), strict=True):
                        vectors[position] = vector
            finally:
                for future in futures:
                    future.cancel()  # after a failure the batches that wait would only fail as well, one by one
        return vectors

    def describe(self) -> ModelDescription:
        """The model as the first node that answers has it; `dimensions` are those of a vector made now.

        Raises ModelMissing, or EmbeddingUnavailable.
        """
        deadline = time.monotonic() + self._passages_timeout

        def ask(node: _Node) -> ModelDescription:
            tags = self._exchange(node, "GET", "/api/tags", None, self._timeout)
            wanted = _full_name(self.model)
            for model in tags.get("models", []):
                if _full_name(str(model.get("name", ""))) == wanted:
                    vectors = self._post_embed(node, [self._query_prefix + KNOWN_GOOD_TEXT], self._passages_timeout)
                    return ModelDescription(self.model, str(model.get("digest", "")), len(vectors[0]))
            raise _NodeLacksModel(self._missing_model(node))

        try:
            return self._with_failover(ask, deadline)
        except _BatchRefused as refusal:
            raise EmbeddingUnavailable(f"the model {self.model} does not work: {refusal}") from None

    def nodes(self) -> list[NodeStatus]:
        """How the nodes do, as far as this process has met them; asks none of them."""
        now = time.monotonic()
        return [NodeStatus(node.url, node.in_flight, node.failures, node.is_open_at(now)) for node in self._nodes().all]

    def _nodes(self) -> _Nodes:
        """This process's nodes: connections and locks are not carried over a fork."""
        process = os.getpid()
        nodes = self._nodes_by_process.get(process)
        if nodes is None:
            nodes = self._nodes_by_process.setdefault(process, _Nodes(self.urls, self._connect_timeout))
        return nodes

    def _embed_batch(self, texts: list[str]) -> list[list[float] | None]:
        """One batch's vectors; a refused batch is halved until the texts at fault are alone."""
        try:
            return list(self._request(texts, time.monotonic() + self._passages_timeout))
        except _BatchRefused as refusal:
            if len(texts) > 1:
                middle = len(texts) // 2
                return self._embed_batch(texts[:middle]) + self._embed_batch(texts[middle:])
            log.warning("a text of %d characters cannot be embedded: %s", len(texts[0]), refusal)
            return [None]

    def _request(self, texts: list[str], deadline: float) -> list[list[float]]:
        """The vectors of texts, from whichever node gives them. Raises _BatchRefused or EmbeddingUnavailable."""

        def ask(node: _Node) -> list[list[float]]:
            others = self._nodes().reachable_count(besides={node.url})
            seconds = max(deadline - time.monotonic(), 0.05)
            # A hanging node must leave a query time for another one; a slow batch of passages may take all there is.
            share = seconds / (others + 1) if seconds <= self._timeout else seconds
            try:
                vectors = self._post_embed(node, texts, share)
                return [self._checked(vector) for vector in vectors]
            except _BatchRefused as refusal:
                if len(texts) > 1:
                    raise
                # Node or text? Whoever cannot embed plain words either is a broken node.
                try:
                    self._post_embed(node, [self._query_prefix + KNOWN_GOOD_TEXT], share)
                except _BatchRefused:
                    raise _NodeFault(f"{node.url} embeds nothing: {refusal}") from None
                raise

        return self._with_failover(ask, deadline)

    def _with_failover[Answer](self, ask: Any, deadline: float) -> Any:
        raise NotImplementedError
