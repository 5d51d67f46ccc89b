"""Decides whether and when a process that ended is started again.

Crash only: what ends is started again, whatever its status, but for the one status that says that
another start would end the same way. A process that keeps ending at once is left alone after a
while, so that it does not take the machine from the others.
"""

from __future__ import annotations

__all__ = ['EXIT_CONFIGURATION', 'Respawning']

EXIT_CONFIGURATION = 2
"""Exit status where a restart cannot help: a bad parameter, or another instance."""
STABLE_S = 10.0
"""A process that ran for this long had started well [s]."""
MOST_FAILURES = 5
"""Starts in a row that may fail before a process is given up."""


class Respawning:
    """The rule for one process.

    Args:
        delay: wait before the first restart [s]; doubled with each further start that fails.
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._failures = 0

    def after(self, lived: float, status: int) -> float | None:
        """Return the wait before the next start [s], or None for no further one.

        Args:
            lived: how long the process ran [s].
            status: its exit status; negative: the signal that ended it.
        """
        if status == EXIT_CONFIGURATION:
            return None
        if lived >= STABLE_S:
            self._failures = 0
            return self._delay
        self._failures += 1
        if self._failures > MOST_FAILURES:
            return None
        return self._delay * 2.0 ** (self._failures - 1)
