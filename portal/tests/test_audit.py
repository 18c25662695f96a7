"""The judge of the dependency audit: vulnerabilities fail, a service that cannot be reached is said and does not."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

FLASK = {"name": "flask", "version": "0.5", "vulns": [{"id": "PYSEC-2019-179", "fix_versions": ["1.0"]}]}
GOOD = {"name": "django", "version": "5.2.9", "vulns": []}
UNKNOWN = {"name": "left-pad", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", Path(__file__).resolve().parents[2] / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = module
    spec.loader.exec_module(module)
    return module


def printed(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_known_vulnerability_fails_and_is_named(audit: ModuleType) -> None:
    verdict = audit.judge(printed(GOOD, FLASK), "Found 1 known vulnerability in 1 package")
    assert verdict.status == 1
    assert "flask 0.5: PYSEC-2019-179, mended in 1.0" in verdict.words


def test_none_known_passes(audit: ModuleType) -> None:
    verdict = audit.judge(printed(GOOD), "No known vulnerabilities found")
    assert (verdict.status, verdict.words) == (0, "1 packages, no known vulnerability.")


def test_a_package_that_a_reached_service_does_not_know_fails(audit: ModuleType) -> None:
    verdict = audit.judge(printed(GOOD, UNKNOWN), "")
    assert verdict.status == 1
    assert "left-pad" in verdict.words


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (printed(UNKNOWN, UNKNOWN), "No known vulnerabilities found, 2 packages skipped"),
        ("", "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed"),
        ("", ""),
        ("<html>proxy</html>", "requests.exceptions.JSONDecodeError"),
        ("[]", ""),
    ],
)
def test_a_service_that_cannot_be_reached_is_said_plainly_and_fails_nothing(
    audit: ModuleType, text: str, complaint: str
) -> None:
    verdict = audit.judge(text, complaint)
    assert verdict.status == 0
    assert verdict.words.startswith("NOT AUDITED: the advisory service cannot be reached")
