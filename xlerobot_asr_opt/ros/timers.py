"""Timers of the nodes."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.timer import Timer

__all__ = ['steady_timer']


def steady_timer(node: Node, period_s: float, callback: Callable[[], None]) -> Timer:
    """Call back every period_s [s] by the clock that cannot jump.

    The node's own clock stands still where use_sim_time is set and nobody publishes /clock: what
    watches over processes and deadlines must go on then.
    """
    return node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
