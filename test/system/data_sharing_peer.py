"""One process of test_data_sharing.py: a writer or a reader of SpeechSegments.

Takes commands as lines on standard input and answers each with one JSON object on a line.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor

from xlerobot_asr_interfaces.msg import SpeechSegment
from xlerobot_asr_opt.ros.guards import segment_is_whole
from xlerobot_asr_opt.ros.loans import LoanedPublisher, LoanedSubscription

PATIENCE_S = 30.0


def answer(**fields):
    print(json.dumps(fields), flush=True)


def wait_until(condition, pause=lambda: time.sleep(0.01)):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, 'the condition did not come true'
        pause()


def regions():
    """Give (start, end, offset, inode, path) of every mapped file in /dev/shm."""
    found = []
    for line in Path('/proc/self/maps').read_text().splitlines():
        if '/dev/shm/' in line:
            span, _, offset, _, inode, path = line.split(maxsplit=5)
            start, end = (int(each, 16) for each in span.split('-'))
            found.append((start, end, int(offset, 16), int(inode), path))
    return found


def times_mapped(path):
    return sum(each[4].removesuffix(' (deleted)') == path for each in regions())


def place(view):
    """Say in which shared file a message lies, and where in it."""
    address = view.__array_interface__['data'][0]
    for start, end, offset, inode, path in regions():
        if start <= address and address + view.nbytes <= end:
            return {'path': path, 'inode': inode, 'offset': address - start + offset}
    return {'path': '', 'inode': 0, 'offset': 0}


def samples_of(sequence, length):
    return (np.arange(length) * sequence % 32768).astype(np.int16)


class Writer:
    """Commands: matched, publish SEQUENCE LENGTH, quit."""

    def __init__(self, node, topic, depth):
        self.publisher = LoanedPublisher(node, SpeechSegment, topic, depth)

    def matched(self):
        wait_until(lambda: self.publisher.matched)
        answer(loaned=self.publisher.loaned)

    def publish(self, sequence, length):
        with self.publisher.loan() as view:
            view['tail'] = 0
            view['head'] = sequence
            view['length'] = length
            view['samples'][:length] = samples_of(sequence, length)
            view['tail'] = sequence
            where = place(view)
        answer(**where)

    def run(self):
        while (line := sys.stdin.readline().split()) != ['quit']:
            getattr(self, line[0])(*map(int, line[1:]))


class Reader:
    """Commands: matched, take, hold, quit.

    While it holds a message, in the callback: check, gone (wait until the middleware maps the
    writer's pool no longer), leave (return from the callback).
    """

    def __init__(self, node, topic, depth, context):
        self.node, self.topic = node, topic
        self.holding = False
        self.received = 0
        self.subscription = LoanedSubscription(
            node, SpeechSegment, topic, self.on_segment, depth
        )
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(node)

    def matched(self):
        wait_until(lambda: self.subscription.matched, lambda: self.executor.spin_once(0.01))
        answer(loaned=self.subscription.loaned, reliability=self.reliability())

    def reliability(self):
        (own,) = (
            each for each in self.node.get_subscriptions_info_by_topic(self.topic)
            if each.node_name == self.node.get_name()
        )
        return own.qos_profile.reliability.name

    def on_segment(self, view):
        self.received += 1
        head = int(view['head'])
        self.describe(view, head)
        if self.holding:
            self.obey(view, head)

    def obey(self, view, head):
        while (command := sys.stdin.readline().strip()) != 'leave':
            if command == 'gone':
                path = place(view)['path'].removesuffix(' (deleted)')
                wait_until(lambda path=path: times_mapped(path) == 1)
            self.describe(view, head)
        self.holding = False

    def describe(self, view, head):
        expected = samples_of(head, int(view['length']))
        right = bool((view['samples'][: expected.size] == expected).all())
        answer(sequence=head, right=right, whole=segment_is_whole(view, head), **place(view))

    def hold(self):
        self.holding = True
        self.take()

    def take(self):
        count = self.received
        wait_until(lambda: self.received > count, lambda: self.executor.spin_once(0.1))

    def run(self):
        while (command := sys.stdin.readline().strip()) != 'quit':
            getattr(self, command)()


def main():
    role, topic, depth = sys.argv[1], sys.argv[2], int(sys.argv[3])
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node(f'{role}_{os.getpid()}', context=context)
    peer = Writer(node, topic, depth) if role == 'writer' else Reader(node, topic, depth, context)
    peer.run()
    node.destroy_node()
    rclpy.shutdown(context=context)


main()
