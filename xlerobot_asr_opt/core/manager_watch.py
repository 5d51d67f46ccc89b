"""Decides when a manager that does not answer is ended, so that its launcher starts another.

The manager watches all other nodes; this is the rule by which it is watched itself. It has no
heartbeat: that it answers a question of its service tells that its executor turns.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

__all__ = ['ManagerWatch']

HUNG_S = 4.0
"""A manager that has answered, and has not for this long, hangs: as other nodes do [s]."""
START_S = 15.0
"""A new process gets this long to its first answer: it may be found only when it announces itself
again [s]."""
GRACE_S = 1.0
"""Time to leave a trace of where it hangs, before it is killed [s]."""
STARVED = 5
"""One that waits for a processor gets this many times the time."""
STALL_S = 2.0
"""A watch that was not called for this long was held up itself, and blames nobody [s]."""


class ManagerWatch:
    """The rule for the manager's process.

    Args:
        clock: monotonic time [s].
        waited: how long a process has been ready to run without a processor so far [s].
    """

    def __init__(
        self, clock: Callable[[], float], waited: Callable[[int], float] = lambda _pid: 0.0,
    ) -> None:
        self._clock = clock
        self._waited = waited
        self._waited_before = 0.0
        self._last = self._since = clock()
        self._pid = 0
        self._patience = START_S
        self._ending = False

    def turn(self, pid: int, *, answers: bool) -> signal.Signals | None:
        """Return the signal to be sent to the process now, if any; call it every second or so.

        Args:
            pid: the manager's process; 0: none runs.
            answers: whether it answered since the last call.
        """
        now = self._clock()
        gap, self._last = now - self._last, now
        if gap > STALL_S:
            self._since += gap
        if answers or pid != self._pid:
            self._patience = HUNG_S if answers else START_S
            self._pid, self._since, self._ending = pid, now, False
            self._waited_before = self._waited(pid)
        if not pid or not self._is_over(now - self._since):
            return None
        number = signal.SIGKILL if self._ending else signal.SIGABRT
        self._ending, self._since, self._patience = True, now, GRACE_S
        return number

    def _is_over(self, seconds: float) -> bool:
        """Whether so long a silence is too long for a process that had a processor."""
        if seconds < self._patience:
            return False
        starved = self._waited(self._pid) - self._waited_before
        return (self._ending or seconds - starved >= self._patience
                or seconds >= STARVED * self._patience)
