"""The inference node: a worker that turns granted segments into texts.

Several of them may run, under different names; each has a segments topic of its own.
"""

from __future__ import annotations

import functools
import sys
import time

import numpy as np

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.core.breaker import State
from xlerobot_asr_opt.core.degradation_effects import backend_rank
from xlerobot_asr_opt.engine import OptimizedBPUInferenceEngine
from xlerobot_asr_opt.errors import AsrError, BackendError
from xlerobot_asr_opt.parameters import InferenceParameters
from xlerobot_asr_opt.records import (
    Degradation,
    Recognition,
    RecognitionStatus,
    WorkerStatus,
)
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.guards import segment_is_whole
from xlerobot_asr_opt.ros.level_watch import LevelWatch
from xlerobot_asr_opt.ros.limiting import limited
from xlerobot_asr_opt.ros.loans import LoanedPublisher, LoanedSubscription
from xlerobot_asr_opt.ros.managed import ManagedNode
from xlerobot_asr_opt.ros.run import run
from xlerobot_asr_opt.ros.timers import steady_timer

STATUS_PERIOD_S = 0.5
FORCED = {
    srv.ForceBackend.Request.ON: State.CLOSED,
    srv.ForceBackend.Request.OFF: State.OPEN,
}


class InferenceNode(ManagedNode):
    """Takes segments/, answers on speech/recognitions, tells on workers what it can take.

    Tells on backends what makes the texts; serves force_backend. Heeds memory and level.
    """

    def __init__(self) -> None:
        super().__init__('inference', InferenceParameters)
        self._engine = OptimizedBPUInferenceEngine(
            self.parameters, name=self.get_name(), deliver=self._deliver)
        self._recognitions = self.create_publisher(
            msg.Recognition, names.RECOGNITIONS, names.CONTROL_QOS)
        self._statuses = LoanedPublisher(
            self, msg.WorkerStatus, names.WORKERS, names.LATCHED_QOS)
        self._states = self.create_publisher(
            msg.BackendStates, names.BACKENDS, names.LATCHED_QOS)
        self._told: msg.BackendStates | None = None
        self._segments: LoanedSubscription | None = None
        self._capacity = self.parameters.capacity
        self.create_subscription(
            msg.MemoryReport, names.MEMORY, self._on_memory, names.LATCHED_QOS)
        self._level = LevelWatch(self, self._heed)
        self.create_service(
            srv.ForceBackend, names.FORCE_BACKEND,
            limited(self.limits, names.FORCE_BACKEND, self._force_backend))
        steady_timer(self, STATUS_PERIOD_S, self._publish_status)

    def configure(self) -> None:
        """Load the models, and run each once so that no segment pays for that."""
        begin = time.monotonic()
        self._engine.open()
        self._arrange(self._level.degradation)
        self.get_logger().info(
            f'{self.parameters.model} on {self._engine.backend.name}, '
            f'loaded in {time.monotonic() - begin:.1f} s')
        self._segments = LoanedSubscription(
            self, msg.SpeechSegment, names.segments(self.get_name()), self._on_segment,
            names.SEGMENTS_QOS)

    def activate(self) -> None:
        """Offer credit."""
        self._publish_status(active=True)

    def deactivate(self) -> None:
        """Take no more; what is running is still answered, what waits is granted elsewhere."""
        self._publish_status(active=False)
        self._engine.withdraw()

    def cleanup(self) -> None:
        """Take nothing, and close the engine."""
        if self._segments is not None:
            self._segments.destroy()
            self._segments = None
        self._engine.close()

    def working_s(self) -> float:
        """Return how long the running segment has taken so far [s]; 0: idle."""
        return self._engine.working_s()

    def _on_memory(self, report: msg.MemoryReport) -> None:
        """Hold no segment beside the running one, while memory is short."""
        if not self.is_watched_by(report):
            return
        short = report.rung >= msg.MemoryReport.RUNG_SHRINK
        capacity = 1 if short else self.parameters.capacity
        if capacity != self._capacity:
            self._capacity = capacity
            self._publish_status()

    def _heed(self, degradation: Degradation) -> None:
        """Ask the backends in the order of the level, and announce whose texts come now."""
        if self._engine.is_open:
            self._arrange(degradation)
            self._publish_status()

    def _arrange(self, degradation: Degradation) -> None:
        rank = functools.partial(
            backend_rank, degradation=degradation, small=bool(self.parameters.small_model))
        self._engine.backend.arrange(
            rank, f'level {degradation.level.word}, {degradation.reason}')

    def _on_segment(self, view: np.ndarray) -> None:
        """Make features of the samples; the loan goes back when this returns."""
        received = time.perf_counter()
        head, segment, attempt = int(view['head']), int(view['segment']), int(view['attempt'])
        samples = view['samples'][:int(view['length'])]
        language = conversions.read_text(view['language'])
        try:
            job = self._engine.prepare(segment, attempt, samples, language, received)
        except BackendError as error:
            job, reason = None, str(error)
        if not segment_is_whole(view, head):
            self._answer(segment, attempt, RecognitionStatus.TORN, 'overwritten while it was read')
        elif job is None:
            self._answer(segment, attempt, RecognitionStatus.FAILED, reason)
        else:
            self._engine.queue(job)

    def _answer(self, segment: int, attempt: int, status: RecognitionStatus, why: str) -> None:
        self.get_logger().warning(f'segment {segment:x}, attempt {attempt}: {why}')
        self._recognitions.publish(conversions.recognition_message(Recognition(
            segment, attempt, self.get_name(), status, backend=self._engine.backend.name,
            reason=why)))

    def _deliver(self, recognition: Recognition) -> None:
        """Publish an answer; called in the worker's thread, as any thread may publish."""
        try:
            self._recognitions.publish(conversions.recognition_message(recognition))
        except RuntimeError:
            # The process ends: ingest keeps the segment, and it is granted again.
            if self.context.ok():
                raise

    def _publish_status(self, *, active: bool | None = None) -> None:
        if not self._engine.is_open:
            return
        if not self._engine.is_running:
            raise RuntimeError('the thread of the recogniser has ended, by the error above')
        backend = self._engine.backend
        status = WorkerStatus(
            worker=self.get_name(), incarnation=self.incarnation,
            active=self.is_active if active is None else active,
            capacity=self._capacity, longest=backend.longest,
            recogniser=backend.digest)
        with self._statuses.loan() as view:
            conversions.write_worker(view, status)
        states = conversions.states_message(self.get_name(), backend.statistics())
        if states != self._told:
            self._states.publish(states)
            self._told = states

    def _force_backend(
        self, request: srv.ForceBackend.Request, response: srv.ForceBackend.Response,
    ) -> srv.ForceBackend.Response:
        try:
            if request.command == srv.ForceBackend.Request.RELEASE:
                self._engine.backend.release(request.backend)
            else:
                self._engine.backend.force(request.backend, FORCED.get(request.command))
        except AsrError as error:
            response.message = str(error)
        else:
            response.success = True
            self._publish_status()
        return response


def main() -> int:
    """Run the node as a process."""
    return run(InferenceNode)


if __name__ == '__main__':
    sys.exit(main())
