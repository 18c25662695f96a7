"""Log lines: one JSON object each, so that nothing that a user sent can forge a second line."""

import json
import logging
from datetime import UTC, datetime


class RequestIdFilter(logging.Filter):
    """Adds the id of the request to each line."""

    def filter(self, record: logging.LogRecord) -> bool:
        from portal.middleware import request_id

        # Django writes of a refused request when its answer has left the middleware already.
        record.request_id = request_id.get() or getattr(getattr(record, "request", None), "request_id", "")
        return True


def _refusal(record: logging.LogRecord) -> bool:
    """Whether the line is about a request that was refused as it should be: that is no fault, and has no traceback."""
    return record.name == "django.request" and getattr(record, "status_code", 500) < 500


class JsonFormatter(logging.Formatter):
    """Time, level, logger, event, request id, and the traceback of a fault."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if current := getattr(record, "request_id", ""):
            line["request_id"] = current
        if record.exc_info and not _refusal(record):
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)
