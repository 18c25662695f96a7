"""TCP ports on this machine."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Iterable

# Below the range that Linux hands out by itself (32768 up), so that an outgoing connection never sits on one.
CHOICES = range(20000, 30000)


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now. Raises OSError when the address is not this machine's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def choose(remembered: int | None, taken: Iterable[int]) -> int:
    """The remembered port if it is free, else a free one by chance, so that two instances starting together differ."""
    excluded = set(taken)
    if remembered is not None and remembered not in excluded and is_free(remembered):
        return remembered
    while True:
        port = secrets.choice(CHOICES)
        if port not in excluded and is_free(port):
            return port


def answers(host: str, port: int, seconds: float = 3.0) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False
