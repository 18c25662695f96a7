"""The parts below the portal (database, cache and queue, embedding node): embedded, or given by the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from deploy.local import ports
from deploy.local.errors import LauncherError
from deploy.local.front import Bouncer, Front, installed
from deploy.local.home import Home
from deploy.local.install import Installation
from deploy.local.machine import require_avx2, require_linux
from deploy.local.postgres import Postgres, embedded_postgres
from deploy.local.probe import get
from deploy.local.service import Service
from deploy.local.standby import Standby
from deploy.local.valkey import Valkey, embedded_valkey

# The bundled model (its vectors have 384 dimensions); production names its own beside OLLAMA_URLS.
EMBEDDED_MODEL = {"EMBEDDING_MODEL": "multilingual-e5-small", "EMBEDDING_DIMENSIONS": "384"}

# One numerical thread a process: more of them fight over two cores, and idle ones cost memory.
NUMERICAL_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# Behind nginx, where it is installed beside replicas.
WEB_SERVERS = ("gunicorn", "gunicorn-2")

# Variables of the caller that would make the portal's Python another one.
FOREIGN = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Given:
    """The addresses that the environment gives, and the model there; an empty address means: use the embedded part."""

    database_url: str
    redis_url: str
    broker_url: str
    ollama_urls: str
    embedding_model: str = ""
    embedding_dimensions: str = ""

    @property
    def embedded(self) -> list[str]:
        """The parts that the launcher itself runs."""
        addresses = {"postgres": self.database_url, "valkey": self.redis_url, "embedding": self.ollama_urls}
        return [name for name, address in addresses.items() if not address]


def given_by_environment(environment: Mapping[str, str] = os.environ) -> Given:
    """Read what is given. A queue without its own address lives in the next database of the given cache server."""
    redis_url = environment.get("REDIS_URL", "").strip()
    broker_url = environment.get("CELERY_BROKER_URL", "").strip()
    return Given(
        database_url=environment.get("DATABASE_URL", "").strip(),
        redis_url=redis_url,
        broker_url=broker_url or (_next_database(redis_url) if redis_url else ""),
        ollama_urls=environment.get("OLLAMA_URLS", "").strip(),
        embedding_model=environment.get("EMBEDDING_MODEL", "").strip(),
        embedding_dimensions=environment.get("EMBEDDING_DIMENSIONS", "").strip(),
    )


def require_reachable(given: Given) -> None:
    """Raises LauncherError naming the first given address at which nothing answers."""
    addresses = [("DATABASE_URL", given.database_url, 5432), ("REDIS_URL", given.redis_url, 6379)]
    if given.broker_url:
        addresses.append(("CELERY_BROKER_URL", given.broker_url, 6379))
    for name, address, default_port in addresses:
        if address:
            host, port = _endpoint(name, address, default_port)
            if host and not ports.answers(host, port):
                raise LauncherError(
                    f"nothing answers at {host}:{port}, which {name} names: start that server, or unset {name} to use "
                    "the embedded one."
                )
    nodes = [address for address in given.ollama_urls.split(",") if address.strip()]
    if nodes and not any(ports.answers(*_endpoint("OLLAMA_URLS", node.strip(), 11434)) for node in nodes):
        raise LauncherError(
            "no embedding node answers at the addresses in OLLAMA_URLS: start one, or unset OLLAMA_URLS to use the "
            "embedded model."
        )


@dataclass(frozen=True)
class Stack:
    """What the portal stands on, and the environment in which every process of the portal runs."""

    home: Home
    installation: Installation
    given: Given
    secrets: Mapping[str, str]
    postgres: Postgres | None
    valkey: Valkey | None
    embedding: Service | None
    second_embedding: Service | None = None
    replicas: tuple[Standby, ...] = ()
    front: Front = field(default_factory=Front)

    @property
    def embeddings(self) -> list[Service]:
        """The embedding nodes."""
        return [one for one in (self.embedding, self.second_embedding) if one]

    def services(self) -> list[Service]:
        """The embedded services, the databases excepted, which must be initialised first."""
        services = [self.valkey.service()] if self.valkey else []
        return services + self.embeddings

    def environment(self) -> dict[str, str]:
        """The caller's environment, with everything that the settings of the portal ask for."""
        home = self.home
        environment = _clean_environment()
        for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "DEMO_PASSWORD"):
            environment.setdefault(name, self.secrets[name])
        hosts = environment.get("ALLOWED_HOSTS") or "localhost,127.0.0.1,[::1]"
        if "127.0.0.1" not in hosts.split(","):
            # The launcher asks after the portal's health under this name.
            hosts += ",127.0.0.1"
        address = environment.get("BIND_ADDRESS") or "127.0.0.1"
        environment |= {
            "DATABASE_URL": self.postgres.url if self.postgres else self.given.database_url,
            "REDIS_URL": self.valkey.url(0) if self.valkey else self.given.redis_url,
            "CELERY_BROKER_URL": self.given.broker_url or (self.valkey.url(1) if self.valkey else ""),
            "OLLAMA_URLS": ",".join(f"http://127.0.0.1:{one.port}" for one in self.embeddings)
            or self.given.ollama_urls,
            "ALLOWED_HOSTS": hosts,
            "BIND_ADDRESS": address,
            "AUDIT_SPOOL": str(home.path / "audit"),
            "MEDIA_ROOT": str(home.media),
            "STATIC_ROOT": str(home.static),
            "CLOISTER_HOME": str(home.path),
            "PROMETHEUS_MULTIPROC_DIR": str(home.metrics),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PYTHONUNBUFFERED": "1",
            **(EMBEDDED_MODEL if self.embedding else self._given_model()),
            **NUMERICAL_THREADS,
        }
        if self.replicas:
            environment["DATABASE_REPLICA_URLS"] = ",".join(one.url for one in self.replicas)
        if is_loopback(address):
            # Plain HTTP that never leaves this machine: a cookie marked Secure would not come back.
            environment.setdefault("INSECURE_COOKIES", "1")
        return environment

    def _given_model(self) -> dict[str, str]:
        """The model on the given nodes, as far as it is named; the settings know the usual one."""
        named = {
            "EMBEDDING_MODEL": self.given.embedding_model,
            "EMBEDDING_DIMENSIONS": self.given.embedding_dimensions,
        }
        return {name: value for name, value in named.items() if value}


