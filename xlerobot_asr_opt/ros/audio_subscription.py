"""Listens to one audio topic, whatever type and reliability its publishers offer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.core.topic_entries import TopicEntry
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.audio_messages import FAMILIES, NATIVE, message_class
from xlerobot_asr_opt.ros.batches import BatchSubscription
from xlerobot_asr_opt.ros.foreign_audio import ForeignSubscription

__all__ = ['AudioSubscription']


class AudioSubscription:
    """A subscription to AudioChunk, until publishers of another type appear that can be read.

    It is reliable, until a publisher appears that can only be heard otherwise: a reliable
    subscription gets nothing at all from a best-effort publisher. The audio of such a one is taken
    as it comes; the sequence numbers show what it loses.
    """

    def __init__(
        self, node: Node, entry: TopicEntry, accept: Callable[[np.ndarray], None],
        refuse: Callable[[str, str], None],
    ) -> None:
        """Listen to a topic.

        Args:
            node: the ingest node.
            entry: its name, and what is known of its messages; an entry without a type follows
                what the publishers have, which it learns at the next on_tick().
            accept: gets records.CHUNK[n], valid until it returns.
            refuse: gets the stream of a message that cannot be heard, and why.

        Raises:
            ConfigurationError: the type of the entry is not known, or its package not there.
        """
        self._node = node
        self._entry = entry
        self._accept = accept
        self._refuse = refuse
        self._type = entry.type or NATIVE
        self._best_effort = False
        self._told: set[str] = set()
        self._subscription = self._subscribe()

    def on_tick(self) -> None:
        """Look at the publishers; once a second is enough."""
        offered = self._node.get_publishers_info_by_topic(self._entry.topic)
        types = {one.topic_type for one in offered}
        kind = self._entry.type or self._choose(types)
        best_effort = any(one.qos_profile.reliability is ReliabilityPolicy.BEST_EFFORT
                          for one in offered if one.topic_type == kind)
        self._warn(kind, types, len([one for one in offered if one.topic_type == kind]),
                   best_effort=best_effort)
        if (kind, best_effort or self._best_effort) != (self._type, self._best_effort):
            self._best_effort = best_effort or (kind == self._type and self._best_effort)
            self._type = kind
            self._subscription.destroy()
            self._subscription = self._subscribe()
        elif isinstance(self._subscription, ForeignSubscription):
            self._subscription.on_tick()

    def destroy(self) -> None:
        """Stop listening."""
        self._subscription.destroy()

    def _choose(self, types: set[str]) -> str:
        """Pick the type to read: what is read already as long as somebody publishes it."""
        if self._type in types:
            return self._type
        for kind in sorted(types):
            if kind == NATIVE:
                return kind
            try:
                message_class(kind)
            except ConfigurationError as error:
                self._tell(kind, f'{self._entry.topic} is not heard: {error}')
            else:
                self._node.get_logger().info(
                    f'{self._entry.topic} carries {kind} of {FAMILIES[kind].origin}, as the '
                    f'stream {self._entry.stream}')
                return kind
        return self._type

    def _warn(self, kind: str, types: set[str], publishers: int, *, best_effort: bool) -> None:
        """Tell once what a person should know about the publishers."""
        topic = self._entry.topic
        if best_effort:
            self._tell('best effort', f'{topic} has a best-effort publisher: what the network '
                       'drops is lost, and counted; publish with reliability RELIABLE to lose '
                       'nothing')
        others = types - {kind}
        if kind in types and others:
            self._tell('others', f'{topic} is read as {kind}; its publishers of '
                       f'{", ".join(sorted(others))} are not heard: give them a topic of their '
                       'own')
        if kind != NATIVE and publishers > 1:
            self._tell('several', f'{topic} has {publishers} publishers of {kind}, which does '
                       'not tell them apart: their audio is mixed up; give each its own topic')

    def _tell(self, what: str, text: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._node.get_logger().warning(text)

    def _subscribe(self) -> BatchSubscription | ForeignSubscription:
        qos = copy.copy(names.AUDIO_QOS)
        if self._best_effort:
            qos.reliability = ReliabilityPolicy.BEST_EFFORT
        if self._type != NATIVE:
            return ForeignSubscription(
                self._node, self._entry, self._type, qos, self._accept, self._refuse)
        return BatchSubscription(
            self._node, msg.AudioChunk, self._entry.topic, self._accept, qos)
