"""The alerts' own rules, made quicker, so that a drill lasts minutes.

What an alert means stays: its metrics, its comparison, its labels. What is shortened: every window (`[5m]`) to a tenth;
every `for` to HELD; the seconds after which a queue is stuck or a replica is behind. Of a disk no
share is free or taken by chance: its thresholds are put between what is free and what the drill will leave free.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

SHORTER = 10
"""Times. The shortest window is then fifteen scrapes long: a rate over few would jump."""

HELD = "4s"
EVALUATED = "2s"

STUCK_SECONDS, BEHIND_SECONDS = 15, 5

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def quicker(rules: str, *, low_share: float) -> str:
    """The text of a file of rules with these changes."""
    written: dict[str, Any] = yaml.safe_load(rules)
    for group in written["groups"]:
        group["interval"] = EVALUATED
        for rule in group["rules"]:
            rule["expr"] = _expression(rule["expr"], str(rule.get("alert", "")), low_share)
            if "alert" in rule:
                rule["for"] = HELD
    return yaml.safe_dump(written, sort_keys=False, width=1000)


def _expression(text: str, alert: str, low_share: float) -> str:
    text = re.sub(r"\[(\d+)([smhd])\]", _shorter, text)
    if alert == "QueueStuck":
        text = re.sub(r"> \d+", f"> {STUCK_SECONDS}", text)
    elif alert == "ReplicaLagHigh":
        text = re.sub(r"> \d+", f"> {BEHIND_SECONDS}", text)
    elif alert == "LowDiskSpace":
        text = re.sub(r"< 0\.\d+", f"< {low_share:.6f}", text)
    return text


def _shorter(window: re.Match[str]) -> str:
    seconds = int(window[1]) * _UNITS[window[2]]
    return f"[{seconds // SHORTER}s]"


def settings_for(rules: Path, portal: int, alertmanager: int) -> str:
    """Prometheus' settings: the portal and nothing else, every two seconds."""
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": EVALUATED},
            "rule_files": [str(rules)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
            "scrape_configs": [{"job_name": "cloister", "static_configs": [{"targets": [f"127.0.0.1:{portal}"]}]}],
        }
    )


def routing_for(own: str, receiver: int) -> str:
    """Alertmanager's own settings, telling at once, and the drill's receiver instead of the operators'."""
    written: dict[str, Any] = yaml.safe_load(own)
    for route in (written["route"], *written["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "2s"}
    for one in written["receivers"]:
        for hook in one["webhook_configs"]:
            hook["url"] = f"http://127.0.0.1:{receiver}/{one['name']}"
    return yaml.safe_dump(written, sort_keys=False)
