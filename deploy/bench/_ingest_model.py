"""An embedding node that costs next to nothing: what remains of the time of an ingestion is the pipeline's own.

    python -m deploy.bench._ingest_model --port PORT

It speaks the Ollama protocol as far as the portal asks for it. A text's vector is made of the text's hash: always the
same for the same text, another for every other, of length 1, and close to none.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "stand-in"
DIMENSIONS = 384
DIGEST = hashlib.sha256(b"one sign a bit of SHAKE-128").hexdigest()

_UNIT = round(1 / math.sqrt(DIMENSIONS), 9)
_EIGHT = tuple(
    ",".join(str(_UNIT if byte >> bit & 1 else -_UNIT) for bit in range(8)).encode("ascii") for byte in range(256)
)
"""The JSON of the eight numbers that each byte stands for."""


def vector_json(text: str) -> bytes:
    """The vector of a text, as a JSON list of DIMENSIONS numbers."""
    digest = hashlib.shake_128(text.encode("utf-8", "surrogatepass")).digest(DIMENSIONS // 8)
    return b"[" + b",".join(_EIGHT[byte] for byte in digest) + b"]"


class Node(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """What node this is, and what models it has."""
        if self.path == "/api/tags":
            self._answer(200, _json({"models": [{"name": f"{MODEL}:latest", "digest": DIGEST}]}))
        elif self.path == "/api/version":
            self._answer(200, _json({"version": "0.0.0"}))
        else:
            self._answer(404, _json({"error": "not found"}))

    def do_POST(self) -> None:
        """Vectors for the texts."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        vectors = b",".join(map(vector_json, texts))
        self._answer(200, b'{"model":' + _json(asked["model"]) + b',"embeddings":[' + vectors + b"]}")

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (its name there)
        """Requests are not worth a line each."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Serves until the process ends; connections that wait do not keep it alive."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64


def _json(value: object) -> bytes:
    return json.dumps(value).encode("ascii")


def main() -> int:
    """Serve until somebody ends it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    Server(("127.0.0.1", parser.parse_args().port), Node).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
