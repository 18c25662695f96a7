"""Reading the environment, and files that it names: NAME_FILE=/run/secrets/name stands for NAME.

A password in a file is not in `docker inspect`, in /proc/PID/environ, or in what a child process inherits.
"""

import os
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

BASE_DIR = Path(__file__).resolve().parents[2]


class Surroundings(FileAwareMapping):
    """The environment; a name that is not in it is read from the file that NAME_FILE names.

    Raises ImproperlyConfigured where both are set, which says two things at once, or where the file cannot be read.
    """

    def __getitem__(self, key: str) -> str:
        file = self.env.get(f"{key}_FILE")
        if file and key in self.env:
            raise ImproperlyConfigured(f"Both {key} and {key}_FILE are set. Set one of them.")
        try:
            # Editors and `echo` end a file with a line feed, which is no part of a secret.
            return str(super().__getitem__(key)).rstrip("\r\n") if file else str(self.env[key])
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"{key}_FILE names {file}, which cannot be read: {error}.") from error


class Environment(environ.Env):
    """How settings are read."""

    ENVIRON = Surroundings(os.environ)


env = Environment()


def required(name: str) -> str:
    """The value of an environment variable that has no safe default. Raises ImproperlyConfigured."""
    value: str = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(
            f"The environment variable {name} is not set. Set it or {name}_FILE, or start Cloister with ./cloister up, "
            "which does."
        )
    return value
