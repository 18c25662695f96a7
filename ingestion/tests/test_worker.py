"""The pipeline as it runs: a queue, a worker that is killed, a broker that is away, several runs at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from celery import current_app
from django.core.files.base import ContentFile
from django.db import OperationalError, connection
from django.utils import timezone

from accounts.clearance import PUBLIC_VIEWER
from ingestion import filling, pipeline, queueing
from ingestion.chunkrows import drafts_of
from ingestion.extraction import extract
from ingestion.filling import STEP
from ingestion.models import Chunk, Document, Status, VectorSpace
from ingestion.tests.conftest import TakeIn, UseNodes, kill_group, run_portal, running_worker, wait_for
from ingestion.tests.embedding_servers import Answer, FaultyNode, faulty_nodes, free_port
from ingestion.versions import replace_file

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


def policy(number: int, sections: int) -> str:
    """A text of its own for each number, that becomes about one chunk a section."""
    return "\n\n".join(
        f"# Section {section}\n\n" + f"Rule {section} of policy {number} is told here at some length. " * 25
        for section in range(sections)
    )


def states() -> dict[str, int]:
    counts: dict[str, int] = {}
    for status in Document.objects.values_list("status", flat=True):
        counts[status] = counts.get(status, 0) + 1
    return counts


def assert_undisturbed(document: Document) -> None:
    """The document is served exactly as one run without any disturbance would have it."""
    document.refresh_from_db()
    drafts = drafts_of(extract(Path(document.file.path), file_name=document.file_name).pages)
    chunks = document.chunks.order_by("position")
    assert (document.status, document.progress, document.error) == (Status.READY, 100, "")
    assert document.chunk_count == len(drafts)
    assert list(chunks.values_list("position", "text", "page_number", "section_title")) == [
        (draft.position, draft.text, draft.page_number, draft.section_title) for draft in drafts
    ]
    assert all(chunk.embedding is not None and not chunk.staged and chunk.is_searchable for chunk in chunks)


def long_ago(document_ids: list, **fields: timedelta) -> None:
    """Let time pass for these documents."""
    now = timezone.now()
    Document.objects.filter(pk__in=document_ids).update(**{name: now - age for name, age in fields.items()})


def unit_vectors(texts: list[str]) -> Answer:
    return 200, {"embeddings": [[1.0] + [0.0] * 383 for _ in texts]}


def slow(texts: list[str]) -> Answer:
    time.sleep(0.3)
    return unit_vectors(texts)


def test_a_killed_worker_a_lost_queue_and_messages_that_come_twice_lose_and_double_nothing(
    take_in: TakeIn, storage: Path
) -> None:
    with faulty_nodes() as start, running_worker(storage, OLLAMA_URLS=start(slow).url) as worker:
        documents = [take_in(policy(number, 2 * STEP), f"policy {number}.md") for number in range(2)]
        documents += [take_in(policy(number, 18), f"policy {number}.md") for number in range(2, 4)]
        half_done = Document.objects.filter(status=Status.EMBEDDING, chunks__embedding__isnull=False)
        wait_for(half_done.exists)
        kill_group(worker)
    ready = states().get(Status.READY, 0)
    assert half_done.filter(chunks__embedding__isnull=True).exists(), "killed in the middle"
    assert pipeline.reconcile() == 0, "nobody is declared dead at once"

    # The broker forgets everything, and five minutes pass.
    with current_app.connection_for_write() as broker:
        broker.default_channel.client.delete("ingestion", "unacked", "unacked_index")
    long_ago([one.pk for one in documents], run_seen_at=timedelta(minutes=6), updated_at=timedelta(minutes=6))
    assert pipeline.reconcile() == len(documents) - ready

    for document in documents:
        pipeline.enqueue(document.pk)
    with faulty_nodes() as start, running_worker(storage, OLLAMA_URLS=start(unit_vectors).url):
        wait_for(lambda: states() == {Status.READY: len(documents)} and queueing.is_empty())
    for document in documents:
        assert_undisturbed(document)
    assert pipeline.reconcile() == 0


def test_a_database_that_went_away_is_come_back_to_by_the_task_itself(take_in: TakeIn, storage: Path) -> None:
    with running_worker(storage):
        documents = [take_in(policy(number, 18), f"policy {number}.md") for number in range(2)]
        wait_for(Document.objects.filter(status=Status.EMBEDDING).exists)
        for _ in range(2):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            time.sleep(0.3)
        # Nothing runs `reconcile` here.
        wait_for(lambda: states() == {Status.READY: len(documents)})
    for document in documents:
        assert_undisturbed(document)
        assert document.attempts == 0


class TestBroker:
    def test_uploads_go_on_while_the_broker_is_away_and_are_found_when_it_is_back(
        self, take_in: TakeIn, storage: Path, tmp_path: Path, registry: object, guide: object
    ) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        for number in range(3):
            (folder / f"{number}.md").write_text(policy(number, 2))
        away = {"CELERY_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0", "MEDIA_ROOT": str(storage)}
        done = run_portal("manage.py", "ingest_folder", str(folder), "--department", "Registry", **away)

        assert done.returncode == 0, done.stderr
        assert "3 queued, 0 here already, 0 refused." in done.stdout
        assert "Traceback" not in done.stderr
        assert states() == {Status.QUEUED: 3}
        done = run_portal("manage.py", "reconcile", **away)
        assert (done.returncode, done.stdout.strip()) == (0, "0 documents queued again, 0 mended."), done.stderr

        assert pipeline.reconcile() == 0, "they may still be on their way"
        ids = list(Document.objects.values_list("pk", flat=True))
        long_ago(ids, updated_at=timedelta(minutes=2))
        assert pipeline.reconcile() == 3
        assert not queueing.is_empty()
        long_ago(ids, updated_at=timedelta(minutes=2))
        assert pipeline.reconcile() == 0, "a long queue is not a loss"


class PausedNode:
    """A node that holds every request until it is told to go on."""

    def __init__(self, start: Callable[[Callable[[list[str]], Answer]], FaultyNode]) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.url = start(self._answer).url

    def _answer(self, texts: list[str]) -> Answer:
        self.asked.set()
        self.go_on.wait(20)
        return unit_vectors(texts)


@contextmanager
def paused_run(document: Document, use_nodes: UseNodes) -> Iterator[None]:
    """A run of this document that has read it and waits for its vectors; it goes on after the block."""

    def run() -> None:
        try:
            pipeline.ingest(document.pk)
        finally:
            connection.close()

    with faulty_nodes() as start, ThreadPoolExecutor(1) as pool:
        node = PausedNode(start)
        use_nodes(node.url)
        running = pool.submit(run)
        assert node.asked.wait(20)
        try:
            yield
        finally:
            node.go_on.set()
        running.result(timeout=20)


def texts_served() -> list[str]:
    return list(Chunk.objects.visible_to(PUBLIC_VIEWER).order_by("position").values_list("text", flat=True))


@pytest.fixture(params=[False, True], ids=["at once", "in steps"])
def in_steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether chunks are written before their vectors are there, as those of long documents are."""
    in_steps: bool = request.param
    if in_steps:
        monkeypatch.setattr(filling, "STEP", 1)
    return in_steps


