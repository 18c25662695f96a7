"""What watches the stack in the drill of the alerts: Prometheus, Alertmanager, and where the alerts arrive."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deploy.drill._alerts_rules import quicker, routing_for, settings_for
from deploy.local.errors import LauncherError
from deploy.local.home import ROOT, Home
from deploy.local.ports import choose
from deploy.local.probe import get
from deploy.local.process import wait_until
from deploy.local.service import Running, Service

READY_SECONDS = 60.0


class Receiver:
    """A webhook: keeps what Alertmanager tells, in the order in which it came."""

    def __init__(self) -> None:
        self._told: list[tuple[float, dict[str, Any]]] = []
        receiver = self

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver._told += [(time.monotonic(), alert) for alert in said["alerts"]]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def told(self, name: str, status: str, since: float) -> dict[str, Any] | None:
        """The first alert of this name that arrived with this status after a moment of the monotonic clock."""
        for moment, alert in list(self._told):
            if moment >= since and alert["labels"]["alertname"] == name and alert["status"] == status:
                return {**alert, "arrived": moment}
        return None

    def names(self, since: float) -> set[str]:
        """Which alerts fired after that moment."""
        return {
            alert["labels"]["alertname"]
            for at, alert in list(self._told)
            if at >= since and alert["status"] == "firing"
        }

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def watching(home: Home, tools: dict[str, str], portal: int, *, low_share: float) -> Iterator[Receiver]:
    """Prometheus, which scrapes the portal at this port, and Alertmanager, which tells the receiver."""
    receiver = Receiver()
    alertmanager, prometheus = choose(None, ()), 0
    prometheus = choose(None, (alertmanager,))
    folder = home.path / "watch"
    for name in ("prometheus", "alertmanager"):
        (folder / name).mkdir(parents=True)
    rules, settings, routing = folder / "alerts.yml", folder / "prometheus.yml", folder / "alertmanager.yml"
    rules.write_text(quicker((ROOT / "deploy/prometheus/alerts.yml").read_text(), low_share=low_share))
    settings.write_text(settings_for(rules, portal, alertmanager))
    routing.write_text(routing_for((ROOT / "deploy/alertmanager/alertmanager.yml").read_text(), receiver.port))
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    services = [
        Service(
            name="alertmanager",
            command=(
                tools["prometheus-alertmanager"],
                f"--config.file={routing}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{alertmanager}",
                "--cluster.listen-address=",
            ),
            environment=environment,
            ready=lambda: get("127.0.0.1", alertmanager, "/-/ready")[0] == 200,
        ),
        Service(
            name="prometheus",
            command=(
                tools["prometheus"],
                f"--config.file={settings}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{prometheus}",
            ),
            environment=environment,
            ready=lambda: get("127.0.0.1", prometheus, "/-/ready")[0] == 200,
        ),
    ]
    running: list[Running] = []
    try:
        for service in services:
            running.append(Running(service, home))
            if service.ready is None or not wait_until(service.ready, READY_SECONDS):
                raise LauncherError(f"{service.name} does not start: read {home.log(service.name)}.")
        yield receiver
    finally:
        for one in running:
            one.bury()
        receiver.close()
