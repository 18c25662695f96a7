"""The process that forks those in which files are read: killed, abandoned and attacked, with real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingestion import extraction
from ingestion.extraction import DEFAULT_LIMITS, ExtractionError, Limits, extract
from ingestion.extraction_process import Processes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")

HOSTILE = "ingestion.tests.hostile_child"
WAIT = "import time\nwhile True: time.sleep(1)"
SERVER_IS = "import os; found = os.getppid()"


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    started = Processes(HOSTILE)
    yield started
    started.close()


@pytest.fixture
def run(processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a program where files are read; what it left in `found`."""
    monkeypatch.setattr(extraction, "_PROCESSES", processes)

    def run(program: str, limits: Limits = DEFAULT_LIMITS, name: str = "file.txt", **options: Any) -> Any:
        path = tmp_path / name
        path.write_text(program)
        return json.loads(extract(path, file_name=name, limits=limits, **options).pages[0].text)

    return run


def children_of(pid: int) -> list[int]:
    """The processes that it started and that still run."""
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return []


def is_gone(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def waited_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
    return found


def in_its_cell(pid: int) -> bool:
    try:
        return bool(re.search(r"^Seccomp:\s+[12]$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
    except OSError:
        return False


class TestServer:
    def test_it_serves_file_after_file(self, run) -> None:
        first, second = run(SERVER_IS), run(SERVER_IS)

        assert first == second
        assert not children_of(first), "nothing stays behind"

    def test_nothing_passes_from_one_file_to_the_next(self, run) -> None:
        run("import os, sys\nsys.poisoned = os.environ['POISONED'] = 'yes'\nopen('left', 'w').write('x')")

        assert run("import os, sys\nfound = [hasattr(sys, 'poisoned'), 'POISONED' in os.environ, os.listdir()]") == [
            False,
            False,
            [],
        ]

    def test_killed_between_two_files_it_is_started_anew(self, run) -> None:
        server = run(SERVER_IS)
        os.kill(server, signal.SIGKILL)

        assert run(SERVER_IS) != server

    def test_killed_in_the_middle_of_a_file_costs_that_file_nothing(self, run, tmp_path: Path) -> None:
        parts = tmp_path / "parts"
        parts.mkdir()
        server = run(SERVER_IS)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(run, f"open(str(parts_folder) + '/half', 'w')\n{WAIT}", parts_folder=parts)
            waited_for((parts / "half").exists)
            (child,) = children_of(server)
            (tmp_path / "file.txt").write_text("import os\nfound = os.listdir(str(parts_folder))")
            os.kill(server, signal.SIGKILL)

            assert reading.result(10) == [], "the second reading begins with an empty folder"
        waited_for(lambda: is_gone(child))

    def test_stopped_or_stuck_it_is_given_up(self, run, monkeypatch: pytest.MonkeyPatch) -> None:
        server = run(SERVER_IS)
        extraction._PROCESSES._server._socket.settimeout(0.3)
        os.kill(server, signal.SIGSTOP)

        assert run(SERVER_IS) != server
        assert is_gone(server)

    def test_a_file_that_runs_out_of_its_limits_does_not_cost_it(self, run) -> None:
        server = run(SERVER_IS)
        for program, limits, reason in (
            (WAIT, replace(DEFAULT_LIMITS, seconds=0.3), "timeout"),
            ("hoard = bytearray(4 << 30)", DEFAULT_LIMITS, "memory"),
            ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", DEFAULT_LIMITS, "memory"),
            ("raise ValueError", DEFAULT_LIMITS, "broken"),
        ):
            with pytest.raises(ExtractionError) as raised:
                run(program, limits)
            assert raised.value.reason == reason

        assert run(SERVER_IS) == server

    def test_after_a_crash_the_next_file_finds_other_addresses(self, run) -> None:
        server = run(SERVER_IS)
        with pytest.raises(ExtractionError, match="damaged"):
            run("import os\nos.abort()")

        assert run(SERVER_IS) != server
        assert is_gone(server)

    def test_a_crash_does_not_cost_those_that_are_being_read(self, run, tmp_path: Path) -> None:
        slow = f"import time\ntime.sleep(0.5)\n{SERVER_IS}"
        server = run(SERVER_IS)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(run, slow, name="slow.txt")
            waited_for(lambda: children_of(server))
            with pytest.raises(ExtractionError, match="damaged"):
                run("import os\nos.abort()")

            assert reading.result(10) == server
        assert is_gone(server), "the last of them has it ended"

    def test_several_threads_may_read_at_once(self, run) -> None:
        barrier = "import os, time\ntime.sleep(0.2)\nfound = {}"
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda one: run(barrier.format(one), name=f"{one}.txt"), range(8)))

        assert found == list(range(8))
        assert time.monotonic() - began < 8 * 0.2

    def test_one_that_cannot_start_says_why_and_blames_no_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(extraction, "_PROCESSES", Processes("ingestion.absent"))
        (tmp_path / "file.txt").write_text("text")
        with pytest.raises(RuntimeError, match=r"cannot be read here: .*No module named ingestion\.absent"):
            extract(tmp_path / "file.txt", file_name="file.txt", limits=DEFAULT_LIMITS)


class TestWorker:
    def test_with_the_worker_the_server_ends_and_all_that_it_started(self, tmp_path: Path) -> None:
        (tmp_path / "loop.txt").write_text("while True: pass")
        worker = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from pathlib import Path; from ingestion import extraction; "
                f"extraction._PROCESSES = extraction.Processes({HOSTILE!r}); "
                f"extraction.extract(Path({str(tmp_path / 'loop.txt')!r}), file_name='loop.txt', "
                "limits=extraction.DEFAULT_LIMITS)",
            ]
        )
        try:
            (server,) = waited_for(lambda: children_of(worker.pid))
            (child,) = waited_for(lambda: children_of(server))
            waited_for(lambda: in_its_cell(child))
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        waited_for(lambda: is_gone(server) and is_gone(child))

    def test_a_process_whose_parent_is_gone_before_it_begins_reads_nothing(self) -> None:
        code = "from ingestion import extraction_jail as jail; jail.enter(jail.Limits(), parent=1); print('went on')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

        assert (done.stdout, done.returncode) == ("", 1)
        assert "is gone" in done.stderr

    def test_a_fork_of_the_worker_gets_a_server_of_its_own_and_leaves_the_other_alone(self, run) -> None:
        server = run(SERVER_IS)
        fork = os.fork()
        if not fork:
            status = 1
            try:
                status = 0 if run(SERVER_IS, name="fork.txt") != server else 2
            finally:
                os._exit(status)

        assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
        assert run(SERVER_IS) == server

    def test_a_fork_that_outlives_the_worker_does_not_keep_the_server(self, run, processes: Processes) -> None:
        server = run(SERVER_IS)
        fork = os.fork()
        if not fork:
            time.sleep(20)
            os._exit(0)
        processes.close()
        try:
            assert is_gone(server)
            assert not is_gone(fork)
        finally:
            os.kill(fork, signal.SIGKILL)
            os.waitpid(fork, 0)