def is_loopback(address: str) -> bool:
    """Whether servers bound to this address are reached from this machine only."""
    return address in ("localhost", "::1") or address.startswith("127.")


def require_machine(given: Given) -> None:
    """Raises LauncherError when this machine cannot run the parts that are not given."""
    if "postgres" in given.embedded or "valkey" in given.embedded:
        require_linux()
    if "postgres" in given.embedded:
        require_avx2()


def make_stack(home: Home, installation: Installation, given: Given, *, running: bool, replicas: int = 0) -> Stack:
    """Plan the parts below the portal; nothing is started. The packages are installed.

    With `running`, the parts run already and their ports are what they are; else free ports are chosen. Beside
    replicas, which follow the embedded database, there are two embedding nodes. Raises LauncherError where there is no
    database to follow.
    """
    secrets = home.secrets()
    embedded = given.embedded
    numbers = range(1, replicas + 1)
    if replicas and "postgres" not in embedded:
        raise LauncherError(
            "--replicas starts replicas of the embedded database, and DATABASE_URL names another one: give their "
            "addresses in DATABASE_REPLICA_URLS, or unset DATABASE_URL."
        )
    names = [*embedded, *(f"replica-{number}" for number in numbers)]
    names += ["embedding-2"] if replicas and "embedding" in embedded else []
    # Before what runs already stands what stood there at its start.
    nginx = installed("nginx") if replicas and not running else None
    pgbouncer = installed("pgbouncer") if replicas and not running else None
    names += [*(WEB_SERVERS if nginx else ()), *(["pgbouncer"] if pgbouncer else [])]
    chosen = home.read_ports() if running else _choose_ports(home, names)
    packages = installation.packages()
    postgres = embedded_postgres(home, packages, chosen["postgres"], secrets) if "postgres" in embedded else None
    return Stack(
        home=home,
        installation=installation,
        given=given,
        secrets=secrets,
        postgres=postgres,
        valkey=embedded_valkey(home, packages, chosen["valkey"], secrets) if "valkey" in embedded else None,
        embedding=_embedding(home, installation, "embedding", chosen) if "embedding" in embedded else None,
        second_embedding=_embedding(home, installation, "embedding-2", chosen) if "embedding-2" in names else None,
        replicas=tuple(Standby(postgres, number, chosen[f"replica-{number}"]) for number in numbers if postgres),
        front=Front(
            nginx,
            _bouncer(postgres, pgbouncer, chosen, replicas) if postgres and pgbouncer else None,
            tuple(chosen[name] for name in WEB_SERVERS) if nginx else (),
        ),
    )


def _bouncer(primary: Postgres, program: Path, chosen: Mapping[str, int], replicas: int) -> Bouncer:
    databases = {"cloister": primary.port}
    databases |= {f"cloister_replica_{number}": chosen[f"replica-{number}"] for number in range(1, replicas + 1)}
    return Bouncer(primary, program, chosen["pgbouncer"], databases)


def _choose_ports(home: Home, names: list[str]) -> dict[str, int]:
    remembered = home.read_ports()
    chosen: dict[str, int] = {}
    for name in names:
        chosen[name] = ports.choose(remembered.get(name), chosen.values())
    if remembered | chosen != remembered:
        home.write_ports(remembered | chosen)
    return chosen


def _embedding(home: Home, installation: Installation, name: str, ports_chosen: Mapping[str, int]) -> Service:
    port = ports_chosen[name]
    return Service(
        name=name,
        command=(
            *(str(installation.python), "-m", "deploy.local.embedding_server"),
            *("--port", str(port), "--cache", str(home.models)),
        ),
        environment=_clean_environment() | NUMERICAL_THREADS | {"PYTHONUNBUFFERED": "1"},
        ready=lambda: get("127.0.0.1", port, "/api/version")[0] == 200,
        port=port,
    )


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


def _next_database(url: str) -> str:
    parts = urlsplit(url)
    number = parts.path.strip("/")
    return parts._replace(path=f"/{(int(number) if number.isdigit() else 0) + 1}").geturl()


def _endpoint(name: str, address: str, default_port: int) -> tuple[str, int]:
    """Host and port of an address; host '' for one that names a socket file."""
    try:
        parts: SplitResult = urlsplit(address)
        port = parts.port or default_port
    except ValueError as error:
        raise LauncherError(f"{name} is not an address ({error}): correct it.") from error
    if not parts.scheme or "://" not in address:
        raise LauncherError(f"{name} is not an address such as scheme://host:port/name: correct it.")
    return parts.hostname or "", port
