"""A subscription whose messages wait until they are asked for.

Each wake of an executor costs about as much as ten messages that are taken in a row. What need not
be known at once is better taken at a turn that comes anyway.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile

from xlerobot_asr_opt.ros.events import forgo_events
from xlerobot_asr_opt.ros.loans import TakenByUs

__all__ = ['PolledSubscription']

DEPTH = 1000
"""Messages that may wait, at least: a queue of one would keep the newest of all publishers."""


class PolledSubscription:
    """Takes messages when poll() is called; wakes nobody.

    Args:
        node: the node that owns it.
        message_type: the message class.
        topic: topic name, resolved like any other.
        callback: takes one message.
        qos: QoS profile; messages wait in a queue of DEPTH, if its own is shorter.
    """

    def __init__(
        self, node: Node, message_type: Any, topic: str, callback: Callable[[Any], None],
        qos: QoSProfile,
    ) -> None:
        self._node = node
        self._callback = callback
        deep = copy.copy(qos)
        deep.depth = max(DEPTH, qos.depth)
        self._subscription = node.create_subscription(
            message_type, topic, callback, deep, callback_group=TakenByUs())
        forgo_events(node, self._subscription)

    def poll(self) -> None:
        """Call back for every message that has come, in order."""
        take, kind = self._subscription.handle.take_message, self._subscription.msg_type
        while (taken := take(kind, False)) is not None:
            self._callback(taken[0])

    def destroy(self) -> None:
        """Destroy the subscription."""
        self._node.destroy_subscription(self._subscription)
