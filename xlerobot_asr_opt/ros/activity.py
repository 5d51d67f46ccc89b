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
        super().__init__('activity', namespace, domain)
        self._client = self._node.create_client(IsActive, f'{manager}/is_active')
        self._request: Future | None = None
        self._sent = 0.0
        self.degradation: Degradation | None = None

    def watch_level(self) -> None:
        """Hear the level of degradation, too."""
        self._node.create_subscription(
            DegradationLevel, names.LEVEL, heeding(names.LEVEL, self._on_level),
            names.LATCHED_QOS)

    def poll(self, seconds: float) -> tuple[bool, tuple[str, ...]] | None:
        """Work for at most that long.

        Returns:
            Whether all nodes are active, and "name: what it is and why" of those that are not;
            None while there is no answer.
        """
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
        return answer.active, tuple(answer.inactive)

    def _on_level(self, message: DegradationLevel) -> None:
        self.degradation = read_level(message)
