"""BatchSubscription: every message, in order, many at a time, and nobody spins while it rests."""

import time

import numpy as np
import pytest
from rclpy.executors import SingleThreadedExecutor

from xlerobot_asr_interfaces.msg import AudioChunk
from xlerobot_asr_opt.records import CHUNK
from xlerobot_asr_opt.ros import batches, names
from xlerobot_asr_opt.ros.batches import BatchSubscription
from xlerobot_asr_opt.ros.executor import DirectExecutor
from xlerobot_asr_opt.ros.loans import LoanedPublisher
from xlerobot_asr_opt.ros.plain import dtype_of

DOMAIN = 67
PATIENCE_S = 10.0


@pytest.fixture(params=[DirectExecutor, SingleThreadedExecutor])
def executor(request, context, node):
    executor = request.param(context=context)
    executor.add_node(node)
    yield executor
    executor.shutdown()


class Pair:
    """A publisher of chunks and a subscription that have found each other."""

    def __init__(self, node, executor):
        self._executor = executor
        self.batches = []
        self.turns = 0
        self.subscription = BatchSubscription(
            node, AudioChunk, 'pair', lambda rows: self.batches.append(rows.copy()),
            names.AUDIO_QOS)
        self.publisher = LoanedPublisher(node, AudioChunk, 'pair', names.AUDIO_QOS)
        self.spin_until(lambda: self.publisher.matched)

    @property
    def received(self):
        return [int(row['sequence']) for rows in self.batches for row in rows]

    def publish(self, sequences):
        for sequence in sequences:
            with self.publisher.loan() as view:
                view['sequence'] = sequence
                view['length'] = 3
                view['samples'] = sequence % 1000

    def spin_until(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, 'the condition did not come true'
            self._executor.spin_once(timeout_sec=0.1)
            self.turns += 1


def test_a_chunk_in_the_core_is_laid_out_as_the_message():
    assert dtype_of(AudioChunk) == CHUNK
    assert dtype_of(AudioChunk).itemsize == CHUNK.itemsize


def test_messages_come_whole_in_order_and_many_at_a_time(node, executor):
    pair = Pair(node, executor)
    count = 3 * batches.CAPACITY
    pair.publish(range(count))
    pair.spin_until(lambda: len(pair.received) == count)
    assert pair.received == list(range(count))
    assert len(pair.batches) <= 6
    assert max(map(len, pair.batches)) <= batches.CAPACITY
    rows = np.concatenate(pair.batches)
    assert (rows['samples'] == rows['sequence'][:, None] % 1000).all()


def test_one_message_after_a_pause_comes_by_itself(node, executor):
    pair = Pair(node, executor)
    for sequence in range(3):
        pair.publish([sequence])
        pair.spin_until(lambda wanted=sequence + 1: len(pair.received) == wanted)
    assert pair.received == [0, 1, 2]


def test_messages_that_wait_do_not_wake_the_executor_while_the_subscription_rests(
        node, executor, monkeypatch):
    """Fast DDS wakes whoever waits for the QoS events of a reader for its messages, too."""
    monkeypatch.setattr(batches, 'REST_S', 0.5)
    pair = Pair(node, executor)
    for sequence in range(2):
        pair.publish([sequence])
        pair.spin_until(lambda wanted=sequence + 1: len(pair.received) == wanted)
    pair.publish([2])
    pair.turns = 0
    pair.spin_until(lambda: len(pair.received) == 3)
    assert pair.turns < 30


def test_a_destroyed_subscription_is_silent(node, executor):
    pair = Pair(node, executor)
    pair.subscription.destroy()
    pair.publish([1])
    executor.spin_once(timeout_sec=0.2)
    assert pair.batches == []
    assert not [each for each in node.waitables if 'batches' in type(each).__module__]
