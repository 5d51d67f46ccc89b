"""Publishers and subscriptions whose messages lie in the middleware's memory (loaned messages).

Both classes speak in 0-d structured NumPy arrays with the fields of the message (plain.dtype_of):

    with publisher.loan() as segment:
        segment['length'] = samples.size
        segment['samples'][: samples.size] = samples

    def on_segment(segment):
        samples = segment['samples'][: segment['length']]

Where the middleware, the type, ROS_DISABLE_LOANED_MESSAGES=1 or XLEROBOT_ASR_ZERO_COPY=off rules a
loan out, the same arrays lie in memory of our own and are copied by the ordinary publish and take:
the user sees no difference but in time. Messages that are not plain come and go as objects. Either
is said once a topic in the node's log. docs/loans.md tells what a loan does not protect.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import rclpy
from rclpy.callback_groups import CallbackGroup, ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.waitable import NumberOfEntities, Waitable

from xlerobot_asr_opt.errors import TransportError
from xlerobot_asr_opt.ros import rcl
from xlerobot_asr_opt.ros.plain import dtype_of
from xlerobot_asr_opt.ros.pools import SharedPools
from xlerobot_asr_opt.ros.profile import shares_data

__all__ = ['LoanedPublisher', 'LoanedSubscription', 'TakenByUs']

# Messages taken in one wake-up of the executor: a flood on one topic must not starve the others.
_BURST = 16

_announced: weakref.WeakKeyDictionary[Node, set[str]] = weakref.WeakKeyDictionary()


def _announce(node: Node, topic: str, reason: str) -> None:
    """Say once a topic why its messages are not loaned."""
    topics = _announced.setdefault(node, set())
    if topic not in topics:
        topics.add(topic)
        node.get_logger().info(f'messages of {topic} are copied, not loaned: {reason}')


def _objection() -> str | None:
    """Say what forbids loans in this process, if anything does."""
    if os.environ.get('XLEROBOT_ASR_ZERO_COPY') == 'off':
        return 'XLEROBOT_ASR_ZERO_COPY=off'
    if rcl.disabled_by_environment():
        return 'ROS_DISABLE_LOANED_MESSAGES=1'
    middleware = rclpy.get_rmw_implementation_identifier()
    if not middleware.startswith('rmw_fastrtps'):
        return f'not known to be safe with {middleware}'
    return None


def _view(address: int, dtype: np.dtype) -> np.ndarray:
    """Map the message at an address; the array does not own the memory."""
    return np.ndarray((), dtype, (ctypes.c_char * dtype.itemsize).from_address(address))


def _read_only(view: np.ndarray) -> np.ndarray:
    view.flags.writeable = False
    return view


def _plain(message_type: Any) -> tuple[np.dtype | None, str]:
    """Give the dtype of a plain message, or None and why there is none."""
    try:
        return dtype_of(message_type), ''
    except TransportError as error:
        return None, str(error)


def _readers_qos(node: Node, topic: str, qos: QoSProfile | int) -> QoSProfile | int:
    """Ask for best effort where the messages of a topic are data-shared.

    Nothing of them is sent that could be lost, but a reliable reader acknowledges each one before
    it hands it out, which is a third of the whole way. Where the writer turns out to be out of
    reach of data sharing, messages come over the network and may be lost one by one.
    """
    if _objection() or not shares_data(node.resolve_topic_name(topic)):
        return qos
    lighter = QoSProfile(depth=qos) if isinstance(qos, int) else copy.copy(qos)
    lighter.reliability = ReliabilityPolicy.BEST_EFFORT
    return lighter


class _Buffers:
    """Messages in memory of our own, used again and again: fresh memory costs page faults."""

    def __init__(self, dtype: np.dtype) -> None:
        self._dtype = dtype
        self._spare: list[np.ndarray] = []  # append and pop are atomic

    @contextlib.contextmanager
    def one(self) -> Iterator[np.ndarray]:
        try:
            buffer = self._spare.pop()
        except IndexError:
            buffer = np.zeros((), self._dtype)
        try:
            yield buffer
        finally:
            self._spare.append(buffer)


class LoanedPublisher:
    """Publishes messages that are written straight into the middleware's memory.

    Attributes:
        loaned: Whether messages are loans; otherwise they are copied when they are published.
        loans_refused: Loans that the middleware refused, each of them sent as a copy instead.
    """

    def __init__(self, node: Node, message_type: Any, topic: str, qos: QoSProfile | int) -> None:
        """Create the publisher.

        Args:
            node: The node that owns it.
            message_type: The message class.
            topic: Topic name, resolved like any other.
            qos: QoS profile, or the history depth.
        """
        self._node = node
        self._message_type = message_type
        self._publisher = node.create_publisher(message_type, topic, qos)
        self._handle = self._publisher.handle
        self._topic = self._publisher.topic_name
        self.loans_refused = 0
        self.loaned = False
        self._dtype, objection = _plain(message_type)
        if self._dtype is not None:
            self._buffers = _Buffers(self._dtype)
            self._support = rcl.type_support(message_type)
            objection = _objection() or self._ask_middleware()
            self.loaned = not objection
        if objection:
            _announce(node, self._topic, objection)

    def _ask_middleware(self) -> str:
        with self._handle:
            able = rcl.publisher_can_loan(self._handle.pointer)
        return '' if able else 'the middleware does not loan messages on it'

    @property
    def matched(self) -> int:
        """Number of subscriptions that this publisher reaches."""
        return int(self._publisher.get_subscription_count())

    @contextlib.contextmanager
    def loan(self) -> Iterator[Any]:
        """Lend one message to be written; it is published when the block ends.

        The content of a loan is what lay there before: write every field that is read. The view
        is not valid after the block. If the block raises, nothing is published.

        Yields:
            A writable 0-d structured array, or a message object where the type is not plain.

        Raises:
            TransportError: The middleware refused to publish.
        """
        if self._dtype is None:
            message = self._message_type()
            yield message
            self._publisher.publish(message)
            return
        # Entered, so that destroy() in another thread waits for this message.
        with self._handle:
            publisher = self._handle.pointer
            address = self._borrow(publisher) if self.loaned else None
            if address is None:
                with self._buffers.one() as view:
                    yield view
                    rcl.publish(publisher, view.ctypes.data)
                return
            try:
                yield _view(address, self._dtype)
                rcl.publish_borrowed(publisher, address)
            except BaseException:
                rcl.give_back_borrowed(publisher, address)
                raise

    def _borrow(self, publisher: int) -> int | None:
        """Borrow a message, or count and say that a copy has to do."""
        try:
            return rcl.borrow(publisher, self._support)
        except TransportError as error:
            self.loans_refused += 1
            _announce(self._node, self._topic, f'{error}; tried again each time')
            return None

    def destroy(self) -> None:
        """Destroy the publisher. Readers go before writers: its subscriptions should be gone."""
        self._node.destroy_publisher(self._publisher)


class LoanedSubscription:
    """Calls back with each message where it lies; the loan goes back when the callback returns.

    Attributes:
        loaned: Whether messages are loans; otherwise they are copied when they are taken.
    """

    def __init__(
        self,
        node: Node,
        message_type: Any,
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
    ) -> None:
        """Create the subscription.

        Args:
            node: The node that owns it, spun by any single or multi threaded executor.
            message_type: The message class.
            topic: Topic name, resolved like any other.
            callback: Gets a read-only 0-d structured array that is valid until it returns, or a
                message object where the type is not plain. Not a coroutine: a loan is not held
                over other work.
            qos: QoS profile, or the history depth; a data-shared topic is read with best effort.
            callback_group: Group of the callback; the node's default if None.
        """
        self._node = node
        self._receiver: _Receiver | None = None
        self.loaned = False
        dtype, objection = _plain(message_type)
        if dtype is None:
            self._subscription = node.create_subscription(
                message_type, topic, callback, qos, callback_group=callback_group
            )
        else:
            self._subscription = node.create_subscription(
                message_type, topic, callback, _readers_qos(node, topic, qos),
                callback_group=TakenByUs(),
            )
            objection = _objection() or self._ask_middleware()
            self.loaned = not objection
            group = callback_group or node.default_callback_group
            taker = _LoanTaker if self.loaned else _CopyTaker
            self._receiver = _Receiver(group, taker(self._subscription, dtype, callback))
            node.add_waitable(self._receiver)
        if objection:
            _announce(node, self._subscription.topic_name, objection)

    def _ask_middleware(self) -> str:
        with self._subscription.handle:
            able = rcl.subscription_can_loan(self._subscription.handle.pointer)
        return '' if able else 'the middleware does not loan messages on it'

    @property
    def matched(self) -> int:
        """Number of publishers that reach this subscription."""
        return int(self._node.count_publishers(self._subscription.topic_name))

    def destroy(self) -> None:
        """Destroy the subscription, after a callback that is running."""
        if self._receiver is not None:
            self._node.remove_waitable(self._receiver)
        self._node.destroy_subscription(self._subscription)


class TakenByUs(ReentrantCallbackGroup):
    """Keeps the executor from taking from a subscription itself; its QoS events it may handle."""

    def can_execute(self, entity: Any) -> bool:
        """Say no to the subscription alone."""
        return not isinstance(entity, Subscription)


class _LoanTaker:
    """Takes messages as loans."""

    def __init__(
        self, subscription: Subscription, dtype: np.dtype, callback: Callable[[Any], None]
    ) -> None:
        self.handle = subscription.handle
        self._dtype = dtype
        self._pools = SharedPools(dtype)
        self._callback = callback

    def take_one(self) -> bool:
        """Hand the next message to the callback; False when there is none."""
        subscription = self.handle.pointer
        taken = rcl.take_loan(subscription)
        if taken is None:
            return False
        address, writer = taken
        try:
            view = self._pools.view(writer, address)
            if view is None:
                self._callback(_read_only(_view(address, self._dtype)))
        finally:
            rcl.give_back_taken(subscription, address)
        if view is not None:
            self._callback(view)
        return True


class _CopyTaker:
    """Takes copies of messages."""

    def __init__(
        self, subscription: Subscription, dtype: np.dtype, callback: Callable[[Any], None]
    ) -> None:
        self.handle = subscription.handle
        self._buffers = _Buffers(dtype)
        self._callback = callback

    def take_one(self) -> bool:
        """Hand the next message to the callback; False when there is none."""
        with self._buffers.one() as buffer:
            if not rcl.take(self.handle.pointer, buffer.ctypes.data):
                return False
            self._callback(_read_only(buffer.view()))
            return True


class _Receiver(Waitable):
    """Puts a subscription into the executor's wait set and takes from it when it is ready."""

    def __init__(self, group: CallbackGroup, taker: _LoanTaker | _CopyTaker) -> None:
        super().__init__(group)
        self._taker = taker
        self._index: int | None = None

    def __enter__(self) -> None:
        self._taker.handle.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._taker.handle.__exit__(*exception)

    def get_num_entities(self) -> NumberOfEntities:
        return NumberOfEntities(num_subs=1)

    def add_to_wait_set(self, wait_set: Any) -> None:
        self._index = wait_set.add_subscription(self._taker.handle)

    def is_ready(self, wait_set: Any) -> bool:
        return bool(wait_set.is_ready('subscription', self._index))

    def take_data(self) -> None:
        """Take nothing yet: a loan is held inside the callback only."""

    async def execute(self, _: None) -> None:
        with self._taker.handle:
            for _ in range(_BURST):
                if not self._taker.take_one():
                    return
