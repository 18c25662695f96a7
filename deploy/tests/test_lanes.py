"""Tests in several processes: what each takes for itself, and in which order the tests are handed out."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.lanes import MOST_LANES, stretches, take_lane
from deploy.local.testing import lanes_wanted


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    return {
        "REDIS_URL": "redis://:secret@127.0.0.1:1234/0",
        "CELERY_BROKER_URL": "redis://:secret@127.0.0.1:1234/1",
        "MEDIA_ROOT": str(tmp_path / "media"),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
    }


def test_no_two_lanes_share_a_cache_a_queue_or_a_folder(surroundings: dict[str, str]) -> None:
    taken: list[str] = []
    for number in range(MOST_LANES):
        lane = surroundings | {"PYTEST_XDIST_WORKER": f"gw{number}"}
        take_lane(lane)
        taken += [lane[name] for name in surroundings]
        assert all(Path(lane[name]).is_dir() for name in ("MEDIA_ROOT", "PROMETHEUS_MULTIPROC_DIR"))

    assert len(set(taken)) == len(taken)
    assert "redis://:secret@127.0.0.1:1234/15" not in taken, "the last numbers are for the drills of the last lane"


def test_more_lanes_than_the_cache_has_room_for_are_refused(surroundings: dict[str, str]) -> None:
    with pytest.raises(pytest.UsageError, match="-n 4"):
        take_lane(surroundings | {"PYTEST_XDIST_WORKER": f"gw{MOST_LANES}"})


def test_a_process_that_is_no_lane_stays_as_it_is(surroundings: dict[str, str]) -> None:
    alone = dict(surroundings)
    take_lane(alone)
    assert alone == surroundings


def test_tests_of_a_file_stay_together_and_those_that_empty_the_database_are_apart() -> None:
    order = ["a.py::one", "a.py::two", "b.py::one", "a.py::empties"]
    places = stretches(order)

    assert places["a.py::one"] == places["a.py::two"]
    assert len({places[test] for test in order}) == 3


def test_the_browser_s_tests_stay_in_one_lane() -> None:
    folder = "portal/tests/browser"
    assert len(set(stretches([f"{folder}/test_a.py::one", f"{folder}/test_b.py::one"]).values())) == 1


@pytest.mark.parametrize(
    ("arguments", "in_several"),
    [
        ([], True),
        (["-k", "snippets", "--durations=5", "-x"], True),
        (["search", "portal"], True),
        (["search"], True),
        (["deploy/tests/test_lanes.py"], False),
        (["deploy/tests/test_lanes.py::test_a_process_that_is_no_lane_stays_as_it_is"], False),
        (["--pdb"], False),
        (["-s"], False),
        (["--co"], False),
    ],
)
def test_several_processes_are_used_where_they_help(arguments: list[str], in_several: bool) -> None:
    assert bool(lanes_wanted(arguments, cores=2)) is in_several
    assert not lanes_wanted(arguments, cores=1)


def test_who_says_how_many_is_obeyed() -> None:
    assert lanes_wanted(["-n", "0"], cores=2) == ["-p", "deploy.local.lanes"]
    assert lanes_wanted(["-n3"], cores=1) == ["-p", "deploy.local.lanes"]
