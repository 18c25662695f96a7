"""Shared fixtures: a small university, files taken in as the portal takes them, nodes that can be away, workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.db import connection
from pytest_django import Settings

from accounts.clearance import LIBRARIANS, OPERATOR, Viewer
from accounts.models import Department, User
from ingestion import embeddings
from ingestion.models import Document, DocumentType
from ingestion.registration import DocumentMetadata, register
from ingestion.tests.embedding_servers import NodeStarter, faulty_nodes, free_port, running_server

ROOT = Path(__file__).parents[2]
WORKER_SECONDS = 30.0
INGESTION_SECONDS = 60.0

TakeIn = Callable[..., Document]
UseNodes = Callable[..., None]
MakeLibrarian = Callable[..., User]


@pytest.fixture
def storage(settings: Settings, tmp_path: Path) -> Path:
    """A folder of the test's own for originals."""
    storages = {**django_settings.STORAGES}
    storages["default"] = {**storages["default"], "OPTIONS": {"location": str(tmp_path / "media"), "base_url": None}}
    settings.STORAGES = storages
    return tmp_path / "media"


@pytest.fixture
def registry() -> Department:
    return Department.objects.get_or_create(name="Registry")[0]


@pytest.fixture
def archives() -> Department:
    return Department.objects.get_or_create(name="Archives")[0]


@pytest.fixture
def guide() -> DocumentType:
    return DocumentType.objects.get_or_create(slug="guide", defaults={"name": "Guide"})[0]


@pytest.fixture
def make_librarian() -> MakeLibrarian:
    """Makes a librarian: `make_librarian("ada", registry, role="staff")`."""

    def make(name: str, *departments: Department, role: str = "staff") -> User:
        user = User.objects.create_user(name, role=role)
        user.departments.set(departments)
        user.groups.add(Group.objects.get_or_create(name=LIBRARIANS)[0])
        return user

    return make


@pytest.fixture
def take_in(storage: Path, registry: Department, guide: DocumentType) -> TakeIn:
    """Takes in a file: `take_in(b"text", "name.txt", clearance=1)`; by the operator unless `viewer` is given."""

    def take(content: bytes | str, name: str = "guide.txt", *, viewer: Viewer = OPERATOR, **said: Any) -> Document:
        data = content.encode() if isinstance(content, str) else content
        known = {"department": registry, "doc_type": guide, "clearance": 1, "audience": "institution"}
        metadata = DocumentMetadata(**(known | said))
        return register(ContentFile(data), file_name=name, viewer=viewer, metadata=metadata)

    return take


@pytest.fixture
def healthy_nodes(settings: Settings) -> list[str]:
    """The addresses of the nodes that were given to the tests."""
    return list(settings.OLLAMA_URLS)


@pytest.fixture
def use_nodes(settings: Settings, healthy_nodes: list[str]) -> Iterator[UseNodes]:
    """Makes the embedding client use these nodes; without any, one that refuses every connection."""

    def use(*urls: str) -> None:
        # A client that met these nodes before would remember how they did then.
        embeddings._kept_client.cache_clear()
        settings.OLLAMA_URLS = list(urls) or [f"http://127.0.0.1:{free_port()}"]

    yield use
    use(*healthy_nodes)


@pytest.fixture
def faulty_node() -> Iterator[NodeStarter]:
    """Starts nodes that answer as a test wants: `faulty_node(answer).url`."""
    with faulty_nodes() as start:
        yield start


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which embedding servers keep what they make of the bundled model."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def server_url(weights: Path) -> Iterator[str]:
    """The address of an embedding server with the bundled model."""
    with running_server(weights) as (url, _):
        yield url


def environment(**more: str) -> dict[str, str]:
    """What a process of the portal needs to work on the tests' database."""
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    return os.environ | {"DATABASE_URL": database.geturl(), "DJANGO_SETTINGS_MODULE": "portal.settings"} | more


def run_portal(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS…` on the tests' database to its end."""
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment(**more), capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def running_worker(storage: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker on the tests' database and broker, in a process group of its own."""
    command = [sys.executable, "-m", "celery", "-A", "portal", "worker", "--concurrency", "2", "--loglevel", "WARNING"]
    command += ["-Q", "ingestion,maintenance,reembed", "-n", f"tests-{free_port()}@localhost"]
    given = environment(MEDIA_ROOT=str(storage), **more)
    worker = subprocess.Popen(command, cwd=ROOT, env=given, start_new_session=True)
    try:
        wait_for(lambda: current_app.control.ping(timeout=0.5, destination=[command[-1]]), seconds=WORKER_SECONDS)
        yield worker
    finally:
        kill_group(worker)


def kill_group(process: subprocess.Popen[Any]) -> None:
    """SIGKILL for a process and all it started; it has no chance to tidy up."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(condition: Callable[[], Any], *, seconds: float = INGESTION_SECONDS) -> None:
    """Wait until the condition holds. Fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.05)


@pytest.fixture
def empty_queue() -> Iterator[None]:
    """No message of this or another test is left in the broker, delivered or not."""

    def forget() -> None:
        with current_app.connection_for_write() as broker:
            broker.default_channel.client.delete("ingestion", "maintenance", "reembed", "unacked", "unacked_index")

    forget()
    yield
    forget()
