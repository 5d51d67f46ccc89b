"""Has a node heed the level of degradation that the manager tells, as long as it is renewed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.core.degradation_effects import LevelLease
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import read_level
from xlerobot_asr_opt.ros.heeding import heeding
from xlerobot_asr_opt.ros.timers import steady_timer

if TYPE_CHECKING:
    from rclpy.node import Node

    from xlerobot_asr_opt.records import Degradation

__all__ = ['LevelWatch']

LOOK_PERIOD_S = 1.0
"""Between two looks whether the level is still renewed."""


class LevelWatch:
    """Hears the level on a node.

    Args:
        node: who heeds it.
        heed: takes the level, whenever another one or another reason is to be heeded.
    """

    def __init__(self, node: Node, heed: Callable[[Degradation], None]) -> None:
        self._node = node
        self._heed = heed
        self._lease = LevelLease(time.monotonic)
        self._heeded = self._lease.degradation
        node.create_subscription(
            msg.DegradationLevel, names.LEVEL, heeding(names.LEVEL, self._on_level),
            names.LATCHED_QOS)
        steady_timer(node, LOOK_PERIOD_S, self._look)

    @property
    def degradation(self) -> Degradation:
        """What is heeded now."""
        return self._heeded

    def _on_level(self, message: msg.DegradationLevel) -> None:
        self._lease.renew(read_level(message))
        self._look()

    def _look(self) -> None:
        degradation = self._lease.degradation
        before, self._heeded = self._heeded, degradation
        if degradation.level is not before.level:
            self._node.get_logger().info(
                f'level {degradation.level.word}: '
                f'{degradation.reason or "no manager tells of another one"}')
        if _heeded(degradation) != _heeded(before):
            self._heed(degradation)


def _heeded(degradation: Degradation) -> tuple[object, ...]:
    """What changes something; the pressure changes all the time."""
    return degradation.level, degradation.forced, degradation.reason
