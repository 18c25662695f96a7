"""What operators type: how far the corpus is, waiting for it, mending it, and the demo."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from ingestion import pipeline, progress
from ingestion.management.commands.load_demo import DEMO
from ingestion.models import Document, Status
from ingestion.tests.conftest import TakeIn, UseNodes

pytestmark = pytest.mark.django_db


def run(*arguments: object, **options: Any) -> str:
    said = io.StringIO()
    call_command(*map(str, arguments), stdout=said, stderr=said, **options)
    return said.getvalue()


class TestIngestionStatus:
    def test_every_state_is_named(self, take_in: TakeIn, use_nodes: UseNodes) -> None:
        take_in("still to come")
        use_nodes()
        pipeline.ingest(take_in("waits for its vector").pk)

        assert json.loads(run("ingestion_status", "--json")) == {
            "queued": 1, "extracting": 0, "embedding": 1, "ready": 0, "failed": 0, "archived": 0, "waiting_chunks": 1,
        }  # fmt: skip
        assert "waiting chunks         1" in run("ingestion_status")


class TestReconcile:
    def test_it_says_how_many(self, take_in: TakeIn, empty_queue: None) -> None:
        document = take_in("lost")
        assert run("reconcile") == "0 documents queued again, 0 mended.\n"
        Document.objects.filter(pk=document.pk).update(updated_at=timezone.now() - timedelta(minutes=2))
        assert run("reconcile") == "1 documents queued again, 0 mended.\n"


class TestWaiting:
    def test_it_ends_when_all_are_finished_and_names_what_failed(self, take_in: TakeIn, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        for name, content in {"good.txt": "Opening hours.", "torn.pdf": "%PDF-1.7 torn off"}.items():
            (tmp_path / "folder" / name).write_text(content)
            pipeline.ingest(take_in(content, name).pk)
        said = run("ingest_folder", tmp_path / "folder", "--department", "Registry", "--wait")

        assert "0 queued, 2 here already, 0 refused." in said
        assert "2 of 2 documents finished" in said
        assert "failed: torn.pdf: " in said
        assert said.endswith("1 ready, 1 failed.\n")

    def test_words_come_before_vectors(self, take_in: TakeIn, use_nodes: UseNodes) -> None:
        use_nodes()
        document = take_in("Opening hours.")
        pipeline.ingest(document.pk)
        said: list[str] = []

        assert progress.wait([document.pk], said.append, words_only=True)["embedding"] == 1
        assert said == ["1 of 1 documents found by words"]

    def test_it_gives_up_where_nothing_moves_and_says_what_to_look_at(
        self, take_in: TakeIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "PATIENCE", timedelta(seconds=1.5))
        monkeypatch.setattr(progress, "POLL_SECONDS", 0.1)
        document = take_in("Opening hours.")
        with pytest.raises(progress.NothingMoves, match=r"Is a worker running\? Look at: ./cloister status"):
            progress.wait([document.pk], print)

    def test_it_says_when_the_embedding_service_is_what_is_missing(
        self, take_in: TakeIn, use_nodes: UseNodes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(progress, "PATIENCE", timedelta(seconds=1.5))
        monkeypatch.setattr(progress, "POLL_SECONDS", 0.1)
        use_nodes()
        pipeline.ingest(take_in("Opening hours.").pk)
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "hours.txt").write_text("Opening hours.")
        with pytest.raises(CommandError, match="1 documents wait for the embedding service, which does not answer"):
            run("ingest_folder", tmp_path / "folder", "--department", "Registry", "--wait")

    def test_no_documents_are_finished_at_once(self) -> None:
        assert sum(progress.wait([], print).values()) == 0


class TestDemo:
    @pytest.fixture(autouse=True)
    def demo_mode(self, settings: Settings, storage: Path) -> None:
        settings.DEMO_MODE, settings.DEMO_PASSWORD = True, "a-password-for-the-demo"

    def test_it_loads_only_in_demo_mode(self, settings: Settings) -> None:
        settings.DEMO_MODE = False
        with pytest.raises(CommandError, match="Set CLOISTER_DEMO=1 and DEMO_PASSWORD first"):
            run("load_demo")
        assert not User.objects.exists()

    def test_everybody_can_sign_in_and_loading_it_again_changes_nothing(self) -> None:
        files = sum(path.is_file() and path.name != "manifest.csv" for path in (DEMO / "corpus").rglob("*"))
        assert run("load_demo") == f"{files} demo documents queued, 0 here already.\n"
        archived = Document.objects.order_by("file_name").first()
        assert archived is not None
        pipeline.archive(archived)
        admin = User.objects.get(username="admin")
        admin.set_password("changed since")
        admin.save()
        before = list(Document.objects.order_by("pk").values())

        assert run("load_demo") == f"0 demo documents queued, {files - 1} here already.\n"
        assert list(Document.objects.order_by("pk").values()) == before
        assert User.objects.get(username="admin").check_password("changed since")
        assert set(Document.objects.values_list("status", flat=True)) == {Status.QUEUED, Status.ARCHIVED}
        people = {user.username: user for user in User.objects.all()}
        assert {"student", "staff", "academic", "librarian", "admin"} <= set(people)
        assert people["librarian"].is_librarian
        assert people["admin"].role == "admin"
        for user in people.values():
            assert user.username == "admin" or user.check_password("a-password-for-the-demo")
            assert user.departments.exists()
            assert user.campus
