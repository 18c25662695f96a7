"""Texts to vectors, over the Ollama protocol: one client for Ollama in production and for the bundled server.

A call chooses the least busy of several nodes and goes on to another when one fails. A node that keeps failing is left
alone for a while, then tried by one request. A text that no healthy node can embed is found by halving its batch, and
only that text is given up: a node's failure is never blamed on a text.
"""

import logging
import math
import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar

import httpx

from ingestion import metrics
from ingestion.embedding_nodes import (
    REQUESTS_PER_NODE,
    EmbeddingUnavailable,
    Node,
    NodeBusy,
    NodeFault,
    NodeHasOtherWeights,
    NodeLacksModel,
    Nodes,
    NodeStatus,
    Places,
)

BATCH_SIZE = 16
"""Texts a request. Ollama embeds one text at a time, so that a larger batch would only make the answer late."""

BUSY_PAUSE_SECONDS = 0.5
"""How long a batch of passages waits when every node says that it is busy."""

NORM_TOLERANCE = 0.05
"""Both servers answer unit vectors; what is further off than this was not made by a healthy model."""

OLLAMA_OPTIONS: dict[str, dict[str, int]] = {"bge-m3": {"num_ctx": 2048, "num_batch": 2048}}
"""Without these Ollama cuts long texts silently. 2,048 tokens is over four times our largest chunk."""

KEEP_ALIVE = "24h"
"""How long Ollama keeps the model loaded after a request. Its own 5 minutes would make the first query of a quiet hour
wait for the model to load, and so fail."""

DIGEST_SECONDS = 60.0
"""How long a node is believed to serve the weights that it was seen to serve."""

KNOWN_GOOD_TEXT = "library opening hours"
"""What any healthy node embeds: it tells a broken node from a text that cannot be embedded."""

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

__all__ = [
    "DimensionMismatch",
    "EmbeddingClient",
    "EmbeddingUnavailable",
    "ModelChanged",
    "ModelDescription",
    "ModelMissing",
    "NodeStatus",
    "TextRejected",
    "client_for",
    "describe",
    "full_name",
]


class ModelChanged(EmbeddingUnavailable):
    """What the nodes serve under the model's name is another model by now. The message names the way out."""


class ModelMissing(EmbeddingUnavailable):
    """The nodes answer, and do not have the model. The message names the command that fetches it."""


class DimensionMismatch(EmbeddingUnavailable):
    """The model's vectors are not of the length that the corpus has room for."""


class TextRejected(EmbeddingUnavailable):
    """A healthy node cannot embed this one text."""


@dataclass(frozen=True)
class ModelDescription:
    """The model in use: its name, the digest of its weights, and the length of its vectors."""

    name: str
    digest: str
    dimensions: int


class _BatchRefused(Exception):
    """The node answered that it cannot embed this batch, or sent numbers that are no vectors."""


