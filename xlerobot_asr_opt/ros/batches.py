"""A subscription to plain messages by the thousand: they are taken and handed on many at a time.

One call of the middleware copies all that have come into the rows of one array; no message costs a
step of Python. While messages come faster than every few milliseconds the subscription rests in
between, so that more come together; the message after a pause is taken at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.timer import Timer
from rclpy.waitable import NumberOfEntities, Waitable

from xlerobot_asr_opt.ros import rcl
from xlerobot_asr_opt.ros.events import forgo_events
from xlerobot_asr_opt.ros.loans import TakenByUs
from xlerobot_asr_opt.ros.plain import dtype_of

__all__ = ['BatchSubscription']

CAPACITY = 256
"""Messages that are handed on at a time."""
REST_S = 0.005


class BatchSubscription:
    """Calls back with the messages that have come, in order."""

    def __init__(
        self, node: Node, message_type: Any, topic: str, callback: Callable[[np.ndarray], None],
        qos: QoSProfile,
    ) -> None:
        """Create the subscription.

        Args:
            node: The node that owns it.
            message_type: The class of a plain message.
            topic: Topic name, resolved like any other.
            callback: Gets a structured array of the messages, one or more, valid until it
                returns.
            qos: QoS profile.

        Raises:
            TransportError: The message is not plain.
        """
        self._node = node
        rows = rcl.Rows(dtype_of(message_type), CAPACITY)
        self._subscription = node.create_subscription(
            message_type, topic, callback, qos, callback_group=TakenByUs())
        forgo_events(node, self._subscription)
        self._taker = _Taker(node, self._subscription.handle, rows, callback)
        node.add_waitable(self._taker)

    def destroy(self) -> None:
        """Destroy the subscription."""
        self._node.remove_waitable(self._taker)
        self._node.destroy_subscription(self._subscription)
        self._taker.destroy()


class _Taker(Waitable):
    """Puts the subscription into the executor's wait set, or a timer while it rests."""

    def __init__(
        self, node: Node, handle: Any, rows: rcl.Rows, callback: Callable[[np.ndarray], None],
    ) -> None:
        super().__init__(node.default_callback_group)
        self._handle = handle
        self._rows = rows
        self._callback = callback
        self._timer = Timer(
            None, None, int(REST_S * 1e9), Clock(clock_type=ClockType.STEADY_TIME),
            context=node.context)
        self._timer.cancel()
        self._resting = False
        self._ended_at = 0.0
        self._index = 0

    def __enter__(self) -> None:
        self._handle.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._handle.__exit__(*exception)

    def destroy(self) -> None:
        self._timer.destroy()

    def get_num_entities(self) -> NumberOfEntities:
        return NumberOfEntities(num_subs=1, num_timers=1)

    def add_to_wait_set(self, wait_set: Any) -> None:
        self._index = (
            wait_set.add_timer(self._timer.handle) if self._resting
            else wait_set.add_subscription(self._handle))

    def is_ready(self, wait_set: Any) -> bool:
        return bool(wait_set.is_ready('timer' if self._resting else 'subscription', self._index))

    def take_data(self) -> None:
        """Take nothing yet: the rows are filled anew by each call."""

    async def execute(self, _: None) -> None:
        with self._handle:
            taken = rcl.take_rows(self._handle.pointer, self._rows)
            frequent = time.monotonic() - self._ended_at < 2 * REST_S
            if taken.size:
                self._callback(taken)
                self._ended_at = time.monotonic()
        # A full batch has more behind it.
        self._rest(0 < taken.size < CAPACITY and frequent)

    def _rest(self, rest: bool) -> None:
        self._resting = rest
        if rest:
            self._timer.reset()
        else:
            self._timer.cancel()
