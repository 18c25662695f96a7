"""`check_readiness`: what an operator asks before opening."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Department
from ingestion.models import VectorSpace
from portal import health
from portal.health import watch
from portal.tests.conftest import MakePerson
from search.tests.corpus import serve

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine of tests is no sick portal."""
    monkeypatch.setattr(watch, "TIMEOUT_SECONDS", 5.0)
    health.forget()


def check() -> tuple[bool, dict[str, dict[str, Any]]]:
    """Whether it is ready, and the findings by name; the exit status says the same."""
    written = StringIO()
    try:
        call_command("check_readiness", json=True, stdout=written)
        exited_well = True
    except CommandError:
        exited_well = False
    found = json.loads(written.getvalue())
    assert found["ready"] is exited_well
    return found["ready"], {one["name"]: one for one in found["findings"]}


def test_it_is_ready_once_there_is_an_administrator_and_needs_no_corpus(person: MakePerson) -> None:
    ready, found = check()
    assert not ready
    assert {name for name, one in found.items() if one["needed"] and not one["ok"]} == {"administrator"}
    assert "create_user" in found["administrator"]["detail"]
    person("admin")
    ready, found = check()
    assert ready
    assert set(found) == {
        *health.CHECKS,
        "migrations",
        "vector_space",
        "administrator",
        "corpus",
        "cookies",
        "isolation",
    }
    assert not found["corpus"]["ok"]
    assert found["isolation"]["detail"].startswith("files are read with ")
    assert found["isolation"]["ok"] is ("this kernel does not give" not in found["isolation"]["detail"])


def test_vectors_of_another_model_are_named_with_what_mends_them(person: MakePerson) -> None:
    person("admin")
    serve("Quill care", "A quill is cut anew each term.", department=Department.objects.create(name="Library"))
    VectorSpace.objects.update_or_create(state="live", defaults={"model": "another", "dimensions": 384})
    ready, found = check()
    assert ready, "what is in use goes on being used"
    assert not found["vector_space"]["ok"]
    assert "another (384 dimensions), which stays in use" in found["vector_space"]["detail"]
    assert "reembed --model" in found["vector_space"]["detail"]
    assert not found["vector_space"]["needed"]


def test_it_can_be_read_by_people(person: MakePerson) -> None:
    person("admin")
    written = StringIO()
    call_command("check_readiness", stdout=written)
    assert "ok      database            answers" in written.getvalue()
