"""Nodes that are dead, hanging, busy or broken, and what the embedding client makes of them."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ingestion import embedding_nodes, embeddings
from ingestion.embeddings import EmbeddingClient, EmbeddingUnavailable, ModelChanged
from ingestion.tests.embedding_servers import (
    BUSY,
    DIMENSIONS,
    MODEL,
    NOT_A_NUMBER,
    Answer,
    ModelNode,
    NodeStarter,
    embed,
    free_port,
    running_server,
    unit_vector,
)


def test_a_killed_node_is_passed_over_in_the_same_call(server_url: str, weights: Path) -> None:
    with running_server(weights) as (other_url, process):
        client = EmbeddingClient([other_url, server_url], MODEL, DIMENSIONS)
        expected = client.embed_query("library")
        client.embed_query("library")  # by now a connection to each is open
        process.kill()
        process.wait()
        for _ in range(4):
            assert client.embed_query("library") == expected
        assert [vector is not None for vector in client.embed_passages(["text"] * 40)] == [True] * 40
    assert {status.url: status.resting for status in client.nodes()} == {other_url: True, server_url: False}


def test_a_node_that_hangs_costs_one_query_half_its_time_and_is_then_left_alone(server_url: str, weights: Path) -> None:
    with running_server(weights) as (other_url, process):
        client = EmbeddingClient([other_url, server_url], MODEL, DIMENSIONS, timeout=1.0)
        process.send_signal(signal.SIGSTOP)
        seconds = []
        for _ in range(8):
            begun = time.perf_counter()
            client.embed_query("library")
            seconds.append(time.perf_counter() - begun)
    assert max(seconds) < 1.0
    assert sum(1 for one in seconds if one > 0.3) == embedding_nodes.FAILURES_TO_OPEN


def test_a_batch_that_hangs_at_one_node_is_embedded_by_another(server_url: str, weights: Path) -> None:
    with running_server(weights) as (other_url, process):
        client = EmbeddingClient([other_url, server_url], MODEL, DIMENSIONS, passages_timeout=0.5)
        process.send_signal(signal.SIGSTOP)
        assert None not in client.embed_passages(["text"])


def test_with_every_circuit_open_a_query_fails_at_once() -> None:
    client = EmbeddingClient([f"http://127.0.0.1:{free_port()}"], MODEL, DIMENSIONS)
    for _ in range(embedding_nodes.FAILURES_TO_OPEN):
        with pytest.raises(EmbeddingUnavailable, match="does not answer"):
            client.embed_query("library")
    begun = time.perf_counter()
    with pytest.raises(EmbeddingUnavailable, match="a moment ago"):
        client.embed_query("library")
    assert time.perf_counter() - begun < 0.02


def test_a_node_that_comes_back_is_found_again(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_nodes, "REST_SECONDS", 0.2)
    port = free_port()
    client = EmbeddingClient([f"http://127.0.0.1:{port}"], MODEL, DIMENSIONS)
    for _ in range(3):
        with pytest.raises(EmbeddingUnavailable):
            client.embed_query("library")
    with running_server(weights, port):
        time.sleep(0.3)
        assert client.embed_query("library")
        assert client.nodes()[0].failures == 0


def test_after_its_rest_a_node_is_tried_by_one_request_only(
    faulty_node: NodeStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_nodes, "REST_SECONDS", 0.1)
    answers = {"gateway": (502, {"error": "bad gateway"})}

    def fail_slowly(texts: list[str]) -> Answer:
        time.sleep(0.1)
        return answers["gateway"]

    node = faulty_node(fail_slowly)
    client = EmbeddingClient([node.url], "bge-m3", 3)
    for _ in range(embedding_nodes.FAILURES_TO_OPEN):
        with pytest.raises(EmbeddingUnavailable):
            client.embed_query("library")
    time.sleep(0.15)
    node.requests.clear()
    with ThreadPoolExecutor(6) as pool:
        outcomes = [pool.submit(client.embed_query, "library") for _ in range(6)]
        assert all(isinstance(outcome.exception(), EmbeddingUnavailable) for outcome in outcomes)
    assert len(node.requests) == 1


def test_passages_wait_for_a_busy_node(faulty_node: NodeStarter) -> None:
    answers = [BUSY, BUSY]
    node = faulty_node(lambda texts: answers.pop() if answers else embed(texts))
    client = EmbeddingClient([node.url], "bge-m3", 3)
    assert client.embed_passages(["text"]) == [pytest.approx(unit_vector("text"))]
    assert client.nodes()[0].failures == 0, "busy is not broken"


def test_a_query_does_not_wait_for_a_busy_node_and_goes_to_another(faulty_node: NodeStarter) -> None:
    busy, free = faulty_node(lambda texts: BUSY), faulty_node(embed)
    assert EmbeddingClient([busy.url, free.url], "bge-m3", 3).embed_query("text")
    with pytest.raises(EmbeddingUnavailable, match="server busy"):
        EmbeddingClient([busy.url], "bge-m3", 3).embed_query("text")


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"embeddings": []}),
        (200, {"embeddings": [[1, 0, 0], [0, 1, 0]]}),
        (200, {}),
        (200, b"<html>"),
        (200, []),
        (502, {"error": "bad gateway"}),
        NOT_A_NUMBER,
    ],
)
def test_a_broken_node_is_never_blamed_on_the_text(faulty_node: NodeStarter, answer: Answer) -> None:
    broken, sound = faulty_node(lambda texts: answer), faulty_node(embed)
    with pytest.raises(EmbeddingUnavailable):
        EmbeddingClient([broken.url], "bge-m3", 3).embed_passages(["one text"])
    assert None not in EmbeddingClient([broken.url, sound.url], "bge-m3", 3).embed_passages(["one"] * 20)


class TestSeveralModels:
    """Nodes that have different models, or the same one with different weights."""

    @pytest.fixture
    def both(self) -> Iterator[tuple[ModelNode, ModelNode]]:
        nodes = ModelNode({"one": ("a", 3)}), ModelNode({"two": ("b", 3)})
        yield nodes
        for node in nodes:
            node.stop()

    def test_a_node_without_the_model_is_asked_once_and_then_passed_over(
        self, both: tuple[ModelNode, ModelNode]
    ) -> None:
        first, second = both
        client = EmbeddingClient([first.url, second.url], "two", 3)
        for _ in range(6):
            client.embed_query("library")
        assert len(first.requests) == 1
        assert [(status.failures, status.resting) for status in client.nodes()] == [(0, False)] * 2

    def test_the_circuit_of_a_node_is_each_models_own(self, both: tuple[ModelNode, ModelNode]) -> None:
        node, _ = both
        node.served["slow"] = ("c", 3)
        well = node.respond

        def respond(request: dict[str, Any]) -> Answer:
            return (418, {}) if request["model"] == "slow" else well(request)

        node.respond = respond  # type: ignore[method-assign]
        failing, working = EmbeddingClient([node.url], "slow", 3), EmbeddingClient([node.url], "one", 3)
        for _ in range(embedding_nodes.FAILURES_TO_OPEN):
            with pytest.raises(EmbeddingUnavailable):
                failing.embed_query("library")
        assert failing.nodes()[0].resting
        assert len(working.embed_query("library")) == 3

    def test_a_nodes_places_are_shared_by_all_models(self, both: tuple[ModelNode, ModelNode]) -> None:
        node, _ = both
        node.served["two"] = ("b", 3)
        most = in_flight = 0
        lock, well = threading.Lock(), node.respond

        def respond(request: dict[str, Any]) -> Answer:
            nonlocal most, in_flight
            with lock:
                in_flight += 1
                most = max(most, in_flight)
            time.sleep(0.05)
            with lock:
                in_flight -= 1
            return well(request)

        node.respond = respond  # type: ignore[method-assign]
        clients = [EmbeddingClient([node.url], model, 3) for model in ("one", "two")]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda client: client.embed_passages(["text"] * 40), clients * 3))
        assert most == embedding_nodes.REQUESTS_PER_NODE

    def test_weights_that_were_replaced_are_not_used_and_another_node_is(
        self, both: tuple[ModelNode, ModelNode], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = both
        second.served["one"] = ("a", 3)
        client = EmbeddingClient([first.url, second.url], "one", 3, digest="a")
        client.embed_query("library")
        monkeypatch.setattr(embeddings, "DIGEST_SECONDS", 0.0)
        first.served["one"] = ("replaced", 3)
        first.requests.clear()
        for _ in range(4):
            client.embed_query("library")
        assert first.requests == []
        second.served["one"] = ("replaced", 3)
        with pytest.raises(ModelChanged, match=r"another version of the model one \(replaced\).*reembed --model one"):
            client.embed_query("library")
