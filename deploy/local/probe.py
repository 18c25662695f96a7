"""The one thing the launcher asks over HTTP: does this address answer, and what."""

from __future__ import annotations

import http.client


def get(host: str, port: int, path: str, seconds: float = 2.0) -> tuple[int, str]:
    """Status and body of a GET; status 0 when nothing answers in time."""
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", path, headers={"User-Agent": "cloister-launcher"})
        response = connection.getresponse()
        return response.status, response.read(10_000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
