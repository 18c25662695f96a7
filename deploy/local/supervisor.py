"""The supervisor: starts the stack in order, keeps it running, stops it in order."""

from __future__ import annotations

import dataclasses
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from deploy.local.console import Console, tail
from deploy.local.errors import LauncherError, StepFailed, StopRequested, explain
from deploy.local.home import Home
from deploy.local.orphans import PORTAL_NAMES, STOP_ORDER, kind
from deploy.local.process import adopt_orphans, bury_adopted, kill_all, marked
from deploy.local.service import Running, Service
from deploy.local.step import RunningStep, Step

# Seconds between two looks at the children when no signal wakes the supervisor sooner.
TICK_SECONDS = 0.25
# A service that dies is started again after 0.5 s, then 1, 2, … at most 30 s; a minute of life clears its past.
FIRST_BACK_OFF, LAST_BACK_OFF, FORGIVEN_AFTER = 0.5, 30.0, 60.0
# A service that cannot be asked is taken for ready after this time.
SETTLED_AFTER = 5.0
# Deaths before a service has ever been ready, after which the start is given up.
DEATHS_AT_START = 3


class Supervised:
    """One service under supervision."""

    def __init__(self, service: Service, running: Running) -> None:
        self.service = service
        self.running: Running | None = running
        self.restarts = 0
        self.was_ready = False
        self.is_ready = False
        self.back_off = FIRST_BACK_OFF
        self.due = 0.0

    @property
    def state(self) -> str:
        """`starting`, `running`, or `waiting` before it is started again."""
        if self.running is None:
            return "waiting"
        return "running" if self.is_ready else "starting"


def _looks_ready(service: Service, running: Running) -> bool:
    if service.ready is None:
        return time.monotonic() - running.started > SETTLED_AFTER
    return service.ready()


