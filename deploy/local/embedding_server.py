"""A small embedding server that speaks the Ollama protocol over the bundled model.

    python -m deploy.local.embedding_server --port 11434

It stands where Ollama stands in production, so that the project needs one client only. It answers as Ollama does
(its `server/routes.go`), for the routes that embedding needs. The e5 prefixes `query: ` and `passage: ` are the
client's business.
"""

import argparse
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from deploy.local.embedding_engine import (
    CONTEXT_TOKENS,
    DIMENSIONS,
    MODEL_NAME,
    Embedded,
    Engine,
    clean,
    load_engine,
)
from deploy.local.embedding_queue import EmbeddingQueue, Job, QueueFull
from deploy.local.embedding_weights import Floats, weights_digest, weights_path

VERSION = "0.12.6"
"""What `/api/version` answers: clients compare it with the version of Ollama that they need."""

MAX_BODY_BYTES = 32 * 1024 * 1024
IDLE_CONNECTION_SECONDS = 300
CLIENT_CHECK_SECONDS = 0.25

log = logging.getLogger("embedding")


class ProtocolError(Exception):
    """An answer that is not 200: its status and the sentence in `error`."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ClientGone(Exception):
    """The client closed its connection before its answer was ready."""


@dataclass(frozen=True)
class Service:
    """What the server serves: the one model, its engine and the queue before it."""

    engine: Engine
    queue: EmbeddingQueue
    digest: str
    size: int
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def model(self) -> dict[str, Any]:
        """The model as `/api/tags` lists it."""
        name = f"{MODEL_NAME}:latest"
        return {
            "name": name,
            "model": name,
            "modified_at": self.started.isoformat(),
            "size": self.size,
            "digest": self.digest,
            "details": self.details(),
        }

    def details(self) -> dict[str, Any]:
        """The model's kind, in Ollama's words; `format` names the engine that runs it."""
        return {
            "parent_model": "",
            "format": self.engine.name,
            "family": "bert",
            "families": ["bert"],
            "parameter_size": "118M",
            "quantization_level": "Q4_0",
        }

    def running(self) -> dict[str, Any]:
        """The model as `/api/ps` lists it: always loaded."""
        later = datetime.now(UTC) + timedelta(days=365)
        return {**self.model(), "expires_at": later.isoformat(), "size_vram": 0, "context_length": CONTEXT_TOKENS}

    def show(self) -> dict[str, Any]:
        """The model as `/api/show` describes it."""
        return {
            "details": self.details(),
            "model_info": {
                "general.architecture": "bert",
                "general.basename": MODEL_NAME,
                "bert.context_length": CONTEXT_TOKENS,
                "bert.embedding_length": DIMENSIONS,
                "engine": self.engine.name,
            },
            "capabilities": ["embedding"],
            "modified_at": self.started.isoformat(),
        }


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    parser = argparse.ArgumentParser(prog="embedding_server", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11434)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="texts computed at once")
    parser.add_argument("--queue", type=int, default=512, help="requests in hand before the answer is 503")
    home = Path(os.environ.get("CLOISTER_HOME", "var"))
    parser.add_argument("--cache", type=Path, default=home / "models", help="where the model's graph is kept")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")

    begun = time.monotonic()
    engine = load_engine(options.cache)
    queue = EmbeddingQueue(engine, threads=options.threads, max_requests=options.queue)
    service = Service(engine, queue, weights_digest(), weights_path().stat().st_size)
    try:
        server = EmbeddingServer((options.host, options.port), service)
    except OSError as error:
        log.error("cannot listen on %s:%d: %s; choose another --port", options.host, options.port, error.strerror)
        queue.close()
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the serving loop, so it cannot be called from the thread that runs it.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info(
        "serving %s with %s on http://%s:%d, %d threads, ready after %.1f s",
        MODEL_NAME, engine.name, options.host, server.server_port, options.threads, time.monotonic() - begun,
    )  # fmt: skip
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        queue.close()
        server.server_close()
    return 0


class EmbeddingServer(ThreadingHTTPServer):
    """One thread a connection; the computing itself is bounded by the queue."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], service: Service) -> None:
        self.service = service
        super().__init__(address, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of the server; anything else is logged."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            log.exception("request from %s failed", client_address)


class Handler(BaseHTTPRequestHandler):
    """The routes of the protocol."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else headers and body wait for each other's acknowledgement, 40 ms a request
    timeout = IDLE_CONNECTION_SECONDS
    server: EmbeddingServer

    def do_GET(self) -> None:
        self._route(READ_ROUTES)

    do_HEAD = do_GET  # noqa: N815  (the name that the standard library calls)

    def do_POST(self) -> None:
        self._route(WRITE_ROUTES)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (as it is called)
        """Requests are not logged: they hold what people search for."""

    def version_string(self) -> str:
        return "embedding-server"

    def _route(self, routes: dict[str, Any]) -> None:
        path = self.path.partition("?")[0]
        try:
            body = self._read_body()
            if path in routes:
                self._send(HTTPStatus.OK, routes[path](self, body))
            elif path in READ_ROUTES or path in WRITE_ROUTES:
                self._send(HTTPStatus.METHOD_NOT_ALLOWED, "405 method not allowed")
            else:
                self._send(HTTPStatus.NOT_FOUND, "404 page not found")
        except ProtocolError as error:
            self._send(error.status, {"error": error.message})
        except ClientGone:
            self.close_connection = True
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            log.exception("%s failed", path)
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)})

    def _read_body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            raise ProtocolError(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is required")
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise ProtocolError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "http: request body too large")
        return self.rfile.read(int(length))

    def _send(self, status: HTTPStatus, answer: dict[str, Any] | str) -> None:
        if isinstance(answer, str):
            body, kind = answer.encode(), "text/plain; charset=utf-8"
        else:
            body, kind = json.dumps(answer, separators=(",", ":")).encode(), "application/json; charset=utf-8"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # The routes. Each takes the request's body and answers 200 with what it returns.

    def root(self, body: bytes) -> str:
        return "Ollama is running"

    def version(self, body: bytes) -> dict[str, Any]:
        return {"version": VERSION}

    def tags(self, body: bytes) -> dict[str, Any]:
        return {"models": [self.server.service.model()]}

    def running(self, body: bytes) -> dict[str, Any]:
        return {"models": [self.server.service.running()]}

    def show(self, body: bytes) -> dict[str, Any]:
        asked = _parse(body)
        name = asked.get("model") or asked.get("name")
        if not name:
            raise ProtocolError(HTTPStatus.BAD_REQUEST, "model is required")
        if not _is_served(name):
            raise ProtocolError(HTTPStatus.NOT_FOUND, f"model '{name}' not found")
        return self.server.service.show()

    def embed(self, body: bytes) -> dict[str, Any]:
        begun = time.perf_counter_ns()
        asked = _parse(body)
        texts = _input_texts(asked.get("input"))
        _require_model(asked)
        size = _whole_number(asked, "dimensions")
        embedded = self._compute(texts, asked) if texts else []
        return {
            "model": asked["model"],
            "embeddings": [_numbers(one.vector, size) for one in embedded],
            "total_duration": time.perf_counter_ns() - begun,
            "load_duration": 0,
            "prompt_eval_count": sum(one.tokens for one in embedded),
        }

    def embed_legacy(self, body: bytes) -> dict[str, Any]:
        asked = _parse(body)
        prompt = asked.get("prompt", "")
        if not isinstance(prompt, str):
            raise ProtocolError(HTTPStatus.BAD_REQUEST, "invalid input type")
        _require_model(asked)
        embedded = self._compute([prompt], asked) if prompt else []
        return {"embedding": _numbers(embedded[0].vector, 0) if embedded else []}

    def _compute(self, texts: list[str], asked: dict[str, Any]) -> list[Embedded]:
        """The texts' vectors, in order, from the queue."""
        service = self.server.service
        texts = [clean(text) for text in texts]
        context = min(CONTEXT_TOKENS, _whole_number(asked.get("options") or {}, "num_ctx") or CONTEXT_TOKENS)
        if asked.get("truncate") is False and not all(service.engine.fits(text, context) for text in texts):
            raise ProtocolError(HTTPStatus.BAD_REQUEST, "the input length exceeds the context length")
        try:
            job = service.queue.submit(texts, context)
            self._await(job)
        except QueueFull:
            busy = "server busy, please try again.  maximum pending requests exceeded"
            raise ProtocolError(HTTPStatus.SERVICE_UNAVAILABLE, busy) from None
        return [one for one in job.results if one is not None]

    def _await(self, job: Job) -> None:
        """Wait for a job; give it up when its client hangs up, so that nobody's texts hold up those of others."""
        while not job.finished.wait(CLIENT_CHECK_SECONDS):
            if _has_hung_up(self.connection):
                self.server.service.queue.cancel(job, ClientGone())
        if job.failure is not None:
            raise job.failure


READ_ROUTES = {
    "/": Handler.root,
    "/api/version": Handler.version,
    "/api/tags": Handler.tags,
    "/api/ps": Handler.running,
}
WRITE_ROUTES = {
    "/api/embed": Handler.embed,
    "/api/embeddings": Handler.embed_legacy,
    "/api/show": Handler.show,
}


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "missing request body")
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise ProtocolError(HTTPStatus.BAD_REQUEST, str(error)) from None
    if not isinstance(asked, dict):
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "json: cannot unmarshal into an object")
    return asked


