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
import os
import threading
import time
from pathlib import Path
from typing import IO

from xlerobot_asr_opt.ros.shared_memory import mapped_files, sweep_stale_segments

__all__ = ['DeadPorts']

FORGOTTEN_S = 30.0
"""By then everybody has forgotten who was killed, after a lease of 20 s [s]."""
LOOK_S = 2.0
"""How often it is looked whether anybody still knows a port that is held [s]."""
FIRST_PORT, PORTS_OF_A_DOMAIN = 7400, 250
"""Of domain 0; below it are those of the second shared-memory transport, of every domain."""
TRIES, TRY_S = 10, 0.01
"""How often a lock is tried for, and how far apart [s]: who finds the port ownerless has it for a
moment, an owner always."""
_DIRECTORY = Path('/dev/shm')


class DeadPorts:
    """Holds the locks of ports whose owners have ended, until nobody has them mapped; then sweeps.

    Args:
        domain: ROS_DOMAIN_ID of the processes, whose ports alone are held; None: the
            environment's.
        directory: where the middleware's shared memory lies.
        look_s: how often it is looked [s].
    """

    def __init__(
        self, domain: int | None = None, directory: Path = _DIRECTORY, look_s: float = LOOK_S,
    ) -> None:
        if domain is None:
            domain = int(os.environ.get('ROS_DOMAIN_ID') or 0)
        first = FIRST_PORT + PORTS_OF_A_DOMAIN * domain
        self._ports = range(first, first + PORTS_OF_A_DOMAIN)
        self._directory = directory
        self._look_s = look_s
        self._lock = threading.Lock()
        self._held: dict[IO[bytes], float] = {}
        self._timer: threading.Timer | None = None

    def hold(self) -> None:
        """Take over what has no owner now: when a process has ended, before another starts."""
        until = time.monotonic() + FORGOTTEN_S
        taken = []
        for _ in range(TRIES):
            taken += [port for port in map(_take, self._locks()) if port is not None]
            time.sleep(TRY_S)
        with self._lock:
            self._held.update((port, until) for port in taken)
            if self._timer is None:
                self._look_later()

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            self._let_go(self._held)

    def _locks(self) -> list[Path]:
        """The locks of the domain's ports, and of those that all domains share."""
        found = ((path, int(path.stem.removesuffix('_el').rpartition('port')[2] or -1))
                 for path in self._directory.glob('fast*_port[0-9]*_el'))
        return [path for path, port in found if port in self._ports or port < FIRST_PORT]

    def _look_later(self) -> None:
        self._timer = threading.Timer(self._look_s, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        """Let go of what nobody knows any more, and look again if something is left."""
        # Looking takes its time on a busy machine: hold() must not wait for it.
        with self._lock:
            before = set(self._held)
        known, now = mapped_files(self._directory), time.monotonic()
        with self._lock:
            if self._timer is not threading.current_thread():
                return
            self._let_go({port: until for port, until in self._held.items()
                          if port in before and (_name(port) not in known or now > until)})
            if self._held:
                self._look_later()
                return
            self._timer = None
        sweep_stale_segments(self._directory)

    def _let_go(self, ports: dict[IO[bytes], float]) -> None:
        for port in list(ports):
            del self._held[port]
            port.close()


def _name(lock: IO[bytes]) -> str:
    """The name of the port that a lock is for."""
    return Path(lock.name).name.removesuffix('_el')


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
