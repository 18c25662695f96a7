"""The launcher with a replica, run for real: who serves, what `status` says, and what a stop leaves."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest

from deploy.local.front import installed
from deploy.local.home import Home
from deploy.local.install import Installation
from deploy.local.postgres import embedded_postgres
from deploy.tests.launcher_runs import Instance, eventually, last_line


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A running instance with one replica."""
    instance = Instance(Home(tmp_path_factory.mktemp("replicas") / "a home"))
    instance.up("--replicas", "1")
    yield instance
    instance.down()


def asked(instance: Instance, statement: str, name: str = "postgres") -> str:
    """What a database of the instance answers."""
    packages, ports = Installation().packages(), instance.home.read_ports()
    primary = embedded_postgres(instance.home, packages, ports["postgres"], instance.home.secrets())
    done = primary.run_sql(statement, port=ports[name])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def served_by_replica(instance: Instance) -> float:
    """How many searches the replica has read."""
    port = instance.process("gunicorn")["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(one.split()[-1]) for one in lines if one.startswith('search_database_total{database="replica_1"'))


def search(instance: Instance) -> int:
    """The status of a search through whatever stands in front."""
    address = f"http://127.0.0.1:{instance.port}/api/v1/search/?q=fees&mode=keyword"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return int(answer.status)


def test_status_says_who_follows_whom(instance: Instance) -> None:
    described = {one["name"]: one for one in instance.status()["processes"]}
    assert described["postgres"]["role"] == "primary"
    assert described["replica-1"]["role"] == "replica"
    assert described["replica-1"]["replication"] == {"state": "streaming", "lag_bytes": 0, "lag_seconds": 0.0}
    assert {"embedding", "embedding-2"} <= described.keys()
    assert ("nginx" in described and "gunicorn-2" in described) == (installed("nginx") is not None)
    assert ("pgbouncer" in described) == (installed("pgbouncer") is not None)
    assert "replica, streaming" in instance.run("status").stdout


def test_searches_are_read_from_the_replica(instance: Instance) -> None:
    assert [search(instance) for _ in range(10)] == [200] * 10
    assert served_by_replica(instance) > 0


def test_replicas_of_a_database_that_is_given_are_refused(instance: Instance) -> None:
    port = instance.home.read_ports()["postgres"]
    other = Instance(
        Home(instance.home.path / "other"), environment={"DATABASE_URL": f"postgres://a:b@127.0.0.1:{port}/c"}
    )
    done = other.run("up", "--detach", "--replicas", "1", "--port", str(other.port))
    assert done.returncode == 1
    assert "DATABASE_REPLICA_URLS" in last_line(done)
    done = other.run("up", "--replicas", "many")
    assert done.returncode != 0
    assert "0 to 4" in done.stderr


def test_no_password_of_the_replication_stands_in_a_command_line(instance: Instance) -> None:
    process = instance.process("replica-1")
    with open(f"/proc/{process['pid']}/cmdline", "rb") as file:
        line = file.read()
    assert b"cloister_replication" in line
    assert instance.home.secrets()["POSTGRES_REPLICATION_PASSWORD"].encode() not in line


def test_the_replica_survives_a_stop_and_without_it_no_log_is_kept(instance: Instance) -> None:
    slots = "SELECT slot_name, active, wal_status FROM pg_replication_slots"
    identifier = "SELECT system_identifier FROM pg_control_system()"
    assert asked(instance, slots) == "replica_1|t|reserved"
    before = asked(instance, identifier, "replica-1")
    copied = (instance.home.replica(1) / "backup_label.old").stat().st_mtime
    instance.down()
    assert not instance.remains()
    instance.up("--replicas", "1")
    assert asked(instance, identifier, "replica-1") == before
    assert (instance.home.replica(1) / "backup_label.old").stat().st_mtime == copied
    assert eventually(lambda: instance.process("replica-1")["replication"]["state"] == "streaming", 30)
    instance.down()
    instance.up()
    assert asked(instance, slots) == ""
    assert "role" not in instance.process("postgres")
