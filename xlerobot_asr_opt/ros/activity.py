"""Asks the manager of a graph from outside whether all of its nodes are active."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from xlerobot_asr_interfaces.msg import DegradationLevel
from xlerobot_asr_interfaces.srv import IsActive
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import read_level
from xlerobot_asr_opt.ros.guest import Guest
from xlerobot_asr_opt.ros.heeding import heeding

if TYPE_CHECKING:
    from rclpy.task import Future

    from xlerobot_asr_opt.records import Degradation

__all__ = ['Activity']

RESEND_S = 0.25
"""Time without an answer after which a request counts as lost: a reply that comes before the
client's reader is known goes nowhere [s]."""
REJOIN_S = 3.0
"""Time without an answer after which the node comes anew [s]: while the ports of a killed process
are cleared away, one that comes may be left with a port by which nobody reaches it."""


class Activity(Guest):
    """A client of a manager's ``is_active``, with a context of its own beside the process's.

    Args:
        namespace: of the graph, with its leading slash.
        manager: name of the manager's node.
        domain: ROS_DOMAIN_ID; None: the environment's.

    Attributes:
        degradation: the newest level that was told of since watch_level(); None: none was.
    """

    def __init__(
        self, namespace: str, domain: int | None = None, manager: str = 'manager',
    ) -> None:
        self._manager = manager
        self._watches_level = False
        self.degradation: Degradation | None = None
        super().__init__('activity', namespace, domain)

    def _join(self) -> None:
        super()._join()
        self._client = self._node.create_client(IsActive, f'{self._manager}/is_active')
        self._request: Future | None = None
        self._sent = 0.0
        self._heard = time.monotonic()
        if self._watches_level:
            self.watch_level()

    def watch_level(self) -> None:
        """Hear the level of degradation, too."""
        self._watches_level = True
        self._node.create_subscription(
            DegradationLevel, names.LEVEL, heeding(names.LEVEL, self._on_level),
            names.LATCHED_QOS)

    def poll(self, seconds: float) -> tuple[bool, tuple[str, ...]] | None:
        """Work for at most that long.

        Returns:
            Whether all nodes are active, and "name: what it is and why" of those that are not;
            None while there is no answer.
        """
        if time.monotonic() - self._heard > REJOIN_S:
            self.close()
            self._join()
        if self._request is None and self._client.service_is_ready():
            self._request = self._client.call_async(IsActive.Request())
            self._sent = time.monotonic()
        self._executor.spin_once(timeout_sec=seconds)
        if self._request is None:
            return None
        if not self._request.done():
            if time.monotonic() - self._sent > RESEND_S:
                self._client.remove_pending_request(self._request)
                self._request = None
            return None
        answer, self._request = self._request.result(), None
        self._heard = time.monotonic()
        return answer.active, tuple(answer.inactive)

    def _on_level(self, message: DegradationLevel) -> None:
        self.degradation = read_level(message)
