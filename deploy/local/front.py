"""What stands before the web servers and the databases beside replicas, where it is installed: nginx and PgBouncer."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

from deploy.local import ports
from deploy.local.errors import LauncherError
from deploy.local.home import ROOT, Home
from deploy.local.postgres import Postgres
from deploy.local.process import Account
from deploy.local.service import Service

# Where Debian puts servers, which an ordinary user's PATH may lack.
PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
ENVIRONMENT = {"PATH": os.defpath, "LANG": "C", "TZ": "UTC"}

NGINX = """
worker_processes 2;
error_log stderr warn;
pid "{run}/nginx-own.pid";
{user}
events {{ worker_connections 1024; }}
http {{
    map "" $cloister_static {{ default "{static}"; }}
    map "" $cloister_pages {{ default "{pages}"; }}
    map "" $cloister_maintenance {{ default "{run}/maintenance.on"; }}
    include "{pages}/http.conf";
    access_log off;
    client_body_temp_path "{run}/nginx-body";
    proxy_temp_path "{run}/nginx-proxy";
    fastcgi_temp_path "{run}/nginx-fastcgi";
    uwsgi_temp_path "{run}/nginx-uwsgi";
    scgi_temp_path "{run}/nginx-scgi";
    upstream cloister {{
        zone cloister 64k;
        least_conn;
        {servers}
        keepalive 16;
        keepalive_timeout 4s;
    }}
    server {{
        listen {address}:{port};
        include "{pages}/locations.conf";
    }}
}}
"""


def installed(program: str) -> Path | None:
    """Where this program is; None where it is not installed."""
    found = shutil.which(program, path=PLACES)
    return Path(found) if found else None


@dataclass(frozen=True)
class Nginx:
    """nginx before several web servers of this machine, by plain HTTP."""

    home: Home
    program: Path
    address: str
    port: int
    servers: tuple[int, ...]

    def service(self, ready: Callable[[], bool]) -> Service:
        """How to run it; `ready` asks the portal through it."""
        return Service(
            name="nginx",
            command=(
                str(self.program),
                "-p",
                str(self.home.run),
                "-c",
                str(self._file),
                "-g",
                "daemon off;",
                "-e",
                "stderr",
            ),
            environment=ENVIRONMENT,
            ready=ready,
            port=self.port,
            stop_signal=signal.SIGQUIT,
            hurry_signal=signal.SIGTERM,
            before_start=self._write,
        )

    @property
    def _file(self) -> Path:
        return self.home.run / "nginx.conf"

    def _write(self) -> None:
        self._file.write_text(
            NGINX.format(
                run=self.home.run,
                static=self.home.static,
                pages=ROOT / "deploy" / "nginx",
                # As all of the portal here; the folders are closed to others.
                user="user root;" if os.geteuid() == 0 else "",
                servers=" ".join(f"server 127.0.0.1:{one} max_fails=3 fail_timeout=10s;" for one in self.servers),
                address=f"[{self.address}]" if ":" in self.address else self.address,
                port=self.port,
            ),
            encoding="utf-8",
        )


@dataclass(frozen=True)
class Bouncer:
    """PgBouncer between the web servers and the databases, all on this machine."""

    primary: Postgres
    program: Path
    port: int
    databases: dict[str, int]
    """Its names for the databases, and the ports of the servers."""

    @property
    def folder(self) -> Path:
        return self.primary.home.path / "pgbouncer"

    @property
    def account(self) -> Account | None:
        """It refuses to run as root, as the databases do, and so runs as their user, who can reach the home."""
        return self.primary.account

    @property
    def password(self) -> str:
        return self.primary.secrets["POSTGRES_PASSWORD"]

    def url(self, name: str) -> str:
        """The address of one of the databases."""
        return f"postgres://cloister:{self.password}@127.0.0.1:{self.port}/{name}"

    def service(self) -> Service:
        """How to run it."""
        return Service(
            name="pgbouncer",
            command=(str(self.program), str(self.folder / "pgbouncer.ini")),
            environment=ENVIRONMENT,
            ready=lambda: ports.answers("127.0.0.1", self.port, 1.0),
            port=self.port,
            account=self.account,
            stop_signal=signal.SIGINT,
            before_start=self._write,
        )

    def _write(self) -> None:
        """The production's file, with this machine's places."""
        parser = ConfigParser(interpolation=None)
        parser.read(ROOT / "deploy" / "pgbouncer" / "pgbouncer.ini", encoding="utf-8")
        settings = parser["pgbouncer"]
        if not settings:
            raise LauncherError("deploy/pgbouncer/pgbouncer.ini is missing: restore it from the repository.")
        web = "connect_query='SET statement_timeout = 25000'"
        parser["databases"] = {
            name: f"host=127.0.0.1 port={port} dbname=cloister {web}" for name, port in self.databases.items()
        }
        # It logs to standard error as well, and so into our own log.
        for name in ("logfile", "pidfile"):
            del settings[name]
        settings["listen_port"] = str(self.port)
        settings["auth_file"] = str(self.folder / "userlist.txt")
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for path in (self.folder / "pgbouncer.ini", self.folder / "userlist.txt"):
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
        with (self.folder / "pgbouncer.ini").open("w", encoding="utf-8") as file:
            parser.write(file)
        (self.folder / "userlist.txt").write_text(f'"cloister" "{self.password}"\n', encoding="ascii")
        if self.account is not None:
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, self.account.uid, self.account.gid)


@dataclass(frozen=True)
class Front:
    """What is installed of both, and the ports of the web servers behind nginx."""

    nginx: Path | None = None
    bouncer: Bouncer | None = None
    web_ports: tuple[int, ...] = ()
