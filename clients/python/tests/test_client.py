"""The client against the portal: a real server, real answers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from cloister_client import (
    ChangedSince,
    Cloister,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotSignedIn,
    TooManyRequests,
    Unavailable,
)
from cloister_client.__main__ import main
from django.core.cache import cache
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.models import Department, User
from accounts.tests.keys import make
from ingestion import pipeline
from ingestion.models import Document, DocumentType
from search.tests.corpus import count_statistics, serve

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = b"# Gymnasium\n\nThe gymnasium opens at six in the morning and closes at ten.\n"
PASSWORD = "correct-horse-battery"


@pytest.fixture(autouse=True)
def apart(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    storage = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(tmp_path_factory.mktemp("media"))},
    }
    static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": storage, "staticfiles": static}
    settings.THROTTLE_FACTOR = 0
    cache.clear()
    DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})


@pytest.fixture
def desk(live_server: LiveServer, librarian: User) -> Iterator[Cloister]:
    with Cloister(live_server.url) as client:
        client.sign_in(librarian.username, PASSWORD)
        yield client


def upload(desk: Cloister, content: bytes = TEXT, **said: Any) -> Any:
    said = {"department": "Library", "doc_type": "guide", "file_name": "gym.md", **said}
    return desk.upload(io.BytesIO(content), **said)


def ready(desk: Cloister, **said: Any) -> Any:
    made = upload(desk, **said)
    pipeline.ingest(Document.objects.get(pk=made.id).pk)
    return desk.wait(made, seconds=5)


def test_a_document_from_its_upload_to_its_end(desk: Cloister, tmp_path: Path) -> None:
    assert desk.me().librarian
    found = ready(desk, title="The gym", clearance=2, tags=["sport"], last_reviewed=date(2025, 8, 15))
    assert (found.status, found.progress, found.tags, found.last_reviewed) == (
        "ready", 100, ["sport"], date(2025, 8, 15),
    )  # fmt: skip
    count_statistics()
    (hit, *_) = desk.search("When does the gymnasium open?", filters={"reviewed_after": date(2020, 1, 1)}).hits
    assert (hit.document.id, hit.document.last_reviewed) == (found.id, date(2025, 8, 15))
    assert "six in the morning" in next(iter(desk.chunks(hit.document))).text
    assert desk.similar(found) == []
    assert desk.download(hit.document, tmp_path / "copy.md").read_bytes() == TEXT
    changed = desk.change(found, tags=["sport", "health"])
    assert changed.tags == ["health", "sport"]
    with pytest.raises(ChangedSince):
        desk.change(found, priority=1)
    assert desk.replace(desk.document(found.id), io.BytesIO(b"# New\n\nSeven."), file_name="new.md").status == "queued"
    desk.archive(desk.document(found.id))
    assert desk.document(found.id).status == "archived"
    assert desk.restore(found).status == "queued"


def test_lists_are_followed_to_their_end(desk: Cloister, library: Department) -> None:
    for number in range(7):
        upload(desk, f"# {number}\n\nText.".encode(), file_name=f"{number}.md")
    assert [one.file_name for one in desk.documents(page_size=3)] == [f"{number}.md" for number in range(6, -1, -1)]
    assert list(desk.documents(status="failed")) == []


def test_several_searches_and_suggestions(desk: Cloister, library: Department) -> None:
    serve("Travel and expenses", "Travel expenses are paid within a month.", department=library)
    count_statistics()
    pages = desk.search_several(["travel", "nothing of the kind"], mode="keyword")
    assert [page.count for page in pages] == [1, 0]
    assert desk.suggest("trav") == ["Travel and expenses"]
    desk.feedback(pages[0].search_id, pages[0].hits[0].document.id, "helpful")


def test_each_refusal_is_an_error_of_its_own(
    desk: Cloister,
    live_server: LiveServer,
    librarian: User,
) -> None:
    with pytest.raises(Invalid) as wrong:
        upload(desk, department="Nowhere")
    assert list(wrong.value.errors) == ["department"]
    assert wrong.value.request_id
    upload(desk)
    with pytest.raises(Conflict):
        upload(desk)
    with pytest.raises(NotFound):
        desk.document("00000000-0000-0000-0000-000000000000")
    _, key = make(_service(librarian), "read")
    with Cloister(live_server.url, api_key=key) as reader, pytest.raises(Forbidden):
        upload(reader)
    with Cloister(live_server.url) as anonymous, pytest.raises(NotSignedIn):
        anonymous.sign_in(librarian.username, "wrong")
    with pytest.raises(ValueError, match="no address"):
        Cloister("search.example.ac.uk")


def _service(user: User) -> User:
    user.is_service = True
    user.save()
    return user


def test_tokens_are_renewed_in_time_and_end_with_the_sign_out(desk: Cloister) -> None:
    desk._renew_at = 0.0
    assert desk.me().role == "staff"
    assert desk._renew_at > 0
    desk.sign_out()
    with pytest.raises(NotSignedIn):
        desk.me()


class Flaky(httpx.BaseTransport):
    """A network that loses some answers on the way back, and a portal that is busy at times."""

    def __init__(self, *faults: int | None) -> None:
        self._network, self._faults, self.sent = httpx.HTTPTransport(), list(faults), 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        fault = self._faults.pop(0) if self._faults else 200
        if fault == 200:
            return self._network.handle_request(request)
        if fault is not None:
            return httpx.Response(fault, headers={"Retry-After": "0"}, json={"detail": "busy"})
        self._network.handle_request(request).read()
        raise httpx.ReadError("the answer was lost")


def test_an_upload_whose_answer_was_lost_makes_one_document(
    live_server: LiveServer,
    librarian: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cloister_client.client.time.sleep", lambda seconds: None)
    _, key = make(_service(librarian), "read", "upload")
    network = Flaky(None, 503, 429)
    with Cloister(live_server.url, api_key=key, transport=network) as client:
        made = upload(client)
        assert (network.sent, Document.objects.get().pk) == (4, Document.objects.get(pk=made.id).pk)
    away = Flaky(None, None, None, None)
    with Cloister(live_server.url, api_key=key, transport=away) as client, pytest.raises(Unavailable):
        client.me()
    with Cloister(live_server.url, api_key=key, transport=Flaky(429)) as client, pytest.raises(TooManyRequests):
        client.archive(made)


def test_the_command_line(
    live_server: LiveServer, librarian: User, library: Department,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(["me"]) == 2
    _, key = make(_service(librarian), "read", "upload")
    monkeypatch.setenv("CLOISTER_URL", live_server.url)
    monkeypatch.setenv("CLOISTER_API_KEY", key)
    serve("Travel \x1b[31mand expenses", "Travel expenses are paid within a month.", department=library)
    count_statistics()
    file = tmp_path / "pool.md"
    file.write_bytes(b"# Pool\n\nIt opens at noon.\n")
    assert main(["upload", str(file), "--department", "Library", "--type", "guide", "--no-wait"]) == 0
    assert main(["search", "travel", "--department", "Library"]) == 0
    assert main(["search", "travel", "--json"]) == 0
    assert main(["status", str(Document.objects.get(file_name="pool.md").pk)]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["download", str(Document.objects.get(file_name="pool.md").pk), "copy.md"]) == 0
    assert (tmp_path / "copy.md").read_bytes() == file.read_bytes()
    assert main(["upload", str(file), "--department", "Nowhere", "--type", "guide"]) == 1
    said = capsys.readouterr()
    assert "queued" in said.out
    assert "Travel" in said.out
    assert "\x1b" not in said.out
    assert "department:" in said.err
