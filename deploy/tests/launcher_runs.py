"""Real runs of `./cloister` for the launcher's tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local import ports
from deploy.local.home import ROOT, Home
from deploy.local.lock import lock_holder
from deploy.local.postgres import cluster_title
from deploy.local.process import MARKER, marked, titled

# A start from nothing on two very busy cores, seconds.
UP_SECONDS = 400

# What a run gets of our own environment. The tests themselves run beside a database, whose address must not reach it.
# The marker goes along, so that a test run that is killed takes the instances it started with it.
PASSED_ON = (MARKER, "PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")


def free_port() -> int:
    """A port on which nothing listens, outside the range from which the launcher chooses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment of a person at a fresh terminal, and `extra`."""
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return pip | {name: os.environ[name] for name in PASSED_ON if name in os.environ} | extra


@dataclass
class Instance:
    """One home and one port, driven through the command line only."""

    home: Home
    port: int = field(default_factory=free_port)
    launcher: Path = ROOT / "cloister"
    prefix: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    name_home: bool = True

    def command(self, *arguments: str) -> list[str]:
        """The command line of a run."""
        return [*self.prefix, str(self.launcher), *arguments]

    def run(self, *arguments: str, seconds: float = UP_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run the launcher to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.full_environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def full_environment(self) -> dict[str, str]:
        """The environment of a run."""
        named = {"CLOISTER_HOME": str(self.home.path)} if self.name_home else {}
        return clean_environment(**named, **self.environment)

    def up(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Start it in the background, without the demo, and fail the test if it does not start."""
        done = self.run("up", "--detach", "--port", str(self.port), "--no-demo", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def down(self) -> subprocess.CompletedProcess[str]:
        """Stop it, and fail the test if that fails."""
        done = self.run("down")
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def status(self) -> dict[str, Any]:
        """What `status --json` prints."""
        return dict(json.loads(self.run("status", "--json").stdout))

    def process(self, name: str) -> dict[str, Any]:
        """One process of `status --json`."""
        return next(one for one in self.status()["processes"] if one["name"] == name)

    def is_ready(self) -> bool:
        """Whether /health/ready answers 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def remains(self) -> list[str]:
        """What is left of it: processes, the lock, files of a run, ports still open."""
        found = [f"process {pid}" for pid in marked(str(self.home.path)) + titled(cluster_title(self.home))]
        if lock_holder(self.home) is not None:
            found.append("the lock is held")
        # What lasts: when each periodic task last ran, the configuration of Valkey, and nginx' and its folders.
        kept = ("beat-schedule", "valkey.conf", "nginx.conf", "nginx-body", "nginx-proxy", "nginx-fastcgi")
        kept += ("nginx-uwsgi", "nginx-scgi")
        found += [path.name for path in self.home.run.glob("*") if not path.name.startswith(kept)]
        found += [f"port {port}" for port in [self.port, *self.home.read_ports().values()] if not ports.is_free(port)]
        return found

    def kill(self, pid: int) -> None:
        """SIGKILL."""
        os.kill(pid, signal.SIGKILL)


def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds; False when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The closing words of a run that failed."""
    return done.stderr.strip().splitlines()[-1]


def copy_of_clone(target: Path) -> Path:
    """A copy of this clone at `target`, without a virtual environment; returns its launcher."""
    ignored = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, target, ignore=ignored, symlinks=True)
    return target / "cloister"
