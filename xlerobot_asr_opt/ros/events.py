"""What the middleware tells of a subscription beside its messages."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.subscription import Subscription

__all__ = ['forgo_events']


def forgo_events(node: Node, subscription: Subscription) -> None:
    """Wait for no QoS events of a subscription whose messages may lie untaken.

    Fast DDS wakes whoever waits for them for messages, too, at every turn.
    """
    for handler in subscription.event_handlers:
        node.remove_waitable(handler)
        handler.destroy()
    subscription.event_handlers.clear()
