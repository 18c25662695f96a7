"""What the launcher says when it cannot go on: one line, what is wrong and what to do."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import machine
from deploy.local.errors import LauncherError
from deploy.local.home import ROOT, Home
from deploy.tests.launcher_runs import Instance, copy_of_clone, last_line

FLAGS = "processor\t: 0\nmodel name\t: An old one\nflags\t\t: fpu sse sse2 {} ht\n"


def test_an_old_python_is_told_which_one_is_needed() -> None:
    source = (ROOT / "cloister").read_text()
    # The oldest grammar that ast knows; the message needs no newer one.
    ast.parse(source, feature_version=(3, 4))
    pretend = f"import sys; sys.version_info = (3, 9, 2); exec(compile({source!r}, 'cloister', 'exec'))"
    done = subprocess.run([sys.executable, "-c", pretend], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "needs Python 3.11 or newer and this is Python 3.9" in done.stderr


@pytest.mark.parametrize(("extra", "accepted"), [("avx avx2", True), ("avx", False), ("avx avx2000", False)])
def test_a_processor_without_avx2_is_told_to_bring_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, accepted: bool
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(FLAGS.format(extra))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    if accepted:
        machine.require_avx2(cpuinfo)
        return
    with pytest.raises(LauncherError, match=r"AVX2.*DATABASE_URL"):
        machine.require_avx2(cpuinfo)


def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match=r"MB are free .* make room"):
        machine.require_room(tmp_path / "not" / "there", 10**18)


def test_no_network_is_said_in_one_line(tmp_path: Path) -> None:
    launcher = copy_of_clone(tmp_path / "clone")
    away = {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:1/",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
    }
    instance = Instance(Home(tmp_path / "home"), launcher=launcher, environment=away)
    done = instance.run("up", "--detach", "--port", str(instance.port))
    assert done.returncode == 1
    assert "check the network" in last_line(done)
    assert "Traceback" not in done.stderr
    assert instance.remains() == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("up", "--port", "0"), "is no port"),
        (("up", "--port", "eighty"), "is no port"),
        (("bench", "nothing"), "choose one of"),
        (("bench",), "choose one of"),
        (("drill", "nothing"), "there is no drill 'nothing'"),
        (("logs",), "cloister up"),
        (("manage", "check"), "cloister up"),
        (("dance",), "invalid choice"),
    ],
)
def test_a_wrong_command_says_what_would_be_right(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    done = Instance(Home(tmp_path / "home")).run(*arguments)
    assert done.returncode != 0
    assert expected in last_line(done)
    assert "Traceback" not in done.stderr


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    # 192.0.2.0/24 is set aside for documentation (RFC 5737).
    instance = Instance(Home(tmp_path / "home"), environment={"BIND_ADDRESS": "192.0.2.1"})
    done = instance.run("up", "--detach", "--port", str(instance.port))
    assert done.returncode == 1
    assert "BIND_ADDRESS=192.0.2.1" in last_line(done)


def test_damaged_secrets_are_not_replaced(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    home.secrets_file.write_text("SECRET_KEY=\n")
    with pytest.raises(LauncherError, match="damaged"):
        home.secrets()
    assert home.secrets_file.read_text() == "SECRET_KEY=\n"
