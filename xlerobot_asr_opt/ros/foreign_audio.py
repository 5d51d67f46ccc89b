"""A topic of audio messages of another package, as chunks."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.waitable import NumberOfEntities, Waitable

from xlerobot_asr_opt.core.arrival_clock import ArrivalClock
from xlerobot_asr_opt.core.chunk_cutter import ChunkCutter
from xlerobot_asr_opt.core.clocks import NS
from xlerobot_asr_opt.core.topic_entries import Form, TopicEntry
from xlerobot_asr_opt.errors import AudioError
from xlerobot_asr_opt.ros.audio_messages import FAMILIES, form_of_info, message_class
from xlerobot_asr_opt.ros.loans import TakenByUs
from xlerobot_asr_opt.ros.matching import MatchingSubscription

__all__ = ['ForeignSubscription']

_BURST = 16
"""Messages that are taken at a time: a flood on one topic must not starve the others."""
_OLDEST_NS = 5 * NS
"""A message that seems to have been under way for longer has the stamp of another clock."""
_LARGEST_HOLE = 1000
"""Messages; a larger step is another publisher's number, or one that began again."""


class ForeignSubscription:
    """Reads the messages of one topic by the table of audio_messages."""

    def __init__(
        self, node: Node, entry: TopicEntry, kind: str, qos: QoSProfile,
        accept: Callable[[np.ndarray], None], refuse: Callable[[str, str], None],
    ) -> None:
        """Listen.

        Args:
            node: the ingest node; its clock stamps what has no stamp.
            entry: the topic.
            kind: type of its messages, of FAMILIES.
            qos: of the subscription.
            accept: gets records.CHUNK[n].
            refuse: gets the name of the stream and what is wrong with a message.

        Raises:
            ConfigurationError: the type is not known, or its package not there.
        """
        message_type = message_class(kind)
        self._node = node
        self._entry = entry
        self._family = FAMILIES[kind]
        self._accept = accept
        self._refuse = refuse
        self._cutter = ChunkCutter(entry.stream)
        self._clock = ArrivalClock()
        self._form: Form | None = None
        self._refusal = ''
        self._assumed = False
        self._number: int | None = None
        self._subscription = node.create_subscription(
            message_type, entry.topic, self._on_message, qos, callback_group=TakenByUs())
        self._taker = _Taker(node, self._subscription, self._on_message)
        node.add_waitable(self._taker)
        self._info = self._listen_to_info(kind) if self._family.has_info else None

    def on_tick(self) -> None:
        """Look at the publishers of the AudioInfo; once a second is enough."""
        if self._info is not None:
            self._info.on_tick()

    def destroy(self) -> None:
        """Stop listening."""
        self._node.remove_waitable(self._taker)
        self._node.destroy_subscription(self._subscription)
        if self._info is not None:
            self._info.destroy()

    def _listen_to_info(self, kind: str) -> MatchingSubscription | None:
        """Hear what is said beside the topic: audio_info of audio and of audio_stamped."""
        messages = importlib.import_module(f'{kind.split("/")[0]}.msg')
        info = getattr(messages, 'AudioInfo', None)
        topic = f'{self._entry.topic.removesuffix("_stamped")}_info'
        return info and MatchingSubscription(self._node, info, topic, self._on_info)

    def _on_info(self, info: Any) -> None:
        try:
            self._form, self._refusal = form_of_info(info), ''
        except AudioError as error:
            self._refusal = str(error)

    def _on_message(self, message: Any, about: Mapping[str, int | None]) -> None:
        """Hear one message; about: what the middleware says of it."""
        try:
            heard = self._family.read(message, self._known_form())
            if heard is None:
                return
            number = heard.number if heard.number is not None else about.get(
                'publication_sequence_number')
            lost = self._lost(number)
            length_ns = (heard.samples.size // max(heard.channels, 1)) * NS // max(heard.rate, 1)
            stamp_ns = heard.stamp_ns or self._clock.begin_ns(
                self._sent_ns(about), length_ns, lost)
            chunks = self._cutter.cut(
                heard.samples, heard.rate, heard.channels, stamp_ns, lost)
        except AudioError as error:
            self._refuse(self._cutter.stream, str(error))
        else:
            self._accept(chunks)

    def _known_form(self) -> Form:
        """The form of messages that do not say theirs.

        Raises:
            AudioError: the AudioInfo says that they cannot be heard.
        """
        if self._refusal:
            raise AudioError(self._refusal)
        form = self._form or self._entry.form
        if form is None and not self._family.says_form and not self._assumed:
            self._assumed = True
            self._node.get_logger().warning(
                f'{self._entry.topic}: nobody says what its bytes are, they are heard as '
                f'{Form()}; if that is wrong, name it: TOPIC:PACKAGE/TYPE:ENCODING:RATE:CHANNELS')
        return form or Form()

    def _lost(self, number: int | None) -> int:
        """Return how many messages are missing in front of this one, by their numbers."""
        before, self._number = self._number, number
        if before is None or number is None:
            return 0
        step = number - before - 1
        return step if 0 < step <= _LARGEST_HOLE else 0

    def _sent_ns(self, about: Mapping[str, int | None]) -> int:
        """ROS time at which a message was published, about the end of its audio."""
        age_ns = time.time_ns() - (about.get('source_timestamp') or 0)
        now_ns = int(self._node.get_clock().now().nanoseconds)
        return now_ns - age_ns if 0 <= age_ns <= _OLDEST_NS else now_ns


class _Taker(Waitable):
    """Takes messages together with what the middleware says of them."""

    def __init__(
        self, node: Node, subscription: Subscription,
        callback: Callable[[Any, Mapping[str, int | None]], None],
    ) -> None:
        super().__init__(node.default_callback_group)
        self._subscription = subscription
        self._callback = callback
        self._index = 0

    def __enter__(self) -> None:
        self._subscription.handle.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._subscription.handle.__exit__(*exception)

    def get_num_entities(self) -> NumberOfEntities:
        return NumberOfEntities(num_subs=1)

    def add_to_wait_set(self, wait_set: Any) -> None:
        self._index = wait_set.add_subscription(self._subscription.handle)

    def is_ready(self, wait_set: Any) -> bool:
        return bool(wait_set.is_ready('subscription', self._index))

    def take_data(self) -> None:
        """Take nothing yet: execute() takes what has come until then."""

    async def execute(self, _: None) -> None:
        subscription = self._subscription
        for _turn in range(_BURST):
            with subscription.handle:
                taken = subscription.handle.take_message(subscription.msg_type, False)
            if taken is None:
                return
            self._callback(*taken)
