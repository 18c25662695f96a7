"""The cell in which a file is read, attacked from within by real processes, and what the parent believes of it."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from ingestion import extraction, extraction_answer
from ingestion.extraction import DEFAULT_LIMITS, MEASURES, ExtractionError, Limits, extract
from ingestion.extraction_process import Processes
from ingestion.extraction_settings import LIMIT_SETTINGS, limits_from
from ingestion.extraction_types import MEBIBYTE, Extraction, Heading, Page, Part
from ingestion.tests.conftest import run_portal

OPERATORS = Path(__file__).resolve().parents[2] / "docs" / "operators.md"

RULES_FILES = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1)) >= 1
"""Whether the kernel has Landlock: the version of landlock_create_ruleset."""
FILTERS_CALLS = Path("/proc/sys/kernel/seccomp/actions_avail").exists() and os.uname().machine in ("x86_64", "aarch64")

confined = pytest.mark.skipif(not RULES_FILES, reason="this kernel has no Landlock")
filtered = pytest.mark.skipif(not FILTERS_CALLS, reason="this kernel filters no system calls")

TRY = """
import os
found = {}
def attempt(name, call):
    try:
        found[name] = f"done: {call()!r}"[:80]
    except OSError as error:
        found[name] = type(error).__name__
"""


@pytest.fixture(scope="module")
def hostile() -> Iterator[Processes]:
    """Processes in which a file is a program that runs."""
    processes = Processes("ingestion.tests.hostile_child")
    yield processes
    processes.close()


@pytest.fixture
def attack(hostile: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a program where files are read; what it left in `found`."""
    monkeypatch.setattr(extraction, "_PROCESSES", hostile)

    def run(program: str, limits: Limits = DEFAULT_LIMITS, parts_folder: Path | None = None) -> Any:
        path = tmp_path / "attack.txt"
        path.write_text(TRY + textwrap.dedent(program))
        return json.loads(extract(path, file_name="attack.txt", limits=limits, parts_folder=parts_folder).pages[0].text)

    return run


