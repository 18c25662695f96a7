"""The one error that the launcher shows to a person."""

from __future__ import annotations

import errno


class LauncherError(Exception):
    """Something that the reader can mend.

    The message is one line that says what is wrong and what to do. `log` is the tail of a log that explains it, shown
    above the message.
    """

    def __init__(self, message: str, *, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class StepFailed(LauncherError):
    """A command that the launcher ran to its end failed."""


class StopRequested(Exception):
    """Somebody asked this process to stop (Ctrl-C, SIGTERM, `cloister down`)."""


def explain(error: Exception) -> str:
    """Any failure as one line that says what is wrong and what to do."""
    if isinstance(error, LauncherError):
        return str(error)
    if not isinstance(error, OSError):
        return f"a defect of the launcher ({error!r}): run it again with CLOISTER_DEBUG=1 and report what it shows."
    where = f" ({error.filename})" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"no room is left on the disk{where}: make room, or set CLOISTER_HOME to a folder on another disk."
    return f"{error.strerror or error}{where}: mend that and try again (CLOISTER_DEBUG=1 shows where it happened)."
