"""What a browser may do with the portal's pages: the content security policy, and the features that are off."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from csp.constants import NONCE, NONE, SELF

if TYPE_CHECKING:
    from wsgiref.headers import Headers

UNUSED_FEATURES: dict[str, list[str]] = {
    feature: []
    for feature in (
        "accelerometer", "autoplay", "camera", "clipboard-read", "display-capture", "encrypted-media", "fullscreen",
        "geolocation", "gyroscope", "hid", "identity-credentials-get", "idle-detection", "magnetometer", "microphone",
        "midi", "payment", "picture-in-picture", "publickey-credentials-create", "publickey-credentials-get",
        "screen-wake-lock", "serial", "storage-access", "sync-xhr", "usb", "window-management", "xr-spatial-tracking",
    )
}  # fmt: skip
"""What browsers offer and no page here uses is off, so that injected markup could not use it either."""


PDF_WORKER = "pdf.worker.min"
"""What the name of the script begins with that reads PDFs in a process of its own (static/vendor/pdfjs)."""

PDF_WORKER_POLICY = "default-src 'none'; connect-src 'self'; script-src 'wasm-unsafe-eval'"
"""A worker has the policy of its own script. This one fetches from here, and runs no code but its own and the decoders
of pictures that it fetches (WebAssembly). No page may do that."""


def static_headers(headers: Headers, path: str, url: str) -> None:
    """What WhiteNoise sends with a static file: the policy of all pages, unless it has one of its own by now."""
    if url.rpartition("/")[2].startswith(PDF_WORKER):
        headers["Content-Security-Policy"] = PDF_WORKER_POLICY


def content_security_policy(*, form_targets: Iterable[str], tls: bool) -> dict[str, Any]:
    """The policy of every answer, as django-csp takes it.

    The admin and the page to try the API load their scripts by address (portal.admin, portal.urls); everywhere else a
    script runs only with the nonce of its answer. `form_targets` are addresses to whose origins the answer to a form
    may lead on: the university's provider, to sign out there or to be asked again; empty ones are left out.
    """
    origins = sorted({f"{one.scheme}://{one.netloc}" for one in map(urlsplit, filter(None, form_targets))})
    return {
        "DIRECTIVES": {
            "default-src": [NONE],
            "script-src": [NONCE],
            "style-src": [SELF],
            "img-src": [SELF, "data:"],
            "font-src": [SELF],
            "connect-src": [SELF],
            "form-action": [SELF, *origins],
            "frame-ancestors": [NONE],
            "base-uri": [NONE],
            "object-src": [NONE],
            # Strings become markup through static/trusted-types.js alone, and code never.
            "require-trusted-types-for": ["'script'"],
            "trusted-types": ["default"],
            "upgrade-insecure-requests": tls,
        }
    }
