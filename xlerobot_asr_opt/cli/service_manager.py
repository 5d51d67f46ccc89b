"""What a service manager is told of the graph: ready, alive, stopping (protocol: sd_notify(3))."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

__all__ = ['Pulse', 'ServiceManager']

SIGNS = 4
"""Signs of life in one period of the watchdog: three may come late or be lost."""

logger = logging.getLogger(__name__)


class ServiceManager:
    """The socket of systemd, or of nobody where no service manager started this process.

    Args:
        environment: its variables are taken out: a child must not speak in our name, nor wait for
            a watchdog that is not its own.
        pid: of this process; a watchdog that is for another one is none.
    """

    def __init__(self, environment: MutableMapping[str, str], pid: int) -> None:
        address = environment.pop('NOTIFY_SOCKET', '')
        period = environment.pop('WATCHDOG_USEC', '')
        owner = environment.pop('WATCHDOG_PID', str(pid))
        # An address that begins with @ is Linux's abstract one, which begins with a zero.
        self._address = f'\0{address[1:]}' if address.startswith('@') else address
        meant = bool(address) and owner == str(pid) and period.isdecimal()
        self.watchdog_s = int(period) / 1e6 if meant else 0.0
        """Time without a sign of life after which this process is ended [s]; 0: no watchdog."""

    def tell(self, *states: str) -> None:
        """Send states such as READY=1, in one message; it is logged if nobody can take them."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.sendto('\n'.join(states).encode(), self._address)
        except OSError as error:
            logger.warning('the service manager cannot be told %s: %s', ' '.join(states), error)


class Pulse:
    """Gives a sign of life for each one that it got itself, and none of its own.

    Args:
        period: time without a sign of life that is tolerated [s].
        tell: takes the sign of life.
        clock: monotonic time [s].
    """

    def __init__(
        self, period: float, tell: Callable[[str], None], clock: Callable[[], float],
    ) -> None:
        self._interval = period / SIGNS
        self._tell = tell
        self._clock = clock
        self._due = clock()

    def turn(self, *, answers: bool) -> None:
        """Pass on that whoever has to be alive answered, if it is time."""
        if answers and self._clock() >= self._due:
            self._due = self._clock() + self._interval
            self._tell('WATCHDOG=1')