class EmbeddingClient:
    """Embeds queries and passages on the nodes at `urls`. One may be shared by threads, and kept over a fork.

    With a `digest`, a node that serves other weights under the model's name is not asked (docs/decisions/0015).
    `timeout` is for a query, failovers included; `passages_timeout` for a batch of passages at one node; in seconds.
    """

    def __init__(
        self,
        urls: Sequence[str],
        model: str,
        dimensions: int,
        *,
        digest: str = "",
        timeout: float = 2.0,
        passages_timeout: float = 60.0,
        connect_timeout: float = 1.0,
    ) -> None:
        if not urls:
            raise ValueError("OLLAMA_URLS names no embedding node")
        self.urls = tuple(dict.fromkeys(url.strip().rstrip("/") for url in urls))
        self.model = model
        self.dimensions = dimensions
        self.digest = digest
        self._timeout = timeout
        self._passages_timeout = passages_timeout
        self._connect_timeout = connect_timeout
        self._nodes_by_process: dict[int, Nodes] = {}
        # e5 was trained with a word before each text that says what it is; bge-m3 and others were not.
        is_e5 = re.search(r"(^|[-_/])e5([-_:]|$)", model.lower()) is not None
        self._query_prefix, self._passage_prefix = ("query: ", "passage: ") if is_e5 else ("", "")

    def embed_query(self, text: str) -> list[float]:
        """The query vector of what a person typed, a unit vector, within the short time-out.

        Raises EmbeddingUnavailable: at once when every circuit is open, and as TextRejected when only this text fails.
        """
        cleaned = _clean(text)
        if not cleaned:
            raise TextRejected("the text is empty")
        try:
            return self._request([self._query_prefix + cleaned], self._timeout, patient=False)[0]
        except _BatchRefused as refusal:
            raise TextRejected(f"the text cannot be embedded: {refusal}") from None

    def embed_passages(self, texts: Sequence[str]) -> list[list[float] | None]:
        """The texts' unit vectors, in their order; None for a text that is empty or that healthy nodes cannot embed.

        Raises EmbeddingUnavailable when the nodes, and not the texts, are at fault: nothing is then returned.
        """
        vectors: list[list[float] | None] = [None] * len(texts)
        cleaned = [(position, _clean(text)) for position, text in enumerate(texts)]
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

        Raises ModelMissing, ModelChanged, or EmbeddingUnavailable.
        """

        def ask(node: Node, seconds: float) -> ModelDescription:
            digest = self._digest_at(node, seconds)
            vectors = self._post_embed(node, [self._query_prefix + KNOWN_GOOD_TEXT], seconds)
            return ModelDescription(self.model, digest, len(vectors[0]))

        try:
            return self._with_failover(ask, self._passages_timeout, patient=False)
        except _BatchRefused as refusal:
            raise EmbeddingUnavailable(f"the model {self.model} does not work: {refusal}") from None

    def nodes(self) -> list[NodeStatus]:
        """How the nodes do, as far as this process has met them; asks none of them."""
        return [node.status() for node in self._nodes().all]

    def _nodes(self) -> Nodes:
        """This process's nodes: connections and locks are not carried over a fork."""
        process = os.getpid()
        nodes = self._nodes_by_process.get(process)
        if nodes is None:
            made = Nodes(self.urls, self._connect_timeout, _places(process))
            nodes = self._nodes_by_process.setdefault(process, made)
        return nodes

    def _embed_batch(self, texts: list[str]) -> list[list[float] | None]:
        """One batch's vectors; a refused batch is halved until the texts at fault are alone."""
        try:
            return [*self._request(texts, self._passages_timeout, patient=True)]
        except _BatchRefused as refusal:
            if len(texts) > 1:
                middle = len(texts) // 2
                return self._embed_batch(texts[:middle]) + self._embed_batch(texts[middle:])
            log.warning("a text of %d characters cannot be embedded: %s", len(texts[0]), refusal)
            return [None]

    def _request(self, texts: list[str], seconds: float, *, patient: bool) -> list[list[float]]:
        """The texts' vectors, from whichever node gives them. Raises _BatchRefused or EmbeddingUnavailable."""

        def ask(node: Node, seconds: float) -> list[list[float]]:
            if self.digest and time.monotonic() - node.digest_seen_at > DIGEST_SECONDS:
                self._digest_at(node, seconds)
            try:
                return [self._checked(vector) for vector in self._post_embed(node, texts, seconds)]
            except _BatchRefused as refusal:
                if len(texts) == 1:
                    self._require_health(node, seconds, refusal)
                raise

        return self._with_failover(ask, seconds, patient=patient)

    def _digest_at(self, node: Node, seconds: float) -> str:
        """The digest of the model at this node. Raises NodeLacksModel, or NodeHasOtherWeights."""
        tags = self._exchange(node, "GET", "/api/tags", None, min(seconds, self._timeout))
        models = {full_name(str(one.get("name"))): str(one.get("digest", "")) for one in tags.get("models", [])}
        digest = models.get(full_name(self.model))
        if digest is None:
            raise NodeLacksModel(self._missing_model(node))
        if self.digest and digest != self.digest:
            raise NodeHasOtherWeights(
                f"the node {node.url} serves another version of the model {self.model} ({digest[:12]}) than the corpus "
                f"was embedded with ({self.digest[:12]}): put that one back, or embed the corpus anew with "
                f"`./cloister manage reembed --model {self.model}`"
            )
        node.digest_seen_at = time.monotonic()
        return digest

    def _require_health(self, node: Node, seconds: float, refusal: _BatchRefused) -> None:
        """Raise NodeFault when the node that refused a text cannot embed plain words either."""
        try:
            for vector in self._post_embed(node, [self._query_prefix + KNOWN_GOOD_TEXT], seconds):
                self._checked(vector)
        except _BatchRefused:
            raise NodeFault(f"{node.url} embeds nothing: {refusal}") from None

    def _with_failover(self, ask: Callable[[Node, float], Answer], seconds: float, *, patient: bool) -> Answer:
        """What `ask(node, seconds)` answers at the first node where it does not fail.

        A patient call has `seconds` for each node, and asks busy nodes again. One that is not has `seconds` in all and
        shares them out, so that a node that hangs leaves enough for the next.
        """
        nodes = self._nodes()
        deadline = time.monotonic() + seconds * (len(nodes.all) if patient else 1)
        faults: dict[str, NodeFault] = {}
        while True:
            try:
                with nodes.least_busy(besides=set(faults), deadline=deadline) as node:
                    left = max(deadline - time.monotonic(), 0.01)
                    others = nodes.reachable(besides={node.url, *faults})
                    return ask(node, min(left, seconds) if patient else left / (1 + len(others)))
            except NodeFault as fault:
                faults[node.url] = fault
            if time.monotonic() < deadline and nodes.reachable(besides=set(faults)):
                continue
            busy = any(isinstance(fault, NodeBusy) for fault in faults.values())
            if not (patient and busy and time.monotonic() + BUSY_PAUSE_SECONDS < deadline):
                raise _explained(list(faults.values()))
            time.sleep(BUSY_PAUSE_SECONDS)
            faults.clear()

    def _post_embed(self, node: Node, texts: list[str], seconds: float) -> list[list[float]]:
        """The texts' vectors as the node sends them: as many as asked for, not checked further."""
        request: dict[str, Any] = {"model": self.model, "input": texts, "truncate": True, "keep_alive": KEEP_ALIVE}
        if options := OLLAMA_OPTIONS.get(self.model.split(":")[0]):
            request["options"] = options
        with metrics.embedding(node.url, len(texts)):
            vectors = self._exchange(node, "POST", "/api/embed", request, seconds).get("embeddings")
        if not isinstance(vectors, list) or len(vectors) != len(texts):
            raise NodeFault(f"{node.url} did not answer {len(texts)} texts with as many vectors")
        return vectors

    def _exchange(
        self, node: Node, method: str, path: str, request: dict[str, Any] | None, seconds: float
    ) -> dict[str, Any]:
        """The JSON object that the node answers with status 200. Raises _BatchRefused or a NodeFault."""
        nodes = self._nodes()
        timeout = httpx.Timeout(seconds, connect=min(seconds, nodes.connect_seconds))
        try:
            response = nodes.http.request(method, node.url + path, json=request, timeout=timeout)
            answer = response.json()
        except httpx.TransportError as error:
            raise NodeFault(f"{node.url} does not answer ({type(error).__name__}: {error})") from None
        except ValueError:
            raise NodeFault(f"{node.url} answers {response.status_code} without JSON") from None
        if not isinstance(answer, dict):
            raise NodeFault(f"{node.url} answers JSON that is no object")
        if response.status_code == HTTPStatus.OK:
            return answer
        reason = f"{node.url} answers {response.status_code}: {answer.get('error', '')}"
        match response.status_code:
            case HTTPStatus.NOT_FOUND:
                raise NodeLacksModel(self._missing_model(node))
            case HTTPStatus.SERVICE_UNAVAILABLE | HTTPStatus.TOO_MANY_REQUESTS:
                raise NodeBusy(reason)
            case HTTPStatus.BAD_REQUEST | HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _BatchRefused(reason)
            case _:
                raise NodeFault(reason)

    def _checked(self, vector: Any) -> list[float]:
        """The vector as a unit vector. Raises DimensionMismatch, or _BatchRefused where it is none."""
        try:
            length, norm = len(vector), math.hypot(*vector)
        except (TypeError, OverflowError):
            raise _BatchRefused("the answer holds what is not a vector") from None
        if length != self.dimensions:
            raise DimensionMismatch(
                f"the model {self.model} makes vectors of {length} dimensions, and the corpus has those of"
                f" {self.dimensions}: EMBEDDING_DIMENSIONS must be {length} before anything is embedded with it"
            )
        if not abs(norm - 1) <= NORM_TOLERANCE:  # so written, not-a-number fails as well
            raise _BatchRefused(f"the answer holds a vector of length {norm:.3g} instead of 1")
        return [number / norm for number in vector]

    def _missing_model(self, node: Node) -> str:
        return f"the node {node.url} does not have the model {self.model}: run `ollama pull {self.model}` there"


