"""Reading the environment."""

from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parents[2]
env = environ.Env()


def required(name: str) -> str:
    """The value of an environment variable that has no safe default. Raises ImproperlyConfigured."""
    value: str = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(
            f"The environment variable {name} is not set. Set it, or start Cloister with ./cloister up, which does."
        )
    return value
