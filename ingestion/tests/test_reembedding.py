"""Changing the model: a second space is filled, checked and switched to, and can be had back."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Q
from pytest_django import Settings

from ingestion import pipeline, reembedding, statistics, vectorspace
from ingestion.embeddings import EmbeddingUnavailable
from ingestion.models import Chunk, Document, LanguageCentre, SpaceState, Status, VectorSpace
from ingestion.runs import Superseded
from ingestion.tests.conftest import TakeIn, UseNodes
from ingestion.tests.embedding_servers import ModelNode, words_vector

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]

TEXTS = {
    "Library": "Books are lent for four weeks and renewed at the desk.",
    "Travel": "Receipts are handed in with the claim within thirty days.",
    "Sports": "The swimming pool is closed in August for its yearly cleaning.",
}


@pytest.fixture
def node(use_nodes: UseNodes, settings: Settings) -> Iterator[ModelNode]:
    """A node with three models; two make vectors of the same length."""
    node = ModelNode({"old": ("a", 16), "new": ("b", 24), "alike": ("c", 16)})
    use_nodes(node.url)
    settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS = "old", 16
    yield node
    node.stop()


@pytest.fixture
def corpus(node: ModelNode, take_in: TakeIn, settings: Settings) -> Iterator[dict[str, Document]]:
    """Three documents, embedded with the model `old`, and the columns afterwards as they were before."""
    made = {title: take_in(text, title=title, language="en") for title, text in TEXTS.items()}
    for document in made.values():
        pipeline.ingest(document.pk)
    statistics.refresh()
    yield made
    if other := vectorspace.second():
        vectorspace.remove_second(from_states=[other.state])
    Document.objects.all().delete()
    settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS = "multilingual-e5-small", 384
    vectorspace.settle()


def run(*arguments: str) -> str:
    said = io.StringIO()
    call_command("reembed", *arguments, stdout=said)
    return said.getvalue()


def status() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("--status", "--json"))
    return found


def is_of(model: str, dimensions: int, column: str = "embedding") -> bool:
    """Whether every chunk's vector in this column is the one that this model makes."""
    chunks = Chunk.objects.select_related("document")
    return all(
        getattr(chunk, column)
        == pytest.approx(words_vector(model, f"{chunk.document.title}\n{chunk.text}", dimensions), abs=1e-3)
        for chunk in chunks
    )


def waiting_messages() -> int:
    with current_app.connection_for_read() as broker:
        return int(broker.default_channel.client.llen("reembed"))


@pytest.mark.parametrize(("model", "dimensions"), [("new", 24), ("alike", 16)])
def test_from_beginning_to_end_and_back(corpus: dict[str, Document], model: str, dimensions: int) -> None:
    run("--model", model, "--hold", "--wait")

    assert status() | {"seconds": 0, "seconds_left": 0} == {
        "live": "old", "second": model, "state": "checked", "chunks": 3, "filled": 3, "refused": 0, "missing": 0,
        "recall": 1.0, "held": True, "problem": "", "seconds": 0, "seconds_left": 0,
    }  # fmt: skip
    assert is_of("old", 16)
    assert is_of(model, dimensions, "second_embedding")
    centres = LanguageCentre.objects.filter(space__model=model).values_list("language", flat=True)
    assert set(centres) == {"", "en"}, "it has its centres before its first search"

    assert f"{model} is in use" in run("--switch")
    assert is_of(model, dimensions)
    assert vectorspace.live().model == model
    assert status()["state"] == "kept"
    assert "old is in use again" in run("--roll-back")
    assert is_of("old", 16)
    run("--roll-back")
    assert run("--clean-up") == "The vectors of old (16) are gone.\n"
    assert is_of(model, dimensions)
    assert LanguageCentre.objects.filter(space__model="old").count() == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'ingestion_chunk' AND indexname ~ 'sec|mov'")
        assert cursor.fetchall() == []
    run("--model", "old", "--wait")
    assert is_of("old", 16), "and to the first model again, without holding"


def test_the_workers_do_it_slice_by_slice_documents_first(
    corpus: dict[str, Document], monkeypatch: pytest.MonkeyPatch, take_in: TakeIn
) -> None:
    monkeypatch.setattr(reembedding, "LARGEST_BATCH", 1)
    waits = take_in("It waits to be ingested.")
    assert "The workers do it" in run("--model", "new")
    assert waiting_messages() == 1
    for filled in (1, 2):
        reembedding.work()
        assert status()["filled"] == filled, "one batch, while a document waits"
        assert waiting_messages() == 1 + filled, "and the next slice is handed on"
    pipeline.ingest(waits.pk)
    reembedding.work()
    assert vectorspace.live().model == "new"
    assert is_of("new", 24)


def test_what_stands_still_is_found_and_what_is_done_is_not(corpus: dict[str, Document]) -> None:
    assert not reembedding.resume()
    reembedding.begin("new", held=True, in_background=False)
    assert reembedding.resume()
    assert waiting_messages() == 1
    assert not reembedding.resume(), "it was handed on a moment ago"
    reembedding.work()
    VectorSpace.objects.update(run_seen_at=None)
    assert not reembedding.resume(), "it is complete, and waits for somebody to switch"


def test_a_later_run_takes_over_and_the_earlier_one_writes_nothing_more(corpus: dict[str, Document]) -> None:
    reembedding.begin("new", held=True, in_background=False)

    def supersede() -> None:
        VectorSpace.objects.filter(state=SpaceState.FILLING).update(run=uuid.uuid4())
        Chunk.objects.update(second_embedding=None)

    with pytest.raises(Superseded):
        reembedding.go_on(report=supersede)
    assert Chunk.objects.filter(second_embedding__isnull=False).count() == 0


