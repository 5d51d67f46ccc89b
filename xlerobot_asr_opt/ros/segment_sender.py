"""Hands granted segments to the workers: the one copy on the way, into loaned memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from rclpy.node import Node

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.core.service_limits import MOST_WORKERS
from xlerobot_asr_opt.errors import AsrError, MessageError
from xlerobot_asr_opt.records import Grant, WorkerStatus
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.loans import LoanedPublisher

__all__ = ['SegmentSender']

PATIENCE_S = 2.0
"""A grant for a worker that is not matched yet waits this long; the scheduler repeats it later."""


class SegmentSender:
    """One publisher for each worker, made when the worker is first heard of."""

    def __init__(
        self, node: Node, samples: Callable[[int], np.ndarray], language: Callable[[int], str],
    ) -> None:
        """Send from node.

        Args:
            node: the ingest node.
            samples: gives the int16 samples of a segment; an AsrError where it is not kept.
            language: gives the language that was asked for a segment.
        """
        self._node = node
        self._samples = samples
        self._language = language
        self._publishers: dict[str, LoanedPublisher] = {}
        self._sent: dict[str, int] = {}
        self._early: list[tuple[float, Grant]] = []

    def on_worker(self, status: WorkerStatus) -> None:
        """Make the publisher of a worker before it is granted anything.

        Raises:
            MessageError: there are too many workers.
        """
        if status.worker in self._publishers:
            return
        if len(self._publishers) >= MOST_WORKERS:
            raise MessageError(f'got a worker {status.worker} beside {MOST_WORKERS} others, '
                               'expected no more')
        self._publishers[status.worker] = LoanedPublisher(
            self._node, msg.SpeechSegment, names.segments(status.worker), names.SEGMENTS_QOS)
        self._sent[status.worker] = 0

    def on_grant(self, grant: Grant) -> None:
        """Send the segment, now or as soon as its worker is matched."""
        if not self._send(grant):
            self._early.append((time.monotonic() + PATIENCE_S, grant))

    def on_tick(self) -> None:
        """Try the grants again whose workers were not matched."""
        waiting, self._early = self._early, []
        for until, grant in waiting:
            if self._send(grant):
                continue
            if time.monotonic() < until:
                self._early.append((until, grant))
            else:
                self._node.get_logger().warning(
                    f'segment {grant.segment:x} was granted to {grant.worker}, which does not '
                    'listen; the scheduler will grant it again')

    def destroy(self) -> None:
        """Give the publishers back."""
        for publisher in self._publishers.values():
            publisher.destroy()
        self._publishers.clear()
        self._early.clear()

    def _send(self, grant: Grant) -> bool:
        """Write one segment; False where the worker is not matched yet."""
        publisher = self._publishers.get(grant.worker)
        if publisher is None or not publisher.matched:
            return False
        try:
            samples = self._samples(grant.segment)
        except AsrError as error:
            # A grant that crossed its acknowledgement: nothing is kept, so nothing is lost.
            self._node.get_logger().info(f'grant of segment {grant.segment:x} passed by: {error}')
            return True
        self._sent[grant.worker] += 1
        with publisher.loan() as view:
            view['tail'] = 0
            view['head'] = self._sent[grant.worker]
            view['segment'] = grant.segment
            view['attempt'] = grant.attempt
            view['length'] = samples.size
            conversions.write_text(view['language'], self._language(grant.segment))
            view['samples'][:samples.size] = samples
            view['tail'] = self._sent[grant.worker]
        return True
