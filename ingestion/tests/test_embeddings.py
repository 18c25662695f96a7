"""The embedding client with healthy nodes, with texts that cannot be embedded, and with wrong settings."""

import math
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ingestion.embeddings import (
    DimensionMismatch,
    EmbeddingClient,
    ModelMissing,
    TextRejected,
    client_for,
    describe,
)
from ingestion.tests.embedding_servers import (
    DIMENSIONS,
    MODEL,
    NOT_A_NUMBER,
    Answer,
    NodeStarter,
    embed,
    unit_vector,
)


@pytest.fixture
def client(server_url: str) -> EmbeddingClient:
    return EmbeddingClient([server_url], MODEL, DIMENSIONS)


# What a healthy node gives


def test_a_question_is_nearest_to_the_passage_that_answers_it_in_another_language(client: EmbeddingClient) -> None:
    query = client.embed_query("Wie bekomme ich meine Reisekosten erstattet?")
    travel, pool = client.embed_passages(["Claim travel expenses with your receipts.", "The pool opens at seven."])
    assert travel
    assert pool
    assert sum(map(float.__mul__, query, travel)) > sum(map(float.__mul__, query, pool)) + 0.05
    assert math.hypot(*query) == pytest.approx(1, abs=1e-9)


def test_vectors_keep_the_order_of_their_texts_over_many_batches(client: EmbeddingClient) -> None:
    texts = [f"Room {number} is on floor {number % 7}." for number in range(50)]
    together = client.embed_passages(texts)
    for number in (0, 15, 16, 33, 49):
        (alone,) = client.embed_passages([texts[number]])
        assert together[number] == pytest.approx(alone, abs=1e-6)


def test_empty_texts_have_no_vector_and_shift_nothing(client: EmbeddingClient) -> None:
    empty, library, blank, nul = client.embed_passages(["", "library", " \n", "\0"])
    assert (empty, blank, nul) == (None, None, None)
    assert library == pytest.approx(client.embed_passages(["library"])[0])
    assert client.embed_passages([]) == []


def test_nul_and_lone_surrogates_are_cleaned_away(client: EmbeddingClient) -> None:
    nul, clean, surrogate = client.embed_passages(["open\0hours", "open hours", "odd \ud83d end"])
    assert nul == clean
    assert surrogate is not None
    assert client.embed_query("odd \udc00 end")


def test_an_empty_query_is_rejected_without_asking_a_node() -> None:
    with pytest.raises(TextRejected):
        EmbeddingClient(["http://127.0.0.1:9"], MODEL, DIMENSIONS).embed_query(" \0 ")


def test_describe_names_the_model_its_digest_and_its_dimensions(server_url: str) -> None:
    described = EmbeddingClient([server_url], f"{MODEL}:latest", 1024).describe()
    assert (described.name, described.dimensions) == (f"{MODEL}:latest", DIMENSIONS)
    assert re.fullmatch("[0-9a-f]{64}", described.digest)


