"""The launcher, run for real: one instance that several tests share, and what may be done to it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.home import Home
from deploy.local.process import family, identify
from deploy.tests.launcher_runs import Instance, eventually, last_line

PARTS = ("postgres", "valkey", "embedding", "gunicorn", "worker", "beat")

# "Back within seconds": what PostgreSQL needs to recover and a worker to import the portal, on two busy cores.
BACK_SECONDS = 60


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A running instance. A test that stops it starts it again."""
    instance = Instance(Home(tmp_path_factory.mktemp("launcher") / "a home"))
    instance.up()
    yield instance
    instance.down()


def test_status_names_every_process_of_a_ready_instance(instance: Instance) -> None:
    done = instance.run("status", "--json")
    described = json.loads(done.stdout)
    assert done.returncode == 0
    assert described["home"] == str(instance.home.path)
    assert described["address"] == f"http://localhost:{instance.port}/"
    assert described["ready"] is True
    assert {"supervisor", *PARTS} == {one["name"] for one in described["processes"]}
    for one in described["processes"]:
        assert one["pid"] > 0
        assert one["restarts"] == 0
        assert one["uptime_seconds"] > 0
        assert one["rss_mb"] > 0


def test_a_second_up_says_where_it_runs_and_starts_nothing(instance: Instance) -> None:
    before = instance.status()["processes"]
    done = instance.up()
    assert f"http://localhost:{instance.port}/" in done.stdout
    assert [one["pid"] for one in instance.status()["processes"]] == [one["pid"] for one in before]


def test_up_on_another_port_is_refused_while_it_runs(instance: Instance) -> None:
    done = instance.run("up", "--detach", "--port", str(instance.port + 1))
    assert done.returncode == 1
    assert "cloister down" in last_line(done)


def test_secrets_are_closed_to_others_and_stay_the_same(instance: Instance) -> None:
    assert stat.S_IMODE(instance.home.secrets_file.stat().st_mode) == 0o600
    secrets = instance.home.secrets()
    assert {"SECRET_KEY", "JWT_SIGNING_KEY", "POSTGRES_PASSWORD", "VALKEY_PASSWORD", "DEMO_PASSWORD"} <= secrets.keys()
    assert instance.home.secrets() == secrets
    assert len(set(secrets.values())) == len(secrets)


def test_no_secret_stands_in_a_command_line(instance: Instance) -> None:
    secrets = [value.encode() for value in instance.home.secrets().values()]
    for process in instance.status()["processes"]:
        for pid in family(process["pid"]):
            command = Path(f"/proc/{pid}/cmdline")
            line = command.read_bytes() if command.exists() else b""
            assert not any(secret in line for secret in secrets)


def test_only_this_machine_reaches_the_parts(instance: Instance) -> None:
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ours = {f"{port:04X}" for port in [instance.port, *instance.home.read_ports().values()]}
    found = [line.split()[1] for line in listening if line.split()[3] == "0A" and line.split()[1][-4:] in ours]
    assert len(found) == len(ours)
    assert all(address.startswith("0100007F:") for address in found)


def test_manage_runs_in_the_environment_of_the_instance(instance: Instance) -> None:
    program = "from django.db import connection as c; k = c.cursor(); k.execute('SELECT current_database()'); "
    done = instance.run("manage", "shell", "-v", "0", "-c", program + "print(k.fetchone()[0])")
    assert done.stdout.strip().splitlines()[-1] == "cloister", done.stderr


def test_the_role_of_the_portal_is_no_superuser_but_makes_databases_with_the_extensions(instance: Instance) -> None:
    program = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    print(cursor.fetchone()[0])
    cursor.execute("CREATE DATABASE made_by_a_test")
    cursor.execute("DROP DATABASE made_by_a_test")
    cursor.execute("SELECT extname FROM pg_extension")
    print(sorted(name for (name,) in cursor.fetchall()))
