"""`python -m deploy.image.alive`: ends with 0 while the web server of this container answers. For HEALTHCHECK."""

from __future__ import annotations

import os
import sys

from deploy.local.probe import get


def main() -> int:
    """Ask this container's own port, without the portal's code. 0: it answers; 1: it does not."""
    status, _ = get("127.0.0.1", int(os.environ.get("PORT", "8000")), "/health/live", seconds=4.0)
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