def _input_texts(given: object) -> list[str]:
    """The texts of `input`: one, many, or none where it is empty or missing."""
    if isinstance(given, str):
        return [given] if given else []
    if given is None:
        return []
    if isinstance(given, list) and all(isinstance(text, str) for text in given):
        return given
    raise ProtocolError(HTTPStatus.BAD_REQUEST, "invalid input type")


def _require_model(asked: dict[str, Any]) -> None:
    name = asked.get("model", "")
    if not isinstance(name, str):
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "json: cannot unmarshal into field model of type string")
    if not name:
        raise ProtocolError(HTTPStatus.NOT_FOUND, "model '' not found")
    if not _is_served(name):
        raise ProtocolError(HTTPStatus.NOT_FOUND, f'model "{name}" not found, try pulling it first')


def _is_served(name: object) -> bool:
    return isinstance(name, str) and name.lower().removesuffix(":latest") == MODEL_NAME


def _whole_number(asked: dict[str, Any], key: str) -> int:
    """A number that may be missing (0)."""
    value = asked.get(key, 0) if isinstance(asked, dict) else None
    if not isinstance(value, int) or value < 0:
        raise ProtocolError(HTTPStatus.BAD_REQUEST, f"json: cannot unmarshal into field {key} of type int")
    return value


def _numbers(vector: Floats, size: int) -> list[float]:
    """The vector for JSON: its first `size` numbers (all when 0) as a unit vector, with float32's 8 decimals."""
    wide = vector.astype("float64")
    if 0 < size < len(wide):
        wide = wide[:size]
        wide /= max(float((wide @ wide) ** 0.5), 1e-12)
    return [round(number, 8) for number in wide.tolist()]


def _has_hung_up(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    if not readable:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except ConnectionError:
        return True


if __name__ == "__main__":
    sys.exit(main())
