"""The image's recipe: linted by hadolint, and held to what deploy/README.md says of it."""

from __future__ import annotations

import http.server
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deploy.image import alive
from deploy.local.home import ROOT

RECIPE = ROOT / "deploy" / "image" / "Dockerfile"
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


def instructions(text: str) -> list[tuple[str, str]]:
    """Every instruction with its argument, on one line."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def final_stage() -> list[tuple[str, str]]:
    found = instructions(RECIPE.read_text(encoding="utf-8"))
    last = max(number for number, (name, _) in enumerate(found) if name == "FROM")
    return found[last:]


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([str(HADOLINT), str(RECIPE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_of_one_version_and_the_same_in_both_stages() -> None:
    found = instructions(RECIPE.read_text(encoding="utf-8"))
    assert re.fullmatch(r"PYTHON_IMAGE=python:\d+\.\d+\.\d+-slim-\w+", dict(found[:1])["ARG"])
    assert [one for name, one in found if name == "FROM"] == ["${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE} AS portal"]


def test_the_process_is_not_root_and_cannot_change_the_code() -> None:
    stage = final_stage()
    assert [one for name, one in stage if name == "USER"] == ["10001:10001"]
    copies = [one for name, one in stage if name == "COPY"]
    assert copies
    assert all("--chown" not in one and "--chmod" not in one for one in copies)


def test_signals_reach_the_process() -> None:
    stage = dict(final_stage())
    assert stage["ENTRYPOINT"] == '["/usr/bin/tini", "-g", "--"]'
    assert stage["CMD"].startswith('["python", "-m", "gunicorn"')
    assert 'CMD ["python", "-m", "deploy.image.alive"]' in stage["HEALTHCHECK"]


def test_no_secret_is_in_the_image() -> None:
    found = instructions(RECIPE.read_text(encoding="utf-8"))
    kept = " ".join(one for name, one in found if name in {"ENV", "ARG", "LABEL"})
    assert not re.search(r"SECRET|PASSWORD|_KEY|TOKEN|DATABASE_URL|REDIS_URL", kept)
    assert all(name != "ADD" for name, _ in found)


def test_packages_come_from_the_list_alone() -> None:
    installs = [one for name, one in instructions(RECIPE.read_text(encoding="utf-8")) if "pip install" in one]
    assert installs == ["pip install --no-deps -r requirements.txt && pip check"]


def test_all_that_is_copied_is_let_in_and_nothing_private_is() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    sources = {
        one.split()[0]
        for name, one in instructions(RECIPE.read_text(encoding="utf-8"))
        if name == "COPY" and not one.startswith("--from")
    }
    assert "*" in ignored
    assert sources == let_in
    assert all((ROOT / one).exists() for one in sources)
    assert {"deploy/compose", "**/tests", "**/.env"} <= set(ignored)


def test_a_server_that_answers_is_alive_and_none_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health/live" else 404)
            self.end_headers()

    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        monkeypatch.setenv("PORT", str(server.server_port))
        assert alive.main() == 0
        server.shutdown()
    assert alive.main() == 1