"""
    done = instance.run("manage", "shell", "-v", "0", "-c", program)
    superuser, extensions = done.stdout.strip().splitlines()[-2:]
    assert superuser == "False"
    for name in ("vector", "pg_trgm", "unaccent", "btree_gin", "fuzzystrmatch"):
        assert f"'{name}'" in extensions


def test_logs_shows_the_end_of_one_log_and_names_the_known_ones(instance: Instance) -> None:
    assert "ready to accept connections" in instance.run("logs", "postgres").stdout
    done = instance.run("logs", "nobody")
    assert done.returncode == 1
    assert "gunicorn" in last_line(done)


def test_a_taken_port_is_said_in_one_line_and_leaves_nothing(instance: Instance, tmp_path: Path) -> None:
    other = Instance(Home(tmp_path / "other"), port=instance.port)
    done = other.run("up", "--detach", "--port", str(other.port), "--no-demo")
    assert done.returncode == 1
    assert f"port {instance.port} is taken" in last_line(done)
    assert "--port" in last_line(done)
    assert "Traceback" not in done.stderr
    assert list(other.home.run.glob("*")) == []


def test_two_instances_run_side_by_side(instance: Instance, tmp_path: Path) -> None:
    other = Instance(Home(tmp_path / "other"))
    try:
        other.up()
        assert other.is_ready()
        assert instance.is_ready()
        assert not set(other.home.read_ports().values()) & set(instance.home.read_ports().values())
        assert other.home.secrets() != instance.home.secrets()
    finally:
        other.down()
    assert other.remains() == []
    assert instance.is_ready()


@pytest.mark.parametrize("name", PARTS)
def test_a_killed_process_comes_back(instance: Instance, name: str) -> None:
    before = instance.process(name)
    descendants = [pid for pid in family(before["pid"]) if pid != before["pid"]]
    instance.kill(before["pid"])

    def is_back() -> bool:
        now = instance.process(name)
        return bool(now["pid"] not in (None, before["pid"]) and now["state"] == "running")

    assert eventually(is_back, BACK_SECONDS), instance.run("logs", name).stdout
    assert eventually(instance.is_ready, BACK_SECONDS)
    assert instance.process(name)["restarts"] == before["restarts"] + 1
    assert not any(identify(pid) for pid in descendants)
    assert f"{name} ended (signal SIGKILL); starting it again" in instance.run("logs", "cloister").stdout


def test_up_after_the_supervisor_was_killed_starts_again(instance: Instance) -> None:
    old = {one["pid"] for one in instance.status()["processes"]}
    instance.kill(instance.process("supervisor")["pid"])
    instance.up()
    processes = instance.status()["processes"]
    assert {"supervisor", *PARTS} == {one["name"] for one in processes}
    assert not old & {one["pid"] for one in processes}
    assert not any(identify(pid) for pid in old)


def test_down_after_the_supervisor_was_killed_leaves_nothing(instance: Instance) -> None:
    instance.kill(instance.process("supervisor")["pid"])
    try:
        instance.down()
        assert instance.remains() == []
    finally:
        instance.up()


def test_down_leaves_no_process_lock_or_port_and_says_so_again(instance: Instance) -> None:
    try:
        assert "Stopped." in instance.down().stdout
        assert instance.remains() == []
        assert "not running" in instance.down().stdout
        status = instance.run("status", "--json")
        assert status.returncode == 1
        assert json.loads(status.stdout)["processes"] == []
        managed = instance.run("manage", "check")
        assert managed.returncode == 1
        assert "cloister up" in last_line(managed)
    finally:
        instance.up()


def test_ctrl_c_stops_an_instance_in_the_foreground(tmp_path: Path) -> None:
    instance = Instance(Home(tmp_path / "home"))
    process = subprocess.Popen(
        instance.command("up", "--port", str(instance.port), "--no-demo"),
        env=instance.full_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        assert any(f"http://localhost:{instance.port}/" in line for line in said), said
        os.killpg(process.pid, 2)
        assert "Stopped." in process.communicate(timeout=90)[0]
        assert process.returncode == 0
        assert instance.remains() == []
    finally:
        process.kill()
        process.wait()
        instance.down()


def test_stopping_it_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    instance = Instance(Home(tmp_path / "home"))
    process = subprocess.Popen(
        instance.command("up", "--detach", "--port", str(instance.port), "--no-demo"),
        env=instance.full_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Starting" in line:
            break
    instance.down()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert instance.remains() == []