class TestAttack:
    """What a file that took its process over can do to the server."""

    def test_it_holds_no_descriptor_of_the_server_or_the_worker(self, run) -> None:
        found = run(
            "import os\nfound = {}\nfor one in range(64):\n"
            "    try: found[one] = os.readlink(f'/proc/self/fd/{one}')\n    except OSError: pass"
        )

        assert set(found) == {"0", "1", "2", "3"}, found
        assert not [place for place in found.values() if place.startswith("socket")]
        assert found["0"] == os.devnull
        assert found["3"].startswith("pipe"), "the answer"

    def test_it_cannot_reach_the_server(self, run) -> None:
        server = run(SERVER_IS)
        found = run(
            f"""
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
found = {{}}
def attempt(name, call):
    try:
        found[name] = f"done: {{call()!r}}"[:80]
    except OSError as error:
        found[name] = type(error).__name__
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")
attempt("signal", lambda: os.kill({server}, signal.SIGKILL))
attempt("signal to its group", lambda: os.killpg({server}, signal.SIGKILL))
attempt("memory", lambda: open("/proc/{server}/mem", "r+b"))
attempt("environment", lambda: open("/proc/{server}/environ"))
attempt("descriptors", lambda: os.listdir("/proc/{server}/fd"))
attempt("socket", lambda: open("/proc/{server}/fd/0"))
attempt("handle", lambda: os.pidfd_open({server}))
attempt("traced", lambda: call({101 if os.uname().machine == "x86_64" else 117}, 16, {server}, 0, 0))
"""
        )
        assert len(found) == 8
        assert set(found.values()) == {"PermissionError"}, found
        assert run(SERVER_IS) == server

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may look into everything")
    def test_its_memory_is_closed_to_its_own_user_even_without_the_cell(self, run) -> None:
        with pytest.raises(PermissionError):
            open(f"/proc/{run(SERVER_IS)}/mem", "rb")  # noqa: SIM115 (it never opens)

    def test_it_starts_no_threads_before_it_forks(self, run) -> None:
        assert len(os.listdir(f"/proc/{run(SERVER_IS)}/task")) == 1

    def test_it_was_started_without_the_secrets_of_the_worker(self, run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_KEY", "hunter2")
        extraction._PROCESSES.close()
        began_with = run("found = open('/proc/self/environ', errors='replace').read()")

        assert "PYTHONUTF8=1" in began_with
        assert "hunter2" not in began_with
