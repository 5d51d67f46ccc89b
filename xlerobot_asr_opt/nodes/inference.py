"""The inference node: a worker that turns granted segments into texts.

Several of them may run, under different names; each has a segments topic of its own.
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.backends.base import InferenceBackend, create
from xlerobot_asr_opt.core.worker import Job, Worker
from xlerobot_asr_opt.errors import BackendError
from xlerobot_asr_opt.parameters import InferenceParameters
from xlerobot_asr_opt.records import Recognition, RecognitionStatus, WorkerStatus
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.guards import segment_is_whole
from xlerobot_asr_opt.ros.loans import LoanedPublisher, LoanedSubscription
from xlerobot_asr_opt.ros.managed import ManagedNode
from xlerobot_asr_opt.ros.run import run
from xlerobot_asr_opt.ros.timers import steady_timer

STATUS_PERIOD_S = 0.5


class InferenceNode(ManagedNode):
    """Takes segments/, answers on speech/recognitions, tells on workers what it can take."""

    def __init__(self) -> None:
        super().__init__('inference', InferenceParameters)
        self._backend: InferenceBackend | None = None
        self._worker: Worker | None = None
        self._thread: threading.Thread | None = None
        self._recognitions = self.create_publisher(
            msg.Recognition, names.RECOGNITIONS, names.CONTROL_QOS)
        self._statuses = LoanedPublisher(
            self, msg.WorkerStatus, names.WORKERS, names.LATCHED_QOS)
        self._segments: LoanedSubscription | None = None
        steady_timer(self, STATUS_PERIOD_S, self._publish_status)

    def configure(self) -> None:
        """Load the model, and run it once so that the first segment does not pay for that."""
        self._backend = create(self.parameters)
        begin = time.monotonic()
        self._backend.load()
        self._backend.warm_up()
        self.get_logger().info(
            f'{self.parameters.model} on {self._backend.name}, '
            f'loaded in {time.monotonic() - begin:.1f} s')
        self._worker = Worker(
            self.get_name(), self._backend, self._deliver, clock=time.perf_counter)
        self._thread = threading.Thread(target=self._worker.run, name='worker', daemon=True)
        self._thread.start()
        self._segments = LoanedSubscription(
            self, msg.SpeechSegment, names.segments(self.get_name()), self._on_segment,
            names.SEGMENTS_QOS)

    def activate(self) -> None:
        """Offer credit."""
        self._publish_status(active=True)

    def deactivate(self) -> None:
        """Take no more; what is running is still answered, what waits is granted elsewhere."""
        self._publish_status(active=False)
        if self._worker is not None:
            self._worker.withdraw()

    def cleanup(self) -> None:
        """Stop the thread, then let go of the model that it uses."""
        if self._segments is not None:
            self._segments.destroy()
            self._segments = None
        if self._worker is not None and self._thread is not None:
            self._worker.stop()
            # A hung backend does not let its thread end; the process ends without it.
            self._thread.join(timeout=1.0)
            self._worker = self._thread = None
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def working_s(self) -> float:
        """Return how long the running segment has taken so far [s]; 0: idle."""
        return 0.0 if self._worker is None else self._worker.working_s()

    def _on_segment(self, view: np.ndarray) -> None:
        """Make features of the samples; the loan goes back when this returns."""
        received = time.perf_counter()
        head, segment, attempt = int(view['head']), int(view['segment']), int(view['attempt'])
        samples = view['samples'][:int(view['length'])]
        language = conversions.read_text(view['language'])
        try:
            prepared = self._backend.prepare(samples, language)
        except BackendError as error:
            prepared, reason = None, str(error)
        if not segment_is_whole(view, head):
            self._answer(segment, attempt, RecognitionStatus.TORN, 'overwritten while it was read')
        elif prepared is None:
            self._answer(segment, attempt, RecognitionStatus.FAILED, reason)
        else:
            self._worker.submit(Job(segment, attempt, prepared, received))

    def _answer(self, segment: int, attempt: int, status: RecognitionStatus, why: str) -> None:
        self.get_logger().warning(f'segment {segment:x}, attempt {attempt}: {why}')
        self._recognitions.publish(conversions.recognition_message(Recognition(
            segment, attempt, self.get_name(), status, backend=self._backend.name, reason=why)))

    def _deliver(self, recognition: Recognition) -> None:
        """Publish an answer; called in the worker's thread, as any thread may publish."""
        try:
            self._recognitions.publish(conversions.recognition_message(recognition))
        except RuntimeError:
            # The process ends: ingest keeps the segment, and it is granted again.
            if self.context.ok():
                raise

    def _publish_status(self, *, active: bool | None = None) -> None:
        if self._backend is None:
            return
        if not self._thread.is_alive():
            raise RuntimeError('the thread of the recogniser has ended, by the error above')
        status = WorkerStatus(
            worker=self.get_name(), incarnation=self.incarnation,
            active=self.is_active if active is None else active,
            capacity=self.parameters.capacity, longest=self._backend.longest,
            recogniser=self._backend.digest)
        with self._statuses.loan() as view:
            conversions.write_worker(view, status)


def main() -> int:
    """Run the node as a process."""
    return run(InferenceNode)


if __name__ == '__main__':
    sys.exit(main())
