"""Rules of Prometheus and settings of Alertmanager: accepted by their tools, told and not told, with a runbook each."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[1]
PROMETHEUS = DEPLOY / "prometheus"
ALERTS = [
    "AvailabilityBudgetBurn", "BackupTooOld", "CertificateExpiring", "ComponentDown", "DatabaseConnectionsHigh",
    "EmbeddingServiceDown", "HighErrorRate", "HighQueryLatency", "IngestionFailing", "LowDiskSpace", "PortalDown",
    "QueueStuck", "RecallDropped", "ReplicaLagHigh",
]  # fmt: skip
TESTS = ("alerts_test.yml", "alerts_slow_test.yml")


def accepted(*command: str) -> str:
    """What a tool says that found nothing wrong."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not here: ./cloister test fetches it")
    done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    written = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in written["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def test_prometheus_accepts_its_settings_and_rules() -> None:
    assert "SUCCESS" in accepted("promtool", "check", "config", "prometheus.yml")
    assert "SUCCESS" in accepted("promtool", "check", "rules", "alerts.yml")


def test_alertmanager_accepts_its_settings() -> None:
    assert "SUCCESS" in accepted("amtool", "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yml"))


def test_alerts_are_told_when_they_must_be_and_not_otherwise() -> None:
    assert accepted("promtool", "test", "rules", *TESTS).count("SUCCESS") == len(TESTS)


def test_each_alert_is_tried_both_ways() -> None:
    told: dict[tuple[str, str], set[bool]] = {}
    for name in TESTS:
        for test in yaml.safe_load((PROMETHEUS / name).read_text(encoding="utf-8"))["tests"]:
            for one in test["alert_rule_test"]:
                told.setdefault(one["alertname"], set()).add(bool(one["exp_alerts"]))
    assert told == {name: {True, False} for name in ALERTS}


def test_each_alert_says_how_bad_what_and_where_to_read_on() -> None:
    assert sorted({rule["alert"] for rule in alerts()}) == ALERTS
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        runbook = DEPLOY.parent / rule["annotations"]["runbook_url"]
        assert runbook.is_file(), runbook
        assert runbook.read_text(encoding="utf-8").startswith(f"# {rule['alert']}\n")


def test_each_runbook_is_of_an_alert_or_follows_from_one_and_names_commands_that_exist() -> None:
    linked = {rule["annotations"]["runbook_url"] for rule in alerts()}
    commands = {path.stem for path in DEPLOY.parent.glob("*/management/commands/*.py")}
    texts = [(DEPLOY.parent / address).read_text(encoding="utf-8") for address in linked]
    followed = {name for text in texts for name in re.findall(r"\]\(([\w-]+\.md)\)", text)}
    for runbook in (DEPLOY / "runbooks").glob("*.md"):
        text = runbook.read_text(encoding="utf-8")
        assert f"deploy/runbooks/{runbook.name}" in linked or runbook.name in followed
        assert set(re.findall(r"cloister manage (\w+)", text)) <= commands, runbook
        for other in re.findall(r"\]\(([\w-]+\.md)\)", text):
            assert (runbook.parent / other).is_file(), (runbook, other)
