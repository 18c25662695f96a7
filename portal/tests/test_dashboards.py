"""Dashboards and alerts ask for metrics that the portal has, by labels that these have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric

from portal.metrics.state import StateCollector

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))

OF_OTHERS = {
    # Prometheus itself
    "up": {"job", "instance"},
    "ALERTS": {"alertname", "alertstate", "severity"},
    # node_exporter, blackbox_exporter
    "node_filesystem_avail_bytes": {"fstype", "mountpoint", "instance"},
    "node_filesystem_size_bytes": {"fstype", "mountpoint", "instance"},
    "probe_ssl_earliest_cert_expiry": {"instance"},
}
WORDS = {"and", "or", "unless", "by", "on", "without", "ignoring", "bool", "offset"}
GIVEN_BY_PROMETHEUS = {"le", "instance", "job"}


def rules() -> list[dict[str, Any]]:
    written = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in written["groups"] for rule in group["rules"]]


def queries() -> list[tuple[str, str]]:
    """Every query, with where it stands."""
    found = [(str(rule.get("alert") or rule["record"]), rule["expr"]) for rule in rules()]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            found += [(f"{path.stem}: {panel['title']}", target["expr"]) for target in panel.get("targets", ())]
    return found


@pytest.fixture
def there(client: Client, db: None) -> dict[str, set[str]]:
    """The names that can be asked for, with their labels."""
    client.get("/search/?q=books&mode=keyword")
    found = {rule["record"]: set() for rule in rules() if "record" in rule} | OF_OTHERS
    for collector in set(REGISTRY._collector_to_names):
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            found |= dict.fromkeys(_names(family), labels)
    state = CollectorRegistry()
    state.register(StateCollector())
    for family in state.collect():
        found |= {name: set(getattr(family, "_labelnames", ())) for name in _names(family)}
    return found


def _names(family: Metric) -> list[str]:
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
    return [family.name + ending for ending in endings]


def asked_for(query: str) -> tuple[set[str], dict[str, set[str]], set[str]]:
    """The metrics of a query, the labels by which each is chosen, and those by which it is grouped."""
    bare = re.sub(r'"[^"]*"', '""', query)
    chosen = {
        name: set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))
        for name, inside in re.findall(r"([A-Za-z_:][\w:]*)\{([^}]*)\}", bare)
    }
    grouped = {
        label.strip()
        for labels in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", bare)
        for label in labels.split(",")
        if label.strip()
    }
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|without|ignoring)\s*\([^)]*\)", " ", bare)
    names = {
        match[1] for match in re.finditer(r"(?<![\w.])([A-Za-z_:][\w:]*)\b(?!\s*\()", bare) if match[1] not in WORDS
    }
    return names, chosen, grouped


def test_every_query_asks_for_what_there_is(there: dict[str, set[str]]) -> None:
    assert len(DASHBOARDS) == 5
    wrong = []
    for place, query in queries():
        names, chosen, grouped = asked_for(query)
        assert names, query
        wrong += [f"{place}: there is no metric {name}" for name in sorted(names - set(there))]
        for name, labels in chosen.items():
            unknown = labels - there.get(name, set()) - GIVEN_BY_PROMETHEUS
            wrong += [f"{place}: {name} has no label {label}" for label in sorted(unknown)]
        known = GIVEN_BY_PROMETHEUS.union(*(there.get(name, set()) for name in names))
        wrong += [f"{place}: nothing has the label {label}" for label in sorted(grouped - known)]
    assert wrong == []


def test_what_is_asked_for_is_found_in_a_query() -> None:
    names, chosen, grouped = asked_for(
        'sum by (kind) (rate(a_total{status=~"5..", kind!="b"}[5m])) / on (kind) c:d unless e_f > 0.5 * 10'
    )
    assert (names, chosen, grouped) == ({"a_total", "c:d", "e_f"}, {"a_total": {"status", "kind"}}, {"kind"})


def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here: ./cloister test fetches it")
    written = [{"record": f"query:{number}", "expr": query} for number, (_, query) in enumerate(queries())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": written}]}))
    done = subprocess.run(
        [promtool, "check", "rules", "rules.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    board = json.loads(path.read_text(encoding="utf-8"))
    assert board["uid"] == path.stem
    assert board["title"].startswith("Cloister: ")
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["targets"]
