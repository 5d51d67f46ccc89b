"""Messages of another package, here std_msgs, as chunks: what was lost, and when it was said."""

import os
import time

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from std_msgs.msg import UInt8MultiArray

from xlerobot_asr_opt.core.topic_entries import TopicEntry
from xlerobot_asr_opt.ros.audio_messages import FAMILIES, Family, Heard
from xlerobot_asr_opt.ros.executor import DirectExecutor
from xlerobot_asr_opt.ros.foreign_audio import ForeignSubscription

DOMAIN = 68
KIND = 'std_msgs/msg/UInt8MultiArray'
FRAMES = 2000
NS = 1_000_000_000


class Ear:
    """A subscription that keeps what it hears, and a publisher for it."""

    def __init__(self, node, depth=10):
        self.chunks, self.refused = [], []
        self._node = node
        self._executor = DirectExecutor(context=node.context)
        self._executor.add_node(node)
        self._subscription = ForeignSubscription(
            node, TopicEntry('noise'), KIND, QoSProfile(depth=depth),
            lambda rows: self.chunks.extend(rows.copy()),
            lambda *what: self.refused.append(what))
        self._publisher = node.create_publisher(UInt8MultiArray, 'noise', 100)
        self.until(lambda: self._publisher.get_subscription_count())

    def say(self, data=bytes(2 * FRAMES)):
        self._publisher.publish(UInt8MultiArray(data=np.frombuffer(data, np.uint8)))

    def until(self, condition):
        deadline = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < deadline
            self._executor.spin_once(0.1)

    def hear(self, count):
        self.until(lambda: len(self.chunks) >= count)

    def close(self):
        self._subscription.destroy()
        self._executor.shutdown()

    @property
    def sequences(self):
        return [int(chunk['sequence']) for chunk in self.chunks]


@pytest.fixture
def ear(node, monkeypatch):
    def read(message, form):
        samples = np.frombuffer(bytes(message.data), '<i2')
        return Heard(samples, form.rate, form.channels)

    monkeypatch.setitem(FAMILIES, KIND, Family('ROS', frozenset({'data'}), False, read))
    opened = []

    def ear(**fields):
        opened.append(Ear(node, **fields))
        return opened[-1]

    yield ear
    for one in opened:
        one.close()


def test_messages_become_chunks_of_the_topics_name(ear):
    ear = ear()
    before_ns = time.time_ns()
    for _ in range(3):
        ear.say()
    ear.hear(6)
    assert ear.sequences == [0, 1, 2, 3, 4, 5]
    assert {chunk['stream'].tobytes().rstrip(b'\0') for chunk in ear.chunks} == {b'noise'}
    assert {int(chunk['length']) for chunk in ear.chunks} == {FRAMES // 2}
    begins = [int(chunk['stamp']['sec']) * NS + int(chunk['stamp']['nanosec'])
              for chunk in ear.chunks]
    assert abs(begins[0] - before_ns) < NS
    assert np.diff(begins).tolist() == pytest.approx([NS * FRAMES // 32_000] * 5, rel=0.1)


@pytest.mark.skipif(os.environ.get('ROS_DISTRO') == 'humble',
                    reason='rclpy of Humble does not tell the numbers of messages')
def test_what_the_middleware_lost_leaves_a_hole_in_the_numbers(ear):
    ear = ear(depth=1)
    ear.say()
    ear.hear(2)
    for _ in range(5):
        ear.say()  # only the last one is kept until it is looked at
    ear.until(lambda: len(ear.chunks) == 4)
    assert ear.sequences == [0, 1, 10, 11]


def test_what_cannot_be_heard_is_refused_and_the_next_is_heard(ear):
    ear = ear()
    ear.say(b'')
    ear.say()
    ear.hear(2)
    ((stream, why),) = ear.refused
    assert stream == 'noise'
    assert 'got no samples' in why
