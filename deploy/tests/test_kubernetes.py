"""deploy/kubernetes: against Kubernetes' own schemas, and held to what deploy/README.md says of it.

What operators add (CustomResourceDefinitions) and kustomize's own build are not checked here; deploy/README.md says how
to, with a cluster at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.local.home import ROOT
from deploy.postgres import tune

FOLDER = ROOT / "deploy" / "kubernetes"
BASE = FOLDER / "base"
VERSION = "1.33"
FOREIGN = {"postgresql.cnpg.io/v1", "barmancloud.cnpg.io/v1", "kustomize.config.k8s.io/v1beta1"}

# What CloudNativePG sets by itself and refuses to be told, or keeps for itself.
OPERATOR_SETS = {
    *("listen_addresses", "wal_level", "wal_log_hints", "hot_standby_feedback", "log_timezone", "timezone"),
    *("log_line_prefix", "shared_preload_libraries", "max_replication_slots", "max_wal_senders"),
    *("password_encryption", "superuser_reserved_connections", "huge_pages"),
}


def documents(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.rglob("*.yaml")):
        if path.name.endswith(".values.yaml"):
            continue
        for one in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield path, one


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [one for _, one in documents(BASE) if one["kind"] in kinds]


def templates() -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one["spec"]["template"] for one in of_kind("Deployment", "StatefulSet", "Job")}


@pytest.mark.parametrize("path", sorted(BASE.glob("*.yaml")), ids=lambda path: path.stem)
def test_kubernetes_own_kinds_are_as_their_schemas_say(path: Path) -> None:
    for one in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if one["apiVersion"] not in FOREIGN:
            kubernetes_validate.validate(one, VERSION, strict=True)


def test_only_the_named_operators_have_kinds_of_their_own() -> None:
    kinds = {one["kind"] for _, one in documents(FOLDER) if one["apiVersion"] in FOREIGN}
    assert kinds == {"Cluster", "ObjectStore", "ScheduledBackup", "Pooler", "Kustomization"}


def test_every_file_is_applied_and_every_patch_finds_what_it_changes() -> None:
    named = yaml.safe_load((BASE / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert set(named) == {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}
    there = {(one["kind"], one["metadata"]["name"]) for _, one in documents(BASE) if "metadata" in one}
    for overlay in ("small", "large"):
        folder = FOLDER / "overlays" / overlay
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        patches = {one["path"] for one in kustomization.get("patches", [])}
        assert patches == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
        for name in patches:
            patch = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
            assert (patch["kind"], patch["metadata"]["name"]) in there, name


def test_every_container_is_held_within_limits() -> None:
    for name, template in templates().items():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}, name
            assert re.search(r":\d+\.\d+", container["image"]) or container["image"] == "cloister", name


def test_a_rollout_takes_no_web_server_away_before_another_serves() -> None:
    web = next(one for one in of_kind("Deployment") if one["metadata"]["name"] == "web")
    assert web["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    container = web["spec"]["template"]["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    # Leaves the balancer (10 s), then ends what it has in hand (gunicorn: 20 s), within the grace.
    assert web["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 30
    for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget"):
        assert {"web", "worker"} <= {one["metadata"]["name"] for one in of_kind(kind)}
    # Who is scaled by the autoscaler is not set back by each rollout.
    assert "replicas" not in web["spec"]


def test_there_is_one_clock() -> None:
    beat = next(one for one in of_kind("Deployment") if one["metadata"]["name"] == "beat")
    assert (beat["spec"]["replicas"], beat["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_nothing_is_reached_unless_it_is_said() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    enters = yaml.safe_dump(policies["database"]["ingress"]) + yaml.safe_dump(policies["poolers"]["ingress"])
    assert "ingress-nginx" not in enters
    assert "web" not in yaml.safe_dump(policies["database"]["ingress"])


def test_every_name_that_the_portal_is_given_is_one_that_it_reads() -> None:
    read = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "portal" / "settings").glob("*.py"))
    known = set(re.findall(r"""(?:env\.\w+|required)\(\s*["'](\w+)["']""", read))
    known |= {"WEB_THREADS", "POD_IP"}
    given = set(of_kind("ConfigMap")[0]["data"])
    for name, template in templates().items():
        for container in template["spec"]["containers"]:
            if container["image"] == "cloister":
                names = given | {one["name"] for one in container["env"]}
                assert {one.removesuffix("_FILE") for one in names} - known == set(), name
                assert [one for one in names if re.search("SECRET|_KEY$|_URL$", one) and "_FILE" not in one] == [
                    "PUBLIC_URL"
                ], name


def test_there_is_a_node_for_each_address_of_embedding() -> None:
    for folder, replicas in ((BASE, 2), (FOLDER / "overlays" / "large", 4)):
        settings = yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8"))["data"]
        stateful = next(yaml.safe_load_all((folder / "embedding.yaml").read_text(encoding="utf-8")))
        assert stateful["spec"]["replicas"] == replicas
        urls = [f"http://embedding-{number}.embedding:11434" for number in range(replicas)]
        assert settings["OLLAMA_URLS"].split(",") == urls


@pytest.mark.parametrize(
    ("file", "memory", "cores", "connections"),
    [("base/database.yaml", 16, 8, 100), ("overlays/large/database.yaml", 64, 16, 150)],
)
def test_the_database_has_the_settings_that_are_computed(file: str, memory: int, cores: int, connections: int) -> None:
    cluster = next(yaml.safe_load_all((FOLDER / file).read_text(encoding="utf-8")))["spec"]
    computed = tune.settings(memory * tune.GIB, cores, connections)
    assert cluster["postgresql"]["parameters"] == {k: v for k, v in computed.items() if k not in OPERATOR_SETS}
    assert cluster["resources"]["limits"]["memory"] == f"{memory}Gi"