class TestCell:
    @confined
    @filtered
    def test_it_is_whole_where_the_kernel_has_what_it_takes(self) -> None:
        assert set(extraction.isolation()) == set(MEASURES)

    @filtered
    def test_there_is_no_network_and_no_socket_of_this_machine(self, attack) -> None:
        found = attack(
            """
            import socket
            for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK, socket.AF_PACKET):
                attempt(family.name, lambda: socket.socket(family))
            attempt("connect", lambda: socket.create_connection(("127.0.0.1", 25432), 1))
            """
        )
        assert len(found) == 6
        assert set(found.values()) == {"PermissionError"}, found

    @filtered
    def test_it_starts_no_process_and_touches_none(self, attack) -> None:
        found = attack(
            f"""
            import ctypes, signal, resource, subprocess, threading
            libc = ctypes.CDLL(None, use_errno=True)
            def call(number, *arguments):
                if libc.syscall(number, *arguments) < 0:
                    raise OSError(ctypes.get_errno(), "refused")
            attempt("fork", os.fork)
            attempt("program", lambda: subprocess.run(["/bin/true"]))
            attempt("spawn", lambda: os.posix_spawn("/bin/true", ["true"], {{}}))
            attempt("signal to the worker", lambda: os.kill({os.getpid()}, signal.SIGTERM))
            attempt("limits of the worker", lambda: resource.prlimit({os.getpid()}, resource.RLIMIT_CPU))
            attempt("memory file", lambda: os.memfd_create("hidden"))
            attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, {os.getpid()}, 19))
            attempt("ptrace", lambda: libc.ptrace(16, {os.getpid()}, 0, 0) and call(-1))
            attempt("io_uring", lambda: call(425, 8, 0))
            thread = threading.Thread(target=lambda: attempt("fork in a thread", os.fork))
            thread.start()
            thread.join()
            """
        )
        assert len(found) == 10
        assert set(found.values()) <= {"PermissionError", "OSError"}, found

    @confined
    def test_it_sees_its_file_and_its_folders_and_nothing_else(self, attack, tmp_path: Path) -> None:
        secret = tmp_path / "original of somebody else.txt"
        secret.write_text("salaries")
        parts = tmp_path / "parts"
        parts.mkdir()
        found = attack(
            f"""
            attempt("own file", lambda: open({str(tmp_path / "attack.txt")!r}).read(3))
            attempt("scratch", lambda: open("note", "w").write("x"))
            attempt("parts", lambda: open(str(parts_folder) + "/0", "w").write("x"))
            refused = found
            found = {{}}
            attempt("another original", lambda: open({str(secret)!r}).read())
            attempt("the folder of originals", lambda: os.listdir({str(tmp_path)!r}))
            attempt("environment of the worker", lambda: open("/proc/{os.getpid()}/environ").read())
            attempt("users", lambda: open("/etc/passwd").read())
            attempt("the project's folder", lambda: os.listdir({str(OPERATORS.parents[1])!r}))
            attempt("overwrite its file", lambda: open({str(tmp_path / "attack.txt")!r}, "w"))
            attempt("delete an original", lambda: os.unlink({str(secret)!r}))
            attempt("empty an original", lambda: os.truncate({str(secret)!r}, 0))
            attempt("new file outside", lambda: open({str(tmp_path / "new")!r}, "w"))
            attempt("change its program", lambda: open({extraction.__file__!r}, "a"))
            attempt("link to a secret", lambda: os.link({str(secret)!r}, "link"))
            attempt("symbolic link", lambda: os.symlink({str(secret)!r}, str(parts_folder) + "/1"))
            attempt("shared memory", lambda: open("/dev/shm/cloister", "w"))
            found = [refused, found]
            """,
            parts_folder=parts,
        )
        allowed, refused = found
        assert len(allowed) == 3
        assert all(one.startswith("done") for one in allowed.values()), allowed
        assert len(refused) == 13
        assert set(refused.values()) <= {"PermissionError", "OSError"}, refused
        assert secret.read_text() == "salaries"

    @filtered
    def test_it_cannot_change_the_rights_of_files(self, attack, tmp_path: Path) -> None:
        (tmp_path / "original").touch(mode=0o640)
        attack(f"attempt('rights', lambda: os.chmod({str(tmp_path / 'original')!r}, 0))")

        assert (tmp_path / "original").stat().st_mode & 0o777 == 0o640

    def test_the_environment_holds_no_secrets(self, attack, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_KEY", "hunter2")
        monkeypatch.setenv("OCR_LANGUAGES", "deu")
        found = attack("found = dict(os.environ)")

        assert found["OCR_LANGUAGES"] == "deu"
        assert "hunter2" not in str(found)
        assert not {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "JWT_SIGNING_KEY", "DEMO_PASSWORD"} & set(found)

    def test_without_the_filter_there_is_no_network_either(self) -> None:
        program = """
            import socket, sys
            from ingestion import extraction_filter, extraction_jail
            from ingestion.extraction_types import Limits
            extraction_filter.install = lambda: False
            print(extraction_jail.enter(Limits()))
            socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)
        """
        with socket.create_server(("127.0.0.1", 0)) as server:
            command = [sys.executable, "-c", textwrap.dedent(program), str(server.getsockname()[1])]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "no network" not in done.stdout:
            pytest.skip("this machine gives no network namespaces")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(("PermissionError", "OSError")), done.stderr
        assert "no other programs" not in done.stdout


class TestLimits:
    @pytest.mark.parametrize(
        ("program", "limits", "reason"),
        [
            ("hoard = bytearray(4 << 30)", DEFAULT_LIMITS, "memory"),
            ("while True: pass", replace(DEFAULT_LIMITS, seconds=0.8), "timeout"),
            ("while True: pass", replace(DEFAULT_LIMITS, cpu_seconds=1), "timeout"),
            (
                "import signal\nfor one in range(1, 32):\n"
                "    if one not in (9, 19): signal.signal(one, signal.SIG_IGN)\nwhile True: pass",
                replace(DEFAULT_LIMITS, seconds=0.8),
                "timeout",
            ),
            ("os.dup2(2, 3)\nwhile True: pass", replace(DEFAULT_LIMITS, seconds=20), "memory"),
            ("while True: os.write(3, b'x' * 65536)", replace(DEFAULT_LIMITS, output_bytes=MEBIBYTE), "too_large"),
            (
                "for one in range(200):\n    open(str(one), 'wb').write(bytes(1 << 20))\nwhile True: pass",
                replace(DEFAULT_LIMITS, scratch_bytes=8 * MEBIBYTE),
                "too_large",
            ),
            (
                "import threading, time\nthreading.stack_size(65536)\n"
                "while True: threading.Thread(target=time.sleep, args=(60,)).start()",
                replace(DEFAULT_LIMITS, seconds=20),
                "memory",
            ),
            ("os.abort()", DEFAULT_LIMITS, "broken"),
            ("import ctypes; ctypes.string_at(0)", DEFAULT_LIMITS, "broken"),
            ("os.write(3, b'[' * 100_000)\nos._exit(0)", DEFAULT_LIMITS, "broken"),
            ("""os.write(3, b'{"reason": "hacked", "message": ""}')\nos._exit(0)""", DEFAULT_LIMITS, "broken"),
        ],
        ids=[
            *("memory", "clock", "processor", "signals ignored", "output closed", "output"),
            *("disk", "threads", "abort", "crash", "deep", "lies"),
        ],
    )
    def test_whatever_it_does_costs_this_document_only(
        self, attack, program: str, limits: Limits, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
        (tmp_path / "scratch").mkdir()
        began = time.monotonic()
        with pytest.raises(ExtractionError) as raised:
            attack(program, limits)

        assert raised.value.reason == reason
        assert time.monotonic() - began < 8
        assert not any((tmp_path / "scratch").iterdir()), "nothing stays on the disk"

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="as Linux does it")
    def test_where_memory_runs_out_the_kernel_ends_it_before_the_worker(self, attack) -> None:
        assert attack("found = open('/proc/self/oom_score_adj').read()") == "1000\n"

    def test_an_installation_that_lacks_a_package_blames_no_file(self, attack) -> None:
        with pytest.raises(RuntimeError, match="No module named 'absent'"):
            attack("import absent")

    def test_a_single_file_of_scratch_space_is_bounded_by_the_kernel(self, attack) -> None:
        found = attack(
            "attempt('large', lambda: open('large', 'wb').truncate(1 << 40))",
            replace(DEFAULT_LIMITS, scratch_bytes=MEBIBYTE, file_bytes=MEBIBYTE),
        )
        assert found == {"large": "OSError"}

    def test_limits_cannot_be_raised_again(self, attack) -> None:
        found = attack(
            "import resource\nfor one in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE):\n"
            "    try:\n        resource.setrlimit(one, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
            "        found[str(one)] = 'raised'\n    except (ValueError, OSError): pass"
        )
        assert found == {}


WHOLE = Extraction(
    mime_type="message/rfc822",
    pages=(Page(1, "Dear all"),),
    title="Minutes",
    language="en",
    pages_without_text=(2,),
    authors=("Ada", "Grace"),
    outline=(Heading(1, "Agenda", 1),),
)


class TestAnswer:
    """What the parent believes."""

    def read(self, folder: Path | None = None, **members: Any) -> Any:
        given = json.loads(json.dumps(extraction_answer.as_answer(WHOLE) | members))
        return extraction_answer.read_answer(given, limits=replace(DEFAULT_LIMITS, parts=3), parts_folder=folder)

    def test_it_comes_as_it_went(self, tmp_path: Path) -> None:
        (tmp_path / "0").write_text("minutes")
        parts = (Part("minutes.pdf", tmp_path / "0", is_attachment=True),)
        given = extraction_answer.as_answer(replace(WHOLE, parts=parts))

        assert self.read() == WHOLE
        assert self.read(tmp_path, parts=given["parts"]) == replace(WHOLE, parts=parts)
        assert str(self.read(written_on="2024-02-29").written_on) == "2024-02-29"

    @pytest.mark.parametrize(
        "members",
        [
            {"pages": [[1, None]]},
            {"pages": [["1", "text"]]},
            {"pages": [[True, "text"]]},
            {"pages": "text"},
            {"title": ["a"]},
            {"title": "a" * 1000},
            {"language": {}},
            {"written_on": "yesterday"},
            {"outline": [[1, "a"]]},
            {"pages_without_text": [-1]},
            {"parts": [["a", "/etc/passwd", True]]},
        ],
    )
    def test_what_no_honest_child_says_is_not_believed(self, members: dict[str, Any]) -> None:
        with pytest.raises(extraction_answer.UnbelievableAnswer):
            self.read(**members)

    def test_a_part_is_a_plain_file_in_its_folder(self, tmp_path: Path) -> None:
        folder, secret = tmp_path / "parts", tmp_path / "secret"
        (folder / "below").mkdir(parents=True)
        secret.write_text("salaries")
        (folder / "below" / "file").touch()
        (folder / "symbolic").symlink_to(secret)
        (folder / "hard").hardlink_to(secret)
        os.mkfifo(folder / "pipe")
        (folder / "good").touch()
        wrong = ["symbolic", "hard", "pipe", "below", "below/file", "../secret", "absent", "", "good/../../secret"]
        for name in wrong:
            with pytest.raises(extraction_answer.UnbelievableAnswer):
                self.read(folder, parts=[["name", f"{folder}/{name}", False]])
        for parts in ([["a", f"{folder}/good", False]] * 2, [["a", f"{folder}/good", False]] * 4):
            with pytest.raises(extraction_answer.UnbelievableAnswer):
                self.read(folder, parts=parts)
        assert self.read(folder, parts=[["a", f"{folder}/good", False]]).parts[0].path == folder / "good"


class TestStart:
    def test_what_killed_workers_left_is_cleared_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        for name in ("extraction-old", "extraction-new", "something-old", "target"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "file").touch()
        (tmp_path / "extraction-link").symlink_to(tmp_path / "target")
        long_ago = time.time() - extraction.SCRATCH_LEFT_SECONDS - 60
        for name in ("extraction-old", "something-old", "target"):
            os.utime(tmp_path / name, (long_ago, long_ago))
        os.utime(tmp_path / "extraction-link", (long_ago, long_ago), follow_symlinks=False)
        extraction.prepare()

        assert not (tmp_path / "extraction-old").exists()
        left = {"extraction-new", "something-old", "target", "extraction-link"}
        assert {one.name for one in tmp_path.iterdir()} == left
        assert (tmp_path / "target" / "file").exists()

    def test_every_limit_is_a_setting_and_is_documented(self) -> None:
        told = OPERATORS.read_text()

        assert {one.field for one in LIMIT_SETTINGS} == {field.name for field in fields(Limits)}
        for one in LIMIT_SETTINGS:
            default = getattr(DEFAULT_LIMITS, one.field) / one.unit
            assert one.least <= default <= one.most
            assert f"| `{one.variable}` | {default:.0f} |" in told, one.variable

    def test_limits_come_from_the_environment(self) -> None:
        limits = limits_from({"EXTRACTION_SECONDS": "60", "EXTRACTION_MEMORY_MB": " 512 ", "EXTRACTION_PAGES": ""})

        assert limits == replace(DEFAULT_LIMITS, seconds=60.0, memory_bytes=512 * MEBIBYTE)
        assert {type(value) for name, value in asdict(limits).items() if name != "seconds"} == {int}

    @pytest.mark.parametrize("value", ["0", "-1", "lots", "1.5", "1e3", "²", "9" * 5000, "1801"])
    def test_a_wrong_limit_names_itself_and_what_it_may_be(self, value: str) -> None:
        with pytest.raises(ValueError, match=r"^EXTRACTION_SECONDS is .*Set a whole number from 5 to 1800"):
            limits_from({"EXTRACTION_SECONDS": value})

    def test_nothing_starts_with_a_wrong_limit(self) -> None:
        done = run_portal("manage.py", "check", EXTRACTION_MEMORY_MB="12")

        assert done.returncode != 0
        assert "EXTRACTION_MEMORY_MB is '12'. Set a whole number from 256 to 65536" in done.stderr
