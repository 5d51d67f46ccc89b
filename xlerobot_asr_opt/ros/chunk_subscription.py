"""Listens to one audio topic, whatever reliability its publishers offer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.batches import BatchSubscription

__all__ = ['ChunkSubscription']


class ChunkSubscription:
    """A subscription that is reliable, until a publisher appears that can only be heard otherwise.

    A reliable subscription gets nothing at all from a best-effort publisher. The audio of such a
    one is taken as it comes; the sequence numbers show what it loses.
    """

    def __init__(
        self, node: Node, topic: str, accept: Callable[[np.ndarray], None],
    ) -> None:
        """Listen to topic.

        Args:
            node: the ingest node.
            topic: of AudioChunk.
            accept: gets records.CHUNK[n], valid until it returns.
        """
        self._node = node
        self._topic = topic
        self._accept = accept
        self._best_effort = False
        self._subscription = self._subscribe()

    def on_tick(self) -> None:
        """Look at the publishers; once a second is enough."""
        if self._best_effort:
            return
        offered = self._node.get_publishers_info_by_topic(self._topic)
        if any(one.qos_profile.reliability is ReliabilityPolicy.BEST_EFFORT for one in offered):
            self._node.get_logger().warning(
                f'{self._topic} has a best-effort publisher: what the network drops is lost, and '
                'counted; publish with reliability RELIABLE to lose nothing')
            self._best_effort = True
            self._subscription.destroy()
            self._subscription = self._subscribe()

    def destroy(self) -> None:
        """Stop listening."""
        self._subscription.destroy()

    def _subscribe(self) -> BatchSubscription:
        qos = copy.copy(names.AUDIO_QOS)
        if self._best_effort:
            qos.reliability = ReliabilityPolicy.BEST_EFFORT
        return BatchSubscription(self._node, msg.AudioChunk, self._topic, self._accept, qos)
