"""Where an instance keeps its state: the folder CLOISTER_HOME, and its secrets in it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.errors import LauncherError

ROOT = Path(__file__).resolve().parents[2]

# Short, unlike each other when spoken, and easy to type on any keyboard: about 130, so four of them hold 28 bits.
_WORD_LIST = """
abbey acorn amber anchor apple april arch arrow aspen atlas autumn badge bamboo barley basil beacon birch bison
bonnet bridge bronze candle canoe canyon castle cedar cello chalk cherry cider clover cobalt comet copper coral
cotton crane cricket dahlia daisy delta dragon drum eagle ember falcon fern fiddle flint forest fossil garden
ginger glacier granite grove harbour hazel heron honey indigo island ivory jasmine juniper kestrel kettle lagoon
lantern laurel lemon lily linen lotus magnet maple marble meadow melon mint mirror nectar nutmeg oak oasis olive
opal orchid otter paper parrot pebble pepper pine planet plum pond prism quartz quill rabbit raven reef ribbon
river robin saddle saffron sail salmon silver sparrow spruce starling summit sunset tulip tunnel turtle valley
velvet violet walnut willow winter wren yarrow zebra zephyr
"""
WORDS = tuple(_WORD_LIST.split())

# A log larger than this is set aside when its service starts.
LOG_ROTATION_BYTES = 10_000_000


@dataclass(frozen=True)
class Home:
    """The folder of one instance. Two instances have two homes and share nothing but the code and `.venv`."""

    path: Path

    @property
    def secrets_file(self) -> Path:
        return self.path / "secrets.env"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    def replica(self, number: int) -> Path:
        """The data of a replica, counted from 1; made anew from the primary where it is lost."""
        return self.path / f"replica-{number}"

    @property
    def valkey(self) -> Path:
        return self.path / "valkey"

    @property
    def media(self) -> Path:
        return self.path / "media"

    @property
    def models(self) -> Path:
        """What the embedding server makes from the model's weights, to start faster the next time."""
        return self.path / "models"

    @property
    def static(self) -> Path:
        return self.path / "static"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def state_file(self) -> Path:
        return self.run / "state.json"

    @property
    def ports_file(self) -> Path:
        return self.path / "ports.json"

    @property
    def static_marker(self) -> Path:
        """Which static files were collected last."""
        return self.path / "static-collected"

    @property
    def demo_marker(self) -> Path:
        return self.path / "demo-loaded"

    def log(self, name: str) -> Path:
        """The log file of one service or step."""
        return self.logs / f"{name}.log"

    def create(self) -> None:
        """Make the folder and what belongs in it, closed to other users.

        The folder itself can be passed through (0711), because the database below it may run as another user. Raises
        LauncherError when it cannot be made or written.
        """
        try:
            self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            for folder in (self.valkey, self.media, self.models, self.run, self.logs, self.metrics):
                folder.mkdir(mode=0o700, exist_ok=True)
            self.static.mkdir(mode=0o755, exist_ok=True)
        except OSError as error:
            raise LauncherError(
                f"{self.path} cannot be written ({error.strerror}): set CLOISTER_HOME to a folder that you own."
            ) from error
        for folder in (self.path, self.run, self.logs):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise LauncherError(
                    f"{folder} belongs to another user: run this command as that user, or set CLOISTER_HOME to a "
                    "folder that you own."
                )

    def wipe_metrics(self) -> None:
        """Empty the metrics folder: files of processes that are gone would be counted for ever."""
        shutil.rmtree(self.metrics, ignore_errors=True)
        self.metrics.mkdir(mode=0o700, exist_ok=True)

    def rotate_log(self, name: str) -> None:
        """Set a big log aside as NAME.log.1, replacing the one before."""
        log = self.log(name)
        if log.exists() and log.stat().st_size > LOG_ROTATION_BYTES:
            log.replace(log.with_name(log.name + ".1"))

    def secrets(self) -> dict[str, str]:
        """The secrets of this instance, made at the first call and the same ever after.

        Raises LauncherError when the file is damaged or belongs to somebody else.
        """
        made = {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "JWT_SIGNING_KEY": secrets.token_urlsafe(48),
            "POSTGRES_SUPERUSER_PASSWORD": secrets.token_urlsafe(24),
            "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
            "POSTGRES_REPLICATION_PASSWORD": secrets.token_urlsafe(24),
            "VALKEY_PASSWORD": secrets.token_urlsafe(24),
            "DEMO_PASSWORD": "-".join(secrets.choice(WORDS) for _ in range(4)),
        }
        found = self._read_secrets()
        if made.keys() <= found.keys():
            return found
        merged = made | found
        text = "".join(f"{name}={value}\n" for name, value in merged.items())
        _write_privately(self.secrets_file, text)
        return merged

    def _read_secrets(self) -> dict[str, str]:
        try:
            lines = self.secrets_file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise LauncherError(
                f"{self.secrets_file} cannot be read ({error.strerror}): run this command as the user who made it."
            ) from error
        pairs = [line.partition("=") for line in lines if line.strip() and not line.startswith("#")]
        if not all(separator and value for _, separator, value in pairs):
            raise LauncherError(f"{self.secrets_file} is damaged: restore it, its lines read NAME=value.")
        return {name: value for name, _, value in pairs}

    def read_state(self) -> dict[str, Any]:
        """What the supervisor last wrote about itself; empty when nothing ran, or it stopped properly."""
        return read_json(self.state_file)

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the state in one step, so that a reader never sees half of it."""
        _write_privately(self.state_file, json.dumps(state))

    def read_ports(self) -> dict[str, int]:
        """The ports chosen for the embedded parts at an earlier start."""
        return read_json(self.ports_file)

    def write_ports(self, ports: dict[str, int]) -> None:
        """Remember the ports, so that addresses stay the same from start to start."""
        _write_privately(self.ports_file, json.dumps(ports))


def home_from_environment() -> Home:
    """The home that CLOISTER_HOME names, else `var/` beside the launcher."""
    return Home(Path(os.environ.get("CLOISTER_HOME") or ROOT / "var").expanduser().resolve())


def _write_privately(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}
