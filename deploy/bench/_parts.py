"""The parts that a measurement stands on (database, cache, embedding node), where nobody has given them."""

from __future__ import annotations

import sys

from deploy.local.console import Console
from deploy.local.home import home_from_environment
from deploy.local.install import Installation
from deploy.local.stack import given_by_environment
from deploy.local.testing import run_with_own_parts


def missing() -> list[str]:
    """The parts that the environment does not give."""
    return given_by_environment().embedded


def again_with_parts(module: str) -> int:
    """Run this module again with the same arguments, the missing parts started for as long; its exit status."""
    home = home_from_environment()
    home.create()
    console = Console(home.log("cloister"), sys.stderr)
    console.say("Starting what this needs…")
    command = [sys.executable, "-m", module, *sys.argv[1:]]
    return run_with_own_parts(home, Installation(), console, command, {})
