"""PgBouncer itself with the configuration of deploy/pgbouncer, between the portal's settings and a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.account import database_account
from deploy.local.home import ROOT, Home
from deploy.local.replicating import Cluster, replicating
from deploy.tests.launcher_runs import eventually, free_port

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
CONFIGURATION = ROOT / "deploy" / "pgbouncer" / "pgbouncer.ini"

pytestmark = pytest.mark.skipif(not Path(PROGRAM).exists(), reason="PgBouncer is not installed")

# A web process: its settings, and what it does with databases. Prints what it found.
PROCESS = """
import concurrent.futures, django
django.setup()
from django.db import OperationalError, connection, connections, transaction

def ask(number):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '7MB'")
        cursor.execute("SELECT pg_backend_pid(), current_setting('work_mem'), %s", [number])
        found = cursor.fetchone()
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('work_mem')")
        after = cursor.fetchone()[0]
    connection.close()
    return found, after

with concurrent.futures.ThreadPoolExecutor(40) as pool:
    found = list(pool.map(ask, range(400)))
assert [one[0][2] for one in found] == list(range(400))
assert {one[0][1] for one in found} == {"7MB"}, "what a transaction sets holds in it"
assert {one[1] for one in found} == {"16MB"}, "and is gone after it"
print("servers", len({one[0][0] for one in found}))
with connection.cursor() as cursor:
    cursor.execute("SELECT current_setting('statement_timeout'), pg_is_in_recovery()")
    print("primary", *cursor.fetchone())
with connections["replica_1"].cursor() as cursor:
    cursor.execute("SELECT current_setting('statement_timeout'), pg_is_in_recovery()")
    print("replica", *cursor.fetchone())
with transaction.atomic(), connection.cursor() as cursor:
    cursor.execute("CREATE TEMP TABLE t ON COMMIT DROP AS SELECT generate_series(1, 3000) AS n")
    cursor.execute("SELECT sum(n) FROM t")
    print("sum", cursor.fetchone()[0])
"""


@pytest.fixture(scope="module")
def bouncer() -> Iterator[tuple[Cluster, int]]:
    """A primary and a replica, and PgBouncer in front of both on this port."""
    folder = Path(tempfile.mkdtemp(prefix="cloister-pgbouncer-"))
    folder.chmod(0o711)
    try:
        with replicating(Home(folder / "home"), 1) as cluster:
            port = free_port()
            places = folder / "bouncer"
            places.mkdir()
            _placed(cluster, places, port)
            account = database_account(places)
            if account is not None:
                for path in (places, *places.iterdir()):
                    os.chown(path, account.uid, account.gid)
            process = subprocess.Popen(
                [PROGRAM, str(places / "pgbouncer.ini")],
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                stderr=subprocess.DEVNULL,
            )
            try:
                assert eventually(lambda: _listens(port), 20), (places / "log").read_text()
                yield cluster, port
            finally:
                process.terminate()
                process.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _placed(cluster: Cluster, places: Path, port: int) -> None:
    """The file as it is, but for its places."""
    text = CONFIGURATION.read_text()
    primary, replica = f"port={cluster.primary.port}", f"port={cluster.replicas[0].port}"
    for there, here in {
        "host=primary.internal   port=5432": f"host=127.0.0.1 {primary}",
        "host=replica1.internal  port=5432": f"host=127.0.0.1 {replica}",
        "host=replica2.internal  port=5432": f"host=127.0.0.1 {replica}",
        "listen_port = 6432": f"listen_port = {port}",
        "/etc/pgbouncer/userlist.txt": str(places / "userlist.txt"),
        "/run/postgresql/pgbouncer.pid": str(places / "pid"),
        "/var/log/postgresql/pgbouncer.log": str(places / "log"),
    }.items():
        assert there in text, there
        text = text.replace(there, here)
    (places / "pgbouncer.ini").write_text(text)
    (places / "userlist.txt").write_text(f'"cloister" "{cluster.primary.secrets["POSTGRES_PASSWORD"]}"\n')


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_forty_threads_share_ten_connections_and_leave_nothing_behind(bouncer: tuple[Cluster, int]) -> None:
    cluster, port = bouncer
    address = f"postgres://cloister:{cluster.primary.secrets['POSTGRES_PASSWORD']}@127.0.0.1:{port}"
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": f"{address}/cloister",
            "DATABASE_REPLICA_URLS": f"{address}/cloister_replica_1",
            "DATABASE_POOL_SIZE": "0",
            "DATABASE_STATEMENT_SECONDS": "25",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert 1 <= int(said["servers"]) <= 10
    assert said["primary"] == "25s False"
    assert said["replica"] == "25s True"
    assert said["sum"] == str(3000 * 3001 // 2)