def test_without_a_node_it_waits_and_says_why(
    corpus: dict[str, Document], use_nodes: UseNodes, node: ModelNode
) -> None:
    reembedding.begin("new", in_background=False)
    use_nodes()
    with pytest.raises(EmbeddingUnavailable):
        reembedding.go_on()
    reembedding.work()
    assert "no embedding node answers" in status()["problem"]
    assert "It does not go on: no embedding node answers" in run("--status")
    use_nodes(node.url)
    reembedding.work()
    assert (vectorspace.live().model, status()["problem"]) == ("new", "")


def test_a_document_that_is_taken_in_meanwhile_gets_both_vectors(corpus: dict[str, Document], take_in: TakeIn) -> None:
    reembedding.begin("new", held=True, in_background=False)
    reembedding.go_on()
    pipeline.ingest(take_in("The greenhouse is open on Sundays.", title="Greenhouse", language="en").pk)
    assert is_of("old", 16)
    with pytest.raises(CommandError, match=r"1 chunks have no vector of new \(24\) yet"):
        run("--switch")
    VectorSpace.objects.update(run_seen_at=None)
    assert reembedding.resume(), "the workers are told"
    reembedding.work()
    run("--switch")
    assert is_of("new", 24)
    assert is_of("old", 16, "second_embedding")


def test_a_chunk_that_stays_as_it_is_keeps_both_vectors(corpus: dict[str, Document], node: ModelNode) -> None:
    reembedding.begin("new", held=True, in_background=False)
    reembedding.go_on()
    node.requests.clear()
    Document.objects.filter(title="Library").update(recipe="", status=Status.QUEUED)
    pipeline.ingest(corpus["Library"].pk)

    assert [text for request in node.requests for text in request["input"]] == []
    assert is_of("old", 16)
    assert is_of("new", 24, "second_embedding")


def test_a_run_that_meets_a_switch_embeds_with_the_new_model(
    corpus: dict[str, Document], take_in: TakeIn, node: ModelNode
) -> None:
    reembedding.begin("new", held=True, in_background=False)
    reembedding.go_on()
    document = take_in("The greenhouse is open on Sundays.", title="Greenhouse", language="en")
    respond = node.respond

    def switch_first(request: dict[str, Any]) -> Any:
        node.respond = respond  # type: ignore[method-assign]
        answer = respond(request)
        reembedding.switch()
        connection.close()
        return answer

    node.respond = switch_first  # type: ignore[method-assign]
    pipeline.ingest(document.pk)
    document.refresh_from_db()
    assert (vectorspace.live().model, document.status) == ("new", Status.READY)
    assert is_of("new", 24)


def test_what_a_model_refuses_is_flagged_in_its_space_alone(corpus: dict[str, Document], node: ModelNode) -> None:
    node.refused = frozenset({"swimming"})
    reembedding.begin("new", held=True, in_background=False)
    reembedding.go_on()
    assert (status()["refused"], status()["missing"], status()["state"]) == (1, 0, "checked")
    sports = Chunk.objects.get(document=corpus["Sports"])
    assert (sports.embedding is not None, sports.metadata) == (True, {"second_unembeddable": True})

    run("--switch")
    sports.refresh_from_db()
    assert (sports.embedding, sports.metadata) == (None, {"unembeddable": True})
    assert Document.objects.get(title="Sports").status == Status.QUEUED, "its page is to say so"
    pipeline.ingest(corpus["Sports"].pk)
    assert Document.objects.get(title="Sports").error_reason == "partly_embedded"
    run("--roll-back")
    sports.refresh_from_db()
    assert (sports.embedding is not None, sports.metadata) == (True, {"second_unembeddable": True})

    node.refused = frozenset()
    pipeline.retry(corpus["Sports"])
    assert (status()["refused"], status()["missing"]) == (0, 1), "the other model is asked again, too"
    reembedding.go_on()
    assert (status()["refused"], status()["missing"]) == (0, 0)
    assert is_of("new", 24, "second_embedding")


def test_an_index_that_misses_what_is_near_is_not_switched_to(
    corpus: dict[str, Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reembedding, "RECALL_LIMIT", 1.01)
    with pytest.raises(CommandError, match=r"finds only 1.000 of the nearest chunks, 1.01 are needed"):
        run("--model", "new", "--wait")
    with pytest.raises(CommandError, match="is not switched to"):
        run("--switch")
    assert vectorspace.live().model == "old"
    assert not reembedding.resume()
    assert run("--cancel") == "The vectors of new (24) are gone.\n"


def test_what_cannot_be_done_is_refused_in_words(corpus: dict[str, Document]) -> None:
    for arguments, complaint in {
        ("--model", "unheard-of"): "does not have the model unheard-of: run `ollama pull unheard-of` there",
        ("--model", "old"): "old is the model that is in use already",
        ("--switch",): "There is no second space. Begin with",
        ("--roll-back",): "There is no second space. Begin with",
        ("--clean-up",): "There is no second space",
        ("--cancel",): "There is no second space",
        ("--json",): "--json goes with --status",
        ("--switch", "--hold"): "--switch goes with no other option",
    }.items():
        with pytest.raises(CommandError, match=complaint):
            run(*arguments)
    assert vectorspace.second() is None
    assert Chunk.objects.filter(Q(embedding__isnull=True) | Q(second_embedding__isnull=False)).count() == 0
