"""What the launcher says: to the person in front of it and to its own log."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import TextIO


class Console:
    """Lines for a person, kept in a log with the time as well. A reader that has gone away is no error."""

    def __init__(self, log: Path | None, stream: TextIO | None = None) -> None:
        self._log = log
        self._stream: TextIO | None = stream or sys.stdout

    def say(self, line: str) -> None:
        """Show one line and log it."""
        self.note(line)
        if self._stream is not None:
            try:
                print(line, file=self._stream, flush=True)
            except OSError:
                # The terminal, or the launcher that waits for a detached supervisor, is gone.
                self._stream = None

    def note(self, line: str) -> None:
        """Log one line without showing it."""
        if self._log is not None:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            # On a full disk there is still the person to tell.
            with contextlib.suppress(OSError), self._log.open("a", encoding="utf-8") as stream:
                stream.write(f"{stamp} {line}\n")

    def mute(self) -> None:
        """Show nothing from now on; the log goes on."""
        self._stream = None


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log file, empty when there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - lines * 400))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
