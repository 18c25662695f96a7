"""From a stored file to served chunks: what is written, what fails and how, and what waits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from accounts.models import Department
from ingestion import pipeline, vectorspace
from ingestion.models import Chunk, Document, Status
from ingestion.tests import document_files
from ingestion.tests.conftest import TakeIn, UseNodes
from ingestion.tests.embedding_servers import NOT_A_NUMBER, Answer, faulty_nodes, free_port, running_server
from ingestion.tests.texts import ENGLISH, GERMAN, found, ingested, long_text, served
from ingestion.versions import replace_file

pytestmark = pytest.mark.django_db


def make_full_pdf(path: Path, pages: int) -> Path:
    """Pages that are full of text, so that each has chunks of its own."""
    drawing = canvas.Canvas(str(path), pagesize=A4)
    drawing.setTitle("Travel policy")
    for number in range(1, pages + 1):
        for line in range(1, 41):
            text = f"Line {line} of page {number}: staff claim what they spent on university business in good time."
            drawing.drawString(60, 800 - 18 * line, text)
        drawing.showPage()
    drawing.save()
    return path


class TestReady:
    def test_a_pdf_becomes_chunks_with_their_pages_and_vectors(self, take_in: TakeIn, tmp_path: Path) -> None:
        file = make_full_pdf(tmp_path / "travel.pdf", 3)
        document = ingested(take_in(file.read_bytes(), "travel.pdf"))

        assert (document.status, document.progress, document.error) == (Status.READY, 100, "")
        assert (document.title, document.mime_type, document.language) == ("Travel policy", "application/pdf", "en")
        assert (document.page_count, document.is_searchable) == (3, True)
        chunks = list(document.chunks.order_by("position"))
        assert document.chunk_count == len(chunks)
        assert [chunk.position for chunk in chunks] == list(range(len(chunks)))
        assert {chunk.page_number for chunk in chunks} == {1, 2, 3}
        for chunk in chunks:
            assert f"Line 1 of page {chunk.page_number}:" in chunk.text or "Line 1 of" not in chunk.text
        assert all(not chunk.staged and chunk.is_searchable and chunk.clearance == 1 for chunk in chunks)
        expected = (
            vectorspace.live()
            .client()
            .embed_passages([f"Travel policy\n{chunk.section_title}\n{chunk.text}" for chunk in chunks])
        )
        for chunk, vector in zip(chunks, expected, strict=True):
            assert chunk.embedding == pytest.approx(vector, abs=2e-3)

    def test_words_are_found_in_their_language_and_as_they_stand(self, take_in: TakeIn) -> None:
        ingested(take_in(GERMAN, "pruefungen.md", title="Ordnung"))
        ingested(take_in(ENGLISH, "travel.md", title="Expenses", language="en"))

        assert found("Bibliothek", "german") == {"Ordnung"}, "a stem of the document's own language"
        assert found("bibliotheken", "simple") == {"Ordnung"}, "the plain word"
        assert found("claiming receipt") == {"Expenses"}
        assert found("prufungen", "simple") == {"Ordnung"}, "typed without its dots"
        assert Document.objects.get(title="Ordnung").language == "de"
        assert set(Chunk.objects.values_list("language", flat=True)) == {"de", "en"}

    def test_title_and_section_weigh_more_than_text(self, take_in: TakeIn) -> None:
        document = ingested(take_in(ENGLISH, "travel.md", title="Expenses"))

        with connection.cursor() as cursor:
            cursor.execute("SELECT lexemes::text FROM ingestion_chunk WHERE document_id = %s", [document.pk])
            lexemes = cursor.fetchone()[0]
        assert "'expens':1A,10 'expenses':2A,23" in lexemes, "once stemmed, once plain; in the title, in the text"
        assert "'travel':3B,4B,5" in lexemes, "in the section's title, in the text"

    def test_a_script_without_spaces_is_found_by_its_words(self, take_in: TakeIn) -> None:
        ingested(take_in("# 图书馆\n\n学生可以在大学图书馆借阅图书，每次最多十本。\n" * 5, "zh.md", title="借阅"))

        assert found("图书 书馆", "simple") == {"借阅"}

    def test_the_title_falls_back_to_the_file_name(self, take_in: TakeIn) -> None:
        assert ingested(take_in("Just a line of text.", "opening hours.txt")).title == "opening hours"

    def test_what_no_database_takes_is_left_out(self, take_in: TakeIn) -> None:
        document = ingested(take_in(b"before\x00after \xed\xa0\x80 end of a plain text", "odd.txt"))

        assert document.status == Status.READY
        assert "\x00" not in document.chunks.get().text

    def test_access_is_that_of_the_document(self, take_in: TakeIn, registry: Department) -> None:
        chunk = ingested(take_in(ENGLISH, clearance=3, audience="department")).chunks.get()

        assert (chunk.clearance, chunk.readers, chunk.is_searchable) == (3, [registry.pk], True)


class TestFailure:
    @pytest.mark.parametrize(
        ("make", "name", "reason"),
        [
            (document_files.make_encrypted_pdf, "locked.pdf", "encrypted"),
            (document_files.make_empty_pdf, "blank.pdf", "empty"),
            (document_files.make_scanned_pdf, "scan.pdf", "needs_ocr"),
            (lambda path: path.write_bytes(b"%PDF-1.7\ntorn off") and path, "torn.pdf", "broken"),
            (lambda path: path.write_bytes(b"\x7fELF" + bytes(range(256)) * 20) and path, "program.pdf", "unsupported"),
            (lambda path: path.write_text(" \n\n ") and path, "blank.txt", "empty"),
        ],
        ids=["encrypted", "blank pdf", "scanned", "torn", "program", "blank text"],
    )
    def test_a_file_without_text_fails_with_a_reason_and_a_sentence(
        self, take_in: TakeIn, tmp_path: Path, make, name: str, reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A machine without the data for text recognition.
        monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
        document = ingested(take_in(make(tmp_path / name).read_bytes(), name))

        assert (document.status, document.error_reason) == (Status.FAILED, reason)
        assert document.error.endswith(".")
        assert "Traceback" not in document.error
        assert len(document.error) > 20
        assert not document.is_searchable
        assert not document.chunks.exists()

    def test_a_failed_document_is_ready_after_its_file_was_replaced(self, take_in: TakeIn) -> None:
        document = ingested(take_in(b"%PDF-1.7\ntorn off", "torn.pdf", title="Travel"))
        replace_file(document, ContentFile(ENGLISH.encode()), file_name="travel.md")

        assert ingested(document).status == Status.READY
        assert (document.error, document.error_reason) == ("", "")
        assert found("receipts") == {"Travel"}

    def test_an_original_that_is_gone_says_so_and_a_retry_helps(self, take_in: TakeIn, storage: Path) -> None:
        document = take_in(ENGLISH, title="Travel")
        original = storage / document.file.name
        content = original.read_bytes()
        original.unlink()

        assert (ingested(document).status, document.error_reason) == (Status.FAILED, "missing")
        original.write_bytes(content)
        pipeline.retry(document)
        document.refresh_from_db()
        assert (document.status, document.error) == (Status.QUEUED, "")
        assert ingested(document).status == Status.READY

    def test_what_was_served_before_a_failure_goes_on_being_served(self, take_in: TakeIn) -> None:
        document = ingested(take_in(ENGLISH, title="Travel"))
        before = served(document)
        replace_file(document, ContentFile(b"%PDF-1.7\ntorn off"), file_name="torn.pdf")

        assert (ingested(document).status, document.error_reason) == (Status.FAILED, "broken")
        assert served(document) == before

    def test_our_own_faults_are_told_apart_from_the_databases(self) -> None:
        def fault(sql: str) -> OperationalError:
            with pytest.raises(OperationalError) as raised, transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(sql)
            return raised.value

        assert not pipeline.is_passing(fault("SELECT repeat('too long', 1000000000)"))
        assert pipeline.is_passing(fault("SET LOCAL statement_timeout = 20; SELECT pg_sleep(5)"))

    def test_a_fault_of_our_own_is_noted_and_raised(self, take_in: TakeIn) -> None:
        document = take_in(ENGLISH, title="Travel")
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE ingestion_chunk ADD CONSTRAINT nothing_goes CHECK (position < 0)")
        with pytest.raises(IntegrityError):
            pipeline.ingest(document.pk)

        document.refresh_from_db()
        assert (document.status, document.error_reason) == (Status.FAILED, "internal")
        assert document.error.startswith("Something went wrong on our side. Retry")


class TestWithoutANode:
    def test_words_are_found_while_the_vectors_wait_and_a_node_that_is_back_finishes_it(
        self, take_in: TakeIn, use_nodes: UseNodes, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        cache, port = tmp_path_factory.mktemp("models"), free_port()
        with running_server(cache, port) as (url, node):
            use_nodes(url)
            vectorspace.live().client().describe()
            node.kill()
            node.wait()
            document = ingested(take_in(ENGLISH, title="Travel", language="en"))

            assert (document.status, document.is_searchable) == (Status.EMBEDDING, True)
            assert document.error_reason == pipeline.UNAVAILABLE
            assert "goes on by itself" in document.error
            assert found("receipt") == {"Travel"}
            assert document.chunks.filter(embedding__isnull=False).count() == 0
            assert pipeline.reconcile() == 0, "while no node answers there is nothing to be done"
            document.refresh_from_db()
            assert document.error_reason == pipeline.UNAVAILABLE
        with running_server(cache, port) as (url, _):
            use_nodes(url)
            assert pipeline.reconcile() == 1
            assert ingested(document).status == Status.READY
            assert (document.error, document.error_reason) == ("", "")
            assert document.chunks.filter(embedding__isnull=True).count() == 0

    def test_a_document_that_waits_for_a_node_is_not_taken_for_a_dead_run(
        self, take_in: TakeIn, use_nodes: UseNodes
    ) -> None:
        use_nodes()
        document = ingested(take_in(ENGLISH))
        Document.objects.filter(pk=document.pk).update(run_seen_at=timezone.now() - timedelta(hours=1))

        assert pipeline.reconcile() == 0

    def test_unchanged_chunks_keep_their_vectors_and_need_no_node(self, take_in: TakeIn, use_nodes: UseNodes) -> None:
        document = ingested(take_in(long_text(4), "policy.md", title="Policy"))
        vectors = dict(document.chunks.values_list("section_title", "embedding"))
        use_nodes()
        shorter = long_text(3)
        replace_file(document, ContentFile(shorter.encode()), file_name="policy.md")

        assert ingested(document).status == Status.READY
        assert document.chunk_count == document.chunks.count() == len(vectors) - 1
        for chunk in document.chunks.all():
            assert chunk.embedding == vectors[chunk.section_title]

    def test_only_the_changed_chunks_are_sent_to_the_node(self, take_in: TakeIn, use_nodes: UseNodes) -> None:
        document = ingested(take_in(long_text(4), "policy.md", title="Policy"))

        def answer(texts: list[str]) -> Answer:
            return 200, {"embeddings": [[1.0] + [0.0] * 383 for _ in texts]}

        with faulty_nodes() as start:
            node = start(answer)
            use_nodes(node.url)
            changed = long_text(4).replace("This is matter 2 of", "This is another matter than 2 of")
            replace_file(document, ContentFile(changed.encode()), file_name="policy.md")
            assert ingested(document).status == Status.READY
            sent = [text for request in node.requests for text in request["input"]]
        assert sent
        assert all("another matter than 2" in text for text in sent)

    def test_a_passage_that_cannot_be_embedded_is_flagged_and_sinks_nothing(
        self, take_in: TakeIn, use_nodes: UseNodes, healthy_nodes: list[str]
    ) -> None:
        def answer(texts: list[str]) -> Answer:
            if any("matter 1 of" in text for text in texts):
                return NOT_A_NUMBER
            return 200, {"embeddings": [[1.0] + [0.0] * 383 for _ in texts]}

        with faulty_nodes() as start:
            use_nodes(start(answer).url)
            document = ingested(take_in(long_text(3), "policy.md", title="Policy", language="en"))
        refused = document.chunks.get(embedding__isnull=True)

        assert (document.status, document.error_reason) == (Status.READY, "partly_embedded")
        assert document.error == "1 of 3 passages could not be embedded; they are found by words only."
        assert "matter 1 of" in refused.text
        assert found('"matter 1"') == {"Policy"}

        use_nodes(*healthy_nodes)
        pipeline.retry(document)
        assert ingested(document).error == "", "a retry tries the refused passage again"
        assert not document.chunks.filter(embedding__isnull=True).exists()
