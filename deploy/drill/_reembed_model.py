"""A stand-in for embedding nodes with two models of the same length: `python -m deploy.drill._reembed_model PORT`.

It speaks as much of the Ollama protocol as the portal uses. A text's vector is the sum of its words' own directions,
which each model chooses differently: texts that share words are near each other in both, and the numbers of one model
say nothing in the other.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

MODELS = ("stand-in-a", "stand-in-b")
DIMENSIONS = 256

SECONDS_A_TEXT = 0.006
"""So that filling takes long enough to search, and to kill a worker, while it goes on."""


@lru_cache(maxsize=50_000)
def direction(model: str, word: str) -> NDArray[np.float64]:
    """The direction of a word in a model."""
    seed = int.from_bytes(hashlib.sha256(f"{model} {word}".encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(DIMENSIONS)


def embed(model: str, text: str) -> list[float]:
    """The unit vector of a text."""
    words = re.findall(r"\w+", text.lower()) or [""]
    whole = np.sum([direction(model, word) for word in words], axis=0)
    unit: list[float] = (whole / np.linalg.norm(whole)).tolist()
    return unit


class Handler(BaseHTTPRequestHandler):
    """`/api/tags` and `/api/embed`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """The models, each with the digest of its weights."""
        self._answer(200, {"models": [{"name": name, "digest": f"digest of {name}"} for name in MODELS]})

    def do_POST(self) -> None:
        """The vectors of texts, at the pace of a small model."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if request["model"] not in MODELS:
            self._answer(404, {"error": f"model '{request['model']}' not found"})
            return
        time.sleep(SECONDS_A_TEXT * len(request["input"]))
        self._answer(200, {"embeddings": [embed(request["model"], text) for text in request["input"]]})

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the name is the base class's)
        """Says nothing of requests."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
