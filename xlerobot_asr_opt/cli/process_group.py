"""Starts a set of processes, starts again what ends, and ends all of it: no orphan, no hot loop.

Each child has a thread that starts it, reads its output and waits for its end. The kernel kills a
child when that thread is gone (PR_SET_PDEATHSIG), so that nothing is left when this process is
killed. Children have a session of their own: a Ctrl-C in the terminal reaches this process alone,
which then ends them in order.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from xlerobot_asr_opt.core.respawning import EXIT_CONFIGURATION, Respawning

__all__ = ['Child', 'ProcessGroup']

STAGE_S = 0.7
"""Time that one stage gets to end before the next one is asked to [s]."""
TERMINATE_S = 2.0
"""Time after which those that did not heed SIGINT get SIGTERM [s]."""
KILL_S = 2.5
"""Time after which the rest is killed [s]."""
KEPT_LINES = 20
"""Lines of a child's output that are kept for the message of a failure."""

PR_SET_PDEATHSIG = 1
"""Source: linux/prctl.h."""

Write = Callable[[str, str], None]
"""Takes the name of a child and one line of its output; called in the child's thread."""

logger = logging.getLogger(__name__)
_libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class Child:
    """What to start.

    Attributes:
        name: for messages and output.
        command: program and arguments.
        environment: variables to add to the environment.
        stop_stage: stages end one after the other, the lowest first.
        respawn: start it again when it ended.
        respawn_delay: wait before that [s]; doubled with each start that fails at once.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_stage: int = 0
    respawn: bool = True
    respawn_delay: float = 0.5


class ProcessGroup:
    """Keeps a set of children running from start() to stop().

    Args:
        children: what to start.
        write: takes their output.
        ended: called when a child has ended, in its thread, before it is started again.
    """

    def __init__(
        self, children: Sequence[Child], write: Write, ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._keepers = [_Keeper(child, write, ended) for child in children]

    def start(self) -> None:
        """Start every child."""
        for keeper in self._keepers:
            keeper.thread.start()

    def stop(self) -> None:
        """End every child, stage by stage; returns within three seconds, when all are gone."""
        begin = time.monotonic()
        for keeper in self._keepers:
            keeper.respawn_no_more()
        for stage in sorted({keeper.child.stop_stage for keeper in self._keepers}):
            members = [keeper for keeper in self._keepers if keeper.child.stop_stage == stage]
            _signal(members, signal.SIGINT, patience=STAGE_S)
        self.wait(begin + TERMINATE_S - time.monotonic())
        _signal(self._keepers, signal.SIGTERM, patience=begin + KILL_S - time.monotonic())
        _signal(self._keepers, signal.SIGKILL, patience=None)

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one child, if it runs."""
        for keeper in self._keepers:
            if keeper.child.name == name:
                keeper.send(number)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no child runs and none will be started; return whether that is so."""
        return _wait(self._keepers, timeout)

    @property
    def pids(self) -> dict[str, int]:
        """Process of each child that runs, by the child's name."""
        return {keeper.child.name: keeper.pid for keeper in self._keepers if keeper.pid}

    @property
    def given_up(self) -> dict[str, str]:
        """Why a child is not started any more, by the child's name."""
        return {keeper.child.name: keeper.given_up for keeper in self._keepers if keeper.given_up}

    @property
    def refused(self) -> tuple[str, ...]:
        """Children that ended because they cannot run as they were told to."""
        return tuple(keeper.child.name for keeper in self._keepers
                     if keeper.given_up and keeper.status == EXIT_CONFIGURATION)

    def tail(self, name: str) -> list[str]:
        """Return the last lines that a child wrote."""
        return next(list(keeper.tail) for keeper in self._keepers if keeper.child.name == name)


class _Keeper:
    """One child: its thread, its present process, its last words."""

    def __init__(self, child: Child, write: Write, ended: Callable[[], None]) -> None:
        self.child = child
        self._ended = ended
        self.given_up = ''
        self.status = 0
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)
        self.thread = threading.Thread(target=self._run, name=f'keeps {child.name}', daemon=True)
        self._write = write
        self._respawning = Respawning(child.respawn_delay)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """The running process; 0: none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else 0

    def respawn_no_more(self) -> None:
        """Start no further process."""
        with self._lock:
            self._stopping.set()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if one runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def _run(self) -> None:
        delay: float | None = 0.0
        while delay is not None and not self._stopping.wait(delay):
            delay = self._run_once()

    def _run_once(self) -> float | None:
        """Run one process to its end; return the wait before the next one, None for none."""
        begin = time.monotonic()
        with self._lock:
            if self._stopping.is_set():
                return None
            try:
                self._process = process = _spawn(self.child)
            except OSError as error:
                self._give_up(f'cannot be started: {error}')
                return None
        for raw in process.stdout or ():
            line = raw.decode('utf-8', 'replace').rstrip('\r\n')
            self.tail.append(line)
            self._write(self.child.name, line)
        self.status = process.wait()
        if self._stopping.is_set():
            return None
        self._ended()
        ended = f'ended with {_describe(self.status)}'
        delay = self._respawning.after(time.monotonic() - begin, self.status)
        if delay is None or not self.child.respawn:
            self._give_up(f'{ended} and is not started again')
            return None
        logger.warning('%s %s; started again in %.1f s', self.child.name, ended, delay)
        return delay

    def _give_up(self, reason: str) -> None:
        self.given_up = reason
        logger.error('%s %s', self.child.name, reason)


def _spawn(child: Child) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(EXIT_CONFIGURATION)
        # A shell that starts us in the background has us ignore SIGINT: not so the children.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    # What prepare does takes no lock that another thread could hold while this one forks.
    return subprocess.Popen(
        child.command, env={**os.environ, **child.environment}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=prepare)  # noqa: PLW1509


def _signal(keepers: Sequence[_Keeper], number: signal.Signals, patience: float | None) -> None:
    """Signal those that still run, and wait for their end."""
    for keeper in keepers:
        keeper.send(number)
    _wait(keepers, patience)


def _wait(keepers: Sequence[_Keeper], patience: float | None) -> bool:
    until = time.monotonic() + (patience or 0.0)
    for keeper in keepers:
        keeper.thread.join(None if patience is None else max(0.0, until - time.monotonic()))
    return not any(keeper.thread.is_alive() for keeper in keepers)


def _describe(status: int) -> str:
    return f'status {status}' if status >= 0 else signal.Signals(-status).name
