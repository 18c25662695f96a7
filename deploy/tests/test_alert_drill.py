"""What `./cloister drill alerts` stands on: quicker rules that mean the same, and a receiver that hears them."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from deploy.drill._alerts_rules import HELD, STUCK_SECONDS, quicker, routing_for, settings_for
from deploy.drill._alerts_watch import Receiver
from deploy.tests.test_alert_rules import accepted

DEPLOY = Path(__file__).parents[1]
RULES = (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
ROUTING = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")


def rules_of(text: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def test_quicker_rules_differ_in_nothing_but_time_and_the_disks_share(tmp_path: Path) -> None:
    quick = quicker(RULES, low_share=0.25)
    for one, other in zip(rules_of(RULES), rules_of(quick), strict=True):
        assert {**one, "expr": "", "for": ""} == {**other, "expr": "", "for": ""}
        assert other.get("for", HELD) == HELD
        if one.get("alert") not in ("QueueStuck", "ReplicaLagHigh", "LowDiskSpace") and "[" not in one["expr"]:
            assert one["expr"] == other["expr"]
    assert "[30s]" in quick
    assert "[5m]" not in quick
    assert quick.count(f"> {STUCK_SECONDS}") == 3
    assert quick.count("< 0.25") == 4
    (tmp_path / "rules.yml").write_text(quick)
    accepted("promtool", "check", "rules", str(tmp_path / "rules.yml"))
    (tmp_path / "prometheus.yml").write_text(settings_for(tmp_path / "rules.yml", 1, 2))
    accepted("promtool", "check", "config", str(tmp_path / "prometheus.yml"))


def test_alertmanager_tells_the_drill_and_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "routing.yml").write_text(routing_for(ROUTING, 4711))
    accepted("amtool", "check-config", str(tmp_path / "routing.yml"))
    hooks = [
        hook["url"]
        for one in yaml.safe_load((tmp_path / "routing.yml").read_text())["receivers"]
        for hook in one["webhook_configs"]
    ]
    assert hooks == ["http://127.0.0.1:4711/operators", "http://127.0.0.1:4711/on-call"]


def test_the_receiver_tells_what_arrived_after_a_moment() -> None:
    receiver = Receiver()
    try:
        before = time.monotonic()
        said = {"alerts": [{"status": "firing", "labels": {"alertname": "QueueStuck"}}]}
        url = f"http://127.0.0.1:{receiver.port}/on-call"
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(said).encode(), method="POST")).close()
        assert receiver.names(before) == {"QueueStuck"}
        assert receiver.told("QueueStuck", "firing", before)
        assert receiver.told("QueueStuck", "resolved", before) is None
        assert receiver.told("QueueStuck", "firing", time.monotonic()) is None
    finally:
        receiver.close()