class Supervisor:
    """Runs services in one home until told to stop. Use it from the main thread: children die with that thread."""

    def __init__(self, home: Home, console: Console) -> None:
        self._home = home
        self._console = console
        self._supervised: dict[str, Supervised] = {}
        self._steps: list[RunningStep] = []
        self._spared: list[int] = []
        self.stop_signal: int | None = None
        self._wakeup, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._facts: dict[str, object] = {}

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Inside, Ctrl-C, SIGTERM and SIGHUP ask for a stop, and a child's death wakes the supervisor."""
        adopt_orphans()
        before = {}
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # Under nohup a closed terminal stays ignored.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, self._request_stop)
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(-1)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_signal = number

    def spare(self, pid: int) -> None:
        """Leave this child to its owner, who waits for its exit status."""
        self._spared.append(pid)

    def publish(self, **facts: object) -> None:
        """Add facts to the state file that `status` reads."""
        self._facts |= facts
        self._write_state()

    def start(self, service: Service) -> None:
        """Start a service and keep it running from now on."""
        self._supervised[service.name] = Supervised(service, Running(service, self._home))
        self._write_state()

    def wait_ready(self, *names: str, seconds: float) -> None:
        """Supervise until these services are ready. Raises LauncherError with the tail of the log when they are not."""
        self.run_until(lambda: all(self._supervised[name].is_ready for name in names), seconds, names)

    def run_until(self, condition: Callable[[], bool], seconds: float, names: tuple[str, ...] = ()) -> None:
        """Supervise until the condition holds. Raises LauncherError naming who of `names` is not ready in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.tick()
            if time.monotonic() > deadline:
                slow = next((name for name in names if not self._supervised[name].is_ready), "Cloister")
                log = self._home.log(slow)
                raise LauncherError(
                    f"{slow} was not ready within {seconds:.0f} s: read {log}, then start again.", log=tail(log)
                )

    def run_steps(self, *steps: Step, seconds: float) -> None:
        """Run commands side by side while supervising. Raises LauncherError when one fails, and ends the others."""
        self._steps = [RunningStep(step, self._home) for step in steps]
        deadline = time.monotonic() + seconds
        try:
            while not all(running.has_ended() for running in self._steps):
                self.tick()
                if time.monotonic() > deadline:
                    raise StepFailed(
                        f"{steps[0].name} took longer than {seconds:.0f} s and was stopped: read "
                        f"{self._home.log(steps[0].name)}, then try again."
                    )
            for running in self._steps:
                running.relay(self._console)
                running.raise_if_failed()
        finally:
            self._end_steps()

    def _end_steps(self) -> None:
        for running in self._steps:
            running.end()
        self._steps = []

    def run_forever(self) -> None:
        """Supervise until asked to stop."""
        while True:
            self.tick()

    def tick(self) -> None:
        """Look after everything once, after waiting a moment. Raises StopRequested."""
        self._sleep()
        if self.stop_signal is not None:
            raise StopRequested
        changed = False
        for one in self._supervised.values():
            changed |= self._look_after(one)
        for step in self._steps:
            step.relay(self._console)
        bury_adopted(self._own_pids())
        if changed:
            self._write_state()

    def stop(self) -> None:
        """Stop everything in order; bounded, whatever the services do."""
        self._end_steps()
        alive = [one.running for one in self._supervised.values() if one.running is not None]
        alive.sort(key=lambda running: STOP_ORDER.index(kind(running.service.name)))
        # Clock, worker and web server do not need each other: they may end at the same time.
        portal = [running for running in alive if kind(running.service.name) in PORTAL_NAMES]
        for running in portal:
            running.ask_to_stop()
        for running in alive:
            if running not in portal:
                running.ask_to_stop()
            running.wait_stopped()
        self._supervised.clear()
        kill_all(lambda: marked(str(self._home.path)))
        bury_adopted(())
        self._home.state_file.unlink(missing_ok=True)

    def _own_pids(self) -> list[int]:
        services = [one.running.pid for one in self._supervised.values() if one.running]
        return services + [step.pid for step in self._steps] + self._spared

    def _sleep(self) -> None:
        readable, _, _ = select.select([self._wakeup], [], [], TICK_SECONDS)
        if readable:
            os.read(self._wakeup, 4096)

    def _look_after(self, one: Supervised) -> bool:
        """Restart a dead service when it is time, notice a ready one; returns whether anything changed."""
        name = one.service.name
        if one.running is None:
            if time.monotonic() < one.due:
                return False
            try:
                one.running = Running(one.service, self._home)
            except (OSError, LauncherError) as error:
                # No room for its log, or no process to spare: that may pass.
                self._console.say(f"{name} cannot be started ({explain(error)})")
                self._postpone(one)
            one.restarts += 1
            return True
        if one.running.has_ended():
            if time.monotonic() - one.running.started > FORGIVEN_AFTER:
                one.back_off = FIRST_BACK_OFF
            how = one.running.bury()
            one.running, one.is_ready = None, False
            if not one.was_ready and one.restarts + 1 >= DEATHS_AT_START:
                log = self._home.log(name)
                raise LauncherError(f"{name} does not start ({how}): mend what {log} says.", log=tail(log))
            self._console.say(f"{name} ended ({how}); starting it again in {one.back_off:g} s.")
            self._postpone(one)
            return True
        if not one.is_ready and _looks_ready(one.service, one.running):
            one.is_ready = one.was_ready = True
            if one.restarts:
                self._console.say(f"{name} is back.")
            return True
        return False

    @staticmethod
    def _postpone(one: Supervised) -> None:
        one.due = time.monotonic() + one.back_off
        one.back_off = min(2 * one.back_off, LAST_BACK_OFF)

    def _write_state(self) -> None:
        processes = [
            {
                "name": name,
                "identity": dataclasses.asdict(one.running.identity) if one.running else None,
                "state": one.state,
                "restarts": one.restarts,
                "port": one.service.port,
            }
            for name, one in self._supervised.items()
        ]
        try:
            self._home.write_state({**self._facts, "processes": processes})
        except OSError as error:
            # On a full disk the services go on, and so must their supervisor; `status` is behind meanwhile.
            self._console.say(f"The state cannot be written: {explain(error)}")