def client_for(model: str, dimensions: int, digest: str = "") -> EmbeddingClient:
    """The client for this model at the nodes of the settings; kept, so that it knows how the nodes do."""
    from django.conf import settings

    return _kept_client(tuple(settings.OLLAMA_URLS), model, dimensions, digest)


def describe(model: str) -> ModelDescription:
    """The model as the nodes of the settings have it. Raises ModelMissing, or EmbeddingUnavailable."""
    return client_for(model, 0).describe()


@lru_cache(maxsize=16)
def _kept_client(urls: tuple[str, ...], model: str, dimensions: int, digest: str) -> EmbeddingClient:
    return EmbeddingClient(urls, model, dimensions, digest=digest)


@lru_cache(maxsize=2)
def _places(process: int) -> Places:
    """The places at the nodes, for all clients of this process; a process that was forked gets its own."""
    return Places()


def _clean(text: str) -> str:
    """The text without what cannot be sent: lone surrogates become U+FFFD, and NUL a space."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", " ").strip()


def full_name(model: str) -> str:
    """The model's name with its tag, as Ollama compares names."""
    name = model.lower()
    return name if ":" in name else f"{name}:latest"


def _explained(faults: list[NodeFault]) -> EmbeddingUnavailable:
    """What the caller is told when every node that could be asked has failed."""
    message = "; ".join(str(fault) for fault in faults)
    if all(isinstance(fault, NodeLacksModel) for fault in faults):
        return ModelMissing(message)
    if any(isinstance(fault, NodeHasOtherWeights) for fault in faults):
        return ModelChanged(message)
    return EmbeddingUnavailable(f"no embedding node answers: {message}")
