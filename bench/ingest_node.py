"""The ingest node as a process, fed by this one: what it costs, and what it loses."""

import contextlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import psutil
import rclpy

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.core.lifecycle import Transition
from xlerobot_asr_opt.records import Acknowledgement, TranscriptStatus
from xlerobot_asr_opt.ros import conversions, names, rcl
from xlerobot_asr_opt.ros.executor import DirectExecutor
from xlerobot_asr_opt.ros.lifecycle_client import LifecycleClient
from xlerobot_asr_opt.ros.loans import LoanedPublisher, LoanedSubscription

NAMESPACE = '/ingest_bench'
CHUNK_S = 0.1
SLICES = 20
"""Parts of a chunk's time, each with its share of the streams: publishers are not in step."""
PATIENCE_S = 30.0


def cost(chunks_of, warm_s, seconds, pace):
    """Publish; return the node's processor time for a second of one stream [s], and chunks lost.

    Args:
        chunks_of: gives the messages of a tick, one of every stream.
        warm_s: published before the cost is taken [s].
        seconds: for which it is taken.
        pace: times real time.
    """
    rclpy.init()
    with _running_node(len(chunks_of(0))) as process:
        world = _World()
        world.bring_up()
        used = psutil.Process(process.pid).cpu_times
        ticks = round((warm_s + seconds) / CHUNK_S)
        begin, chunk_s = time.monotonic(), CHUNK_S / pace
        for tick in range(ticks):
            if tick == round(warm_s / CHUNK_S):
                before, began = used(), time.monotonic()
            world.publish(chunks_of(tick), begin + tick * chunk_s, chunk_s)
        after, ended = used(), time.monotonic()
        count = len(chunks_of(0))
        lost = ticks * count - world.heard(ticks, count)
        world.close()
    rclpy.shutdown()
    spent = after.user + after.system - before.user - before.system
    # What another process held up is published late: the audio counts, not the time it took.
    print(f'{count} streams: {seconds / (ended - began):.2f} times real time', file=sys.stderr)
    return spent / count / seconds, lost


@contextlib.contextmanager
def _running_node(streams):
    with tempfile.TemporaryDirectory() as directory:
        parameters = {'source': 'topic', 'streams': streams, 'store_size': 512,
                      'store_directory': directory}
        arguments = [part for name, value in parameters.items()
                     for part in ('-p', f'{name}:={value}')]
        process = subprocess.Popen(
            [sys.executable, '-m', 'xlerobot_asr_opt.nodes.ingest', '--ros-args', '-r',
             f'__ns:={NAMESPACE}', '--log-level', 'error', *arguments], cwd=directory)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


class _World:
    """Whoever speaks, and a scheduler that acknowledges every ticket at once."""

    def __init__(self):
        self._node = rclpy.create_node('speakers', namespace=NAMESPACE)
        self._executor = DirectExecutor()
        self._executor.add_node(self._node)
        self._chunks = self._node.create_publisher(msg.AudioChunk, names.AUDIO, names.AUDIO_QOS)
        self._acknowledgements = LoanedPublisher(
            self._node, msg.Acknowledgement, names.ACKNOWLEDGEMENTS, names.CONTROL_QOS)
        LoanedSubscription(
            self._node, msg.SpeechTicket, names.TICKETS, self._on_ticket, names.CONTROL_QOS)
        LoanedSubscription(
            self._node, msg.StreamStatus, names.STREAMS, self._on_status, names.STREAMS_QOS)
        self._heard = {}

    def _on_ticket(self, view):
        ticket = conversions.read_ticket(view)
        if not ticket.provisional:
            with self._acknowledgements.loan() as answer:
                conversions.write_acknowledgement(
                    answer, Acknowledgement(ticket.segment, TranscriptStatus.DONE))

    def _on_status(self, view):
        self._heard[view['stream'].tobytes()] = int(view['chunks'])

    def bring_up(self):
        """Bring the node up, and wait until it listens."""
        lifecycle = LifecycleClient(self._node, 'ingest')
        self._spin_until(lambda: lifecycle.is_ready)
        for transition in (Transition.CONFIGURE, Transition.ACTIVATE):
            answers = []
            lifecycle.change(transition, answers.append)
            self._spin_until(lambda answers=answers: answers)
            assert answers == [True], transition
        self._spin_until(self._chunks.get_subscription_count)

    def publish(self, chunks, due, chunk_s):
        """Publish a chunk of every stream, spread over the time that one takes."""
        address, size = chunks.ctypes.data, chunks.itemsize
        with self._chunks.handle:
            for part, places in enumerate(np.array_split(np.arange(len(chunks)), SLICES)):
                for place in places.tolist():
                    rcl.publish(self._chunks.handle.pointer, address + place * size)
                self._spin_to(due + (part + 1) * chunk_s / SLICES)

    def heard(self, ticks, count):
        """Wait until all chunks were heard, or in vain; return how many were."""
        self._spin_until(lambda: sum(self._heard.values()) == ticks * count, patience_s=PATIENCE_S)
        return sum(self._heard.values())

    def close(self):
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()

    def _spin_to(self, when):
        while (left := when - time.monotonic()) > 0.0:
            self._executor.spin_once(left)

    def _spin_until(self, condition, patience_s=PATIENCE_S):
        deadline = time.monotonic() + patience_s
        while not condition() and (left := deadline - time.monotonic()) > 0.0:
            self._executor.spin_once(min(left, 0.1))