def test_one_client_serves_many_threads(client: EmbeddingClient) -> None:
    texts = [f"question {number}" for number in range(16)]
    alone = [client.embed_query(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(client.embed_query, texts)) == alone


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_client_used_before_a_fork_works_in_the_child_and_in_the_parent(client: EmbeddingClient) -> None:
    before = client.embed_query("library")
    child = os.fork()
    if child == 0:
        os._exit(0 if client.embed_query("library") == before else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert client.embed_query("library") == before


# What is sent


def test_e5_gets_its_prefixes(faulty_node: NodeStarter) -> None:
    node = faulty_node(embed)
    client = EmbeddingClient([node.url], MODEL, 3)
    client.embed_query("library")
    client.embed_passages(["hours"])
    assert [request["input"] for request in node.requests] == [["query: library"], ["passage: hours"]]
    assert "options" not in node.requests[0]


def test_bge_m3_gets_no_prefix_and_a_context_that_holds_a_chunk(faulty_node: NodeStarter) -> None:
    node = faulty_node(embed)
    client = EmbeddingClient([node.url + "/"], "bge-m3", 3)
    client.embed_query("library")
    (request,) = node.requests
    assert (request["input"], request["model"], request["truncate"]) == (["library"], "bge-m3", True)
    assert request["options"]["num_ctx"] == request["options"]["num_batch"] == 2048


def test_batches_are_of_16_and_at_most_two_are_in_flight_at_a_node(faulty_node: NodeStarter) -> None:
    lock, in_flight, most = threading.Lock(), 0, 0

    def count(texts: list[str]) -> Answer:
        nonlocal in_flight, most
        with lock:
            in_flight += 1
            most = max(most, in_flight)
        time.sleep(0.03)
        with lock:
            in_flight -= 1
        return embed(texts)

    node = faulty_node(count)
    client = EmbeddingClient([node.url], "bge-m3", 3)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(client.embed_passages, [[f"text {number}" for number in range(40)]] * 4))
    assert sorted({len(request["input"]) for request in node.requests}) == [8, 16]
    assert most == 2


def test_work_is_shared_among_nodes(faulty_node: NodeStarter) -> None:
    def slowly(texts: list[str]) -> Answer:
        time.sleep(0.02)
        return embed(texts)

    first, second = faulty_node(slowly), faulty_node(slowly)
    EmbeddingClient([first.url, second.url], "bge-m3", 3).embed_passages([f"text {number}" for number in range(160)])
    assert len(first.requests) >= 3
    assert len(second.requests) >= 3


# Texts that fail


def test_only_the_text_at_fault_is_given_up(faulty_node: NodeStarter) -> None:
    def refuse_poison(texts: list[str]) -> Answer:
        return NOT_A_NUMBER if any("poison" in text for text in texts) else embed(texts)

    node = faulty_node(refuse_poison)
    client = EmbeddingClient([node.url], "bge-m3", 3)
    texts = [f"poison {number}" if number in (5, 21) else f"text {number}" for number in range(32)]
    vectors = client.embed_passages(texts)
    assert [number for number, vector in enumerate(vectors) if vector is None] == [5, 21]
    assert vectors[6] == pytest.approx(unit_vector("text 6"))
    assert client.nodes()[0].failures == 0
    with pytest.raises(TextRejected, match="NaN"):
        client.embed_query("poison")


@pytest.mark.parametrize("wrong", [[0, 0, 0], [5, 0, 0], [None, 1, 0], "no", b'{"embeddings": [[NaN, 1, 0]]}'])
def test_numbers_that_are_no_unit_vector_are_not_taken(faulty_node: NodeStarter, wrong: Any) -> None:
    def answer(texts: list[str]) -> Answer:
        if "poison" not in texts[0]:
            return embed(texts)
        return 200, wrong if isinstance(wrong, bytes) else {"embeddings": [wrong]}

    node = faulty_node(answer)
    assert EmbeddingClient([node.url], "bge-m3", 3).embed_passages(["poison"]) == [None]


def test_a_vector_of_nearly_length_one_is_made_exact(faulty_node: NodeStarter) -> None:
    node = faulty_node(lambda texts: (200, {"embeddings": [[0.99, 0, 0]]}))
    assert EmbeddingClient([node.url], "bge-m3", 3).embed_query("text") == [1, 0, 0]


# Wrong settings


def test_a_model_that_no_node_has_is_named_with_the_command_that_fetches_it(server_url: str) -> None:
    client = EmbeddingClient([server_url], "bge-m3", 1024)
    for call in (client.describe, lambda: client.embed_query("text"), lambda: client.embed_passages(["text"])):
        with pytest.raises(ModelMissing, match=r"run `ollama pull bge-m3` there"):
            call()
    assert client.nodes()[0].failures == 0


def test_a_node_without_the_model_does_not_stop_one_that_has_it(server_url: str, faulty_node: NodeStarter) -> None:
    lacking = faulty_node(lambda texts: (404, {"error": f'model "{MODEL}" not found, try pulling it first'}))
    client = EmbeddingClient([lacking.url, server_url], MODEL, DIMENSIONS)
    assert all(client.embed_query("library") for _ in range(4))
    assert client.describe().dimensions == DIMENSIONS


def test_vectors_of_another_length_than_configured_are_refused_with_both_lengths(server_url: str) -> None:
    client = EmbeddingClient([server_url], MODEL, 1024)
    with pytest.raises(DimensionMismatch, match=r"384 dimensions, and the corpus has those of 1024"):
        client.embed_query("library")
    with pytest.raises(DimensionMismatch):
        client.embed_passages(["library"])


def test_no_node_at_all_is_an_error_of_the_settings() -> None:
    with pytest.raises(ValueError, match="OLLAMA_URLS"):
        EmbeddingClient([], MODEL, DIMENSIONS)


def test_a_models_client_is_one_for_the_process_and_follows_the_settings(settings: Any, server_url: str) -> None:
    settings.OLLAMA_URLS = [server_url]
    kept = client_for(MODEL, DIMENSIONS)
    assert len(kept.embed_query("library")) == DIMENSIONS
    assert client_for(MODEL, DIMENSIONS) is kept
    assert client_for(MODEL, DIMENSIONS, "another digest") is not kept
    settings.OLLAMA_URLS = ["http://127.0.0.1:1"]
    assert client_for(MODEL, DIMENSIONS).urls == ("http://127.0.0.1:1",)


def test_a_model_is_described_without_knowing_its_dimensions(settings: Any, server_url: str) -> None:
    settings.OLLAMA_URLS = [server_url]
    assert describe(MODEL).dimensions == DIMENSIONS
