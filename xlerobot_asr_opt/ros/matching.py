"""A subscription to a topic of somebody else's, whatever quality of service he offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

__all__ = ['MatchingSubscription']


class MatchingSubscription:
    """Reliable and volatile, until the publishers are seen to offer less, or more.

    A reliable subscription gets nothing of a best-effort publisher, and a volatile one not the
    message that a publisher keeps for those who come late.
    """

    def __init__(
        self, node: Node, message_type: Any, topic: str, callback: Callable[[Any], None],
        depth: int = 10,
    ) -> None:
        """Listen to topic, resolved like any other."""
        self._node = node
        self._message_type = message_type
        self._topic = topic
        self._callback = callback
        self._depth = depth
        self._offered = ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE
        self._subscription = self._subscribe()

    def on_tick(self) -> None:
        """Look at the publishers; once a second is enough."""
        profiles = [one.qos_profile
                    for one in self._node.get_publishers_info_by_topic(self._topic)]
        if not profiles:
            return
        best_effort = any(one.reliability is ReliabilityPolicy.BEST_EFFORT for one in profiles)
        latched = all(one.durability is DurabilityPolicy.TRANSIENT_LOCAL for one in profiles)
        offered = (
            ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
            DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)
        if offered != self._offered:
            self._offered = offered
            self.destroy()
            self._subscription = self._subscribe()

    def destroy(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self) -> Subscription:
        reliability, durability = self._offered
        return self._node.create_subscription(
            self._message_type, self._topic, self._callback, QoSProfile(
                reliability=reliability, durability=durability,
                history=HistoryPolicy.KEEP_LAST, depth=self._depth))