class TestMeanwhile:
    def test_several_runs_at_once_double_nothing(self, take_in: TakeIn) -> None:
        document = take_in(policy(1, 6), "policy.md")

        def run(_: int) -> None:
            try:
                pipeline.ingest(document.pk)
            finally:
                connection.close()

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(run, range(3)))
        assert_undisturbed(document)

    def test_a_later_run_wins_and_the_earlier_one_leaves_no_trace(
        self, take_in: TakeIn, use_nodes: UseNodes, in_steps: bool
    ) -> None:
        document = take_in(policy(1, 2), "policy.md")
        with paused_run(document, use_nodes):
            pipeline.retry(document)
        document.refresh_from_db()

        assert (document.status, document.run, document.progress) == (Status.QUEUED, None, 0)
        assert not document.chunks.filter(embedding__isnull=False).exists()

    def test_a_run_does_not_bring_an_archived_document_back(
        self, take_in: TakeIn, use_nodes: UseNodes, in_steps: bool
    ) -> None:
        document = take_in(policy(1, 2), "policy.md")
        with paused_run(document, use_nodes):
            assert len(texts_served()) == (2 if in_steps else 0), "a long document is found by words meanwhile"
            pipeline.archive(document)
        document.refresh_from_db()

        assert (document.status, document.is_searchable) == (Status.ARCHIVED, False)
        assert not texts_served()

    def test_a_lost_database_connection_is_not_blamed_on_the_document(
        self, take_in: TakeIn, use_nodes: UseNodes, healthy_nodes: list[str]
    ) -> None:
        document = take_in(policy(1, 2), "policy.md")
        with pytest.raises(OperationalError), paused_run(document, use_nodes), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        # What the pool still holds is as dead as the connection of the run.
        connection.close()
        connection.close_pool()
        document.refresh_from_db()
        assert (document.status, document.error) == (Status.EMBEDDING, "")

        long_ago([document.pk], run_seen_at=timedelta(minutes=6))
        assert pipeline.reconcile() == 1
        use_nodes(*healthy_nodes)
        pipeline.ingest(document.pk)
        assert_undisturbed(document)

    def test_a_run_survives_the_deletion_of_its_document(self, take_in: TakeIn, use_nodes: UseNodes) -> None:
        document = take_in(policy(1, 2), "policy.md")
        with paused_run(document, use_nodes):
            Document.objects.all().delete()

        assert not Chunk.objects.exists()

    def test_vectors_of_a_model_that_was_changed_meanwhile_are_not_written(
        self, take_in: TakeIn, use_nodes: UseNodes, in_steps: bool
    ) -> None:
        document = take_in(policy(1, 2), "policy.md")
        with paused_run(document, use_nodes):
            VectorSpace.objects.update(digest="of other weights")
        document.refresh_from_db()

        assert (document.status, document.error_reason) == (Status.EMBEDDING, pipeline.UNAVAILABLE)
        assert len(texts_served()) == 2, "by words"
        assert not document.chunks.filter(embedding__isnull=False).exists()

    def test_a_title_that_changes_during_a_run_is_not_lost(
        self, take_in: TakeIn, use_nodes: UseNodes, healthy_nodes: list[str], in_steps: bool
    ) -> None:
        document = take_in(policy(1, 2), "policy.md", title="Before")
        with paused_run(document, use_nodes):
            edited = Document.objects.get(pk=document.pk)
            edited.title = "After"
            edited.save(update_fields=["title", "updated_at"])
            pipeline.metadata_changed(edited)
        document.refresh_from_db()
        # What was written under the old title goes round again by itself.
        assert (document.title, document.status) == ("After", Status.QUEUED if in_steps else Status.READY)

        use_nodes(*healthy_nodes)
        pipeline.ingest(document.pk)
        assert_undisturbed(document)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM ingestion_chunk WHERE lexemes @@ 'after:A'")
            assert cursor.fetchone()[0] == document.chunk_count

    def test_the_old_version_is_served_whole_until_the_new_one_is(
        self, take_in: TakeIn, use_nodes: UseNodes, in_steps: bool
    ) -> None:
        document = take_in(policy(1, 3), "policy.md")
        pipeline.ingest(document.pk)
        old = texts_served()
        document.refresh_from_db()
        replace_file(document, ContentFile(policy(2, 5).encode()), file_name="new.md")
        seen = set()
        done = threading.Event()

        def watch() -> None:
            try:
                while not done.is_set():
                    seen.add(tuple(texts_served()))
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                with paused_run(document, use_nodes):
                    assert texts_served() == old
                    staged = document.chunks.filter(staged=True, is_searchable=False)
                    assert staged.count() == (5 if in_steps else 0)
            finally:
                done.set()
            watching.result()
        new = texts_served()
        assert len(new) == 5
        assert all("policy 2" in text for text in new)
        assert seen <= {tuple(old), tuple(new)}
        assert not document.chunks.filter(staged=True).exists()

    def test_a_file_that_is_replaced_during_a_run_is_the_one_that_is_served(
        self, take_in: TakeIn, use_nodes: UseNodes, healthy_nodes: list[str]
    ) -> None:
        document = take_in(policy(1, 2), "policy.md")
        with paused_run(document, use_nodes):
            replace_file(Document.objects.get(), ContentFile(policy(2, 3).encode()), file_name="new.md")
        use_nodes(*healthy_nodes)
        pipeline.ingest(document.pk)

        assert_undisturbed(document)
        assert all("policy 2" in text for text in texts_served())


class TestStart:
    """A web server and a worker start whatever model the settings name, and say in their log which one is in use."""

    @pytest.mark.parametrize(
        "program",
        ["import portal.wsgi", "import django; django.setup(); from portal.celery import prepare_worker as f; f()"],
        ids=["web server", "worker"],
    )
    def test_other_settings_than_the_corpus_are_told(self, take_in: TakeIn, program: str) -> None:
        pipeline.ingest(take_in("Opening hours of the library.").pk)
        done = run_portal("-c", program, EMBEDDING_MODEL="bge-m3", EMBEDDING_DIMENSIONS="1024")

        assert done.returncode == 0, done.stderr
        assert "The corpus is embedded with multilingual-e5-small (384 dimensions), which stays in use" in done.stderr
        assert "./cloister manage reembed --model bge-m3" in done.stderr

    def test_migrate_says_so_as_well_and_runs(self, take_in: TakeIn) -> None:
        pipeline.ingest(take_in("Opening hours of the library.").pk)
        done = run_portal("manage.py", "migrate", EMBEDDING_DIMENSIONS="1024")

        assert done.returncode == 0
        assert "./cloister manage reembed" in done.stderr
