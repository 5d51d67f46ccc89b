"""Keeps a process that starts from taking over the shared-memory ports of one that was killed.

Fast DDS gives a new participant the lowest port that nobody has locked, after a kill the dead
one's. The others go on sending to that port until the dead participant's lease is over (20 s).
Each of them finds it ownerless, removes it by its name and makes another, under the hands of the
new owner, who may be left with a port that no longer has a name: nobody reaches him, and he does
not find out. (Fast DDS 2.14, SharedMemGlobal.hpp: is_zombie, open_port_internal, ~Port.) While a
port's lock is held it counts as owned, and the new participant takes another one.
"""

from __future__ import annotations

import contextlib
import fcntl
import threading
from pathlib import Path
from typing import IO

from xlerobot_asr_opt.ros.shared_memory import sweep_stale_segments

__all__ = ['DeadPorts']

FORGOTTEN_S = 30.0
"""By then everybody has forgotten who was killed, after a lease of 20 s [s]."""
_DIRECTORY = Path('/dev/shm')


class DeadPorts:
    """Holds the locks of ports whose owners have ended, each for a while, and sweeps after that.

    Args:
        directory: where the middleware's shared memory lies.
        forgotten_s: for how long a lock is held [s].
    """

    def __init__(
        self, directory: Path = _DIRECTORY, forgotten_s: float = FORGOTTEN_S,
    ) -> None:
        self._directory = directory
        self._forgotten_s = forgotten_s
        self._lock = threading.Lock()
        self._held: dict[threading.Timer, list[IO[bytes]]] = {}

    def hold(self) -> None:
        """Take over what has no owner now: when a process has ended, before another starts."""
        ports = [lock for lock in map(_take, self._directory.glob('fast*_port*_el')) if lock]
        timer = threading.Timer(self._forgotten_s, lambda: self._let_go(timer))
        timer.daemon = True
        with self._lock:
            self._held[timer] = ports
        timer.start()

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            held, self._held = self._held, {}
        for timer, ports in held.items():
            timer.cancel()
            _close(ports)

    def _let_go(self, timer: threading.Timer) -> None:
        with self._lock:
            ports = self._held.pop(timer, None)
        if ports is not None:
            _close(ports)
            sweep_stale_segments(self._directory)


def _take(path: Path) -> IO[bytes] | None:
    """Lock a file that nobody has locked; None: it is somebody's."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(path.open('rb'))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (FileNotFoundError, PermissionError, BlockingIOError):
            return None
        stack.pop_all()
        return lock


def _close(ports: list[IO[bytes]]) -> None:
    for lock in ports:
        lock.close()
