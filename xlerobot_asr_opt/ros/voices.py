"""The streams as voices of REP-155: who is there, and who speaks. Where hri_msgs is installed."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Bool

from xlerobot_asr_opt.records import StreamState, StreamStatus
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.live_speech import VOICES, voice_id

try:
    from hri_msgs.msg import IdsList
except ImportError:  # not on every robot, and not among the packages that this one may ask for
    IdsList = None

__all__ = ['VoicesPublisher']

_OVER = (StreamState.ENDED, StreamState.FAILED)


class VoicesPublisher:
    """Publishes the list of voices, and of each whether it speaks; nothing without hri_msgs."""

    def __init__(self, node: Node) -> None:
        """Publish from node; the topics are absolute, as REP-155 has them."""
        self._node = node
        self._speaking: dict[str, tuple[Publisher, bool]] = {}
        self._tracked = IdsList and node.create_publisher(
            IdsList, f'/{names.VOICES_TRACKED}', names.LATCHED_QOS)

    def tell(self, statuses: Iterable[StreamStatus]) -> None:
        """Take the states of streams that may have changed."""
        if self._tracked is None:
            return
        before = set(self._speaking)
        for status in statuses:
            self._tell(voice_id(status.stream), status.state)
        if set(self._speaking) != before:
            self._list()

    def clear(self) -> None:
        """Nobody is heard any more."""
        for publisher, speaking in self._speaking.values():
            if speaking:
                publisher.publish(Bool(data=False))
            self._node.destroy_publisher(publisher)
        if self._speaking:
            self._speaking.clear()
            self._list()

    def _list(self) -> None:
        message = IdsList(ids=sorted(self._speaking))
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._tracked.publish(message)

    def _tell(self, voice: str, state: StreamState) -> None:
        speaking = state is StreamState.SPEECH
        if voice not in self._speaking:
            if state in _OVER or len(self._speaking) >= VOICES:
                return
            publisher, said = self._node.create_publisher(
                Bool, f'/{names.IS_SPEAKING.format(voice)}', names.LATCHED_QOS), None
        else:
            publisher, said = self._speaking[voice]
        if speaking != said:
            publisher.publish(Bool(data=speaking))
        self._speaking[voice] = publisher, speaking
        if state in _OVER:
            self._node.destroy_publisher(self._speaking.pop(voice)[0])
