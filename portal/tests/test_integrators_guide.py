"""Every command of the integrators' guide, run in its order by a shell against the portal with its demo."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.management import call_command
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.models import Department, User
from accounts.tests.keys import make
from ingestion import pipeline, statistics, vectorspace
from ingestion.models import Document, DocumentType, Status

GUIDE = Path(__file__).parents[2] / "docs" / "integrators.md"
PASSWORD = "correct-horse-battery"
KEPT = ("TOKEN", "ID", "ETAG")
"""What later commands need of earlier ones."""

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not all(map(shutil.which, ("bash", "curl", "jq"))), reason="needs bash, curl and jq (apt-get install curl jq)"
    ),
]


def blocks() -> list[str]:
    """The guide's commands; what is indented in it and is none shows answers."""
    indented = re.findall(r"(?:^ {4}.*\n)+", GUIDE.read_text(), re.MULTILINE)
    commands = [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in indented]
    return [one for one in commands if re.match(r"curl |printf |TOKEN=|ETAG=", one)]


@pytest.fixture
def portal(live_server: LiveServer, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> str:
    media = str(tmp_path_factory.mktemp("media"))
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": media}}
    static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": storage, "staticfiles": static}
    settings.THROTTLE_FACTOR = 0
    cache.clear()
    for slug in ("guide", "policy", "form", "minutes", "handbook"):
        DocumentType.objects.get_or_create(slug=slug, defaults={"name": slug.title()})
    return live_server.url


def finish() -> None:
    """What the worker does meanwhile."""
    for document in Document.objects.filter(status=Status.QUEUED):
        pipeline.ingest(document.pk)
    vectorspace.settle()
    statistics.refresh()


def test_the_commands_do_what_they_say(portal: str, tmp_path: Path) -> None:
    Department.objects.create(name="Library")
    call_command("create_user", "librarian", role="staff", department=["Library"], librarian=True, password=PASSWORD)
    call_command("create_user", "student", role="student", password=PASSWORD)
    call_command("create_user", "desk", role="staff", department=["Library"], password=PASSWORD)
    desk = User.objects.get(username="desk")
    desk.is_service = True
    desk.save()
    _, key = make(desk, "read", "act")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "B": portal, "P": PASSWORD, "KEY": key}
    first, *rest = blocks()
    assert len(rest) > 15
    for block in [first, *rest]:
        # Where the guide signs out it signs in again, as its reader would.
        again = first if "token/blacklist" in block else ""
        script = f"""
            set -eo pipefail
            curl() {{ command curl --fail-with-body "$@"; }}
            test -f kept && . ./kept
            {block}
            {again}
            declare -p {" ".join(KEPT)} > kept 2>/dev/null || true
        """
        command = [str(shutil.which("bash")), "-c", script]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        finish()
    assert set(Document.objects.values_list("file_name", flat=True)) == {
        "quiet-rooms.md", "group-rooms.md", "one.md", "two.md",
    }  # fmt: skip
    assert Document.objects.get(file_name="quiet-rooms.md").status == Status.ARCHIVED
