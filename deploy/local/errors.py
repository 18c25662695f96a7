"""The one error that the launcher shows to a person."""

from __future__ import annotations


class LauncherError(Exception):
    """Something that the reader can mend.

    The message is one line that says what is wrong and what to do. `log` is the tail of a log that explains it, shown
    above the message.
    """

    def __init__(self, message: str, *, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class StopRequested(Exception):
    """Somebody asked this process to stop (Ctrl-C, SIGTERM, `cloister down`)."""
