"""Runs prepared segments through a backend, one at a time, in a thread that the node lends."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass

from xlerobot_asr_opt.backends.base import InferenceBackend, Prepared
from xlerobot_asr_opt.errors import BackendError
from xlerobot_asr_opt.records import Recognition, RecognitionStatus

__all__ = ['Job', 'Worker']


@dataclass(frozen=True)
class Job:
    """One granted segment with its features.

    Attributes:
        segment: Ticket.segment.
        attempt: Grant.attempt.
        prepared: the features; the samples are gone.
        received_s: when the segment came, on the worker's clock [s].
    """

    segment: int
    attempt: int
    prepared: Prepared
    received_s: float


class Worker:
    """A queue of jobs before one backend.

    submit, withdraw, stop and working_s belong to the node's thread; run is the body of the lent
    one, and deliver is called from there.
    """

    def __init__(
        self, name: str, backend: InferenceBackend, deliver: Callable[[Recognition], None],
        clock: Callable[[], float],
    ) -> None:
        """Make a worker without work.

        Args:
            name: what Recognition.worker says.
            backend: loaded; used by run alone but for prepare.
            deliver: takes each answer, on the lent thread.
            clock: monotonic seconds.
        """
        self._name = name
        self._backend = backend
        self._deliver = deliver
        self._clock = clock
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._since: float | None = None

    def submit(self, job: Job) -> None:
        """Queue one job."""
        self._jobs.put(job)

    def withdraw(self) -> list[Job]:
        """Drop what has not been started, and return it."""
        dropped: list[Job] = []
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return dropped
            if job is None:
                # Stopped: run has to find this, and nothing else comes.
                self._jobs.put(None)
                return dropped
            dropped.append(job)

    def stop(self) -> None:
        """Have run return after the job that it is in."""
        self.withdraw()
        self._jobs.put(None)

    def working_s(self) -> float:
        """Return how long the running job has taken so far [s]; 0: idle."""
        since = self._since
        return 0.0 if since is None else max(0.0, self._clock() - since)

    def run(self) -> None:
        """Answer jobs until stop."""
        while (job := self._jobs.get()) is not None:
            self._since = begin = self._clock()
            recognition = self._recognise(job, wait_ms=(begin - job.received_s) * 1e3)
            self._since = None
            self._deliver(recognition)

    def _recognise(self, job: Job, wait_ms: float) -> Recognition:
        wait_ms = max(0.0, wait_ms - job.prepared.features_ms)
        try:
            result = self._backend.recognise(job.prepared)
        except BackendError as error:
            return Recognition(
                job.segment, job.attempt, self._name, RecognitionStatus.FAILED,
                backend=self._backend.name, reason=str(error), wait_ms=wait_ms,
                features_ms=job.prepared.features_ms, worker_ms=self._age_ms(job))
        return Recognition(
            job.segment, job.attempt, self._name, result.status, text=result.text,
            language=result.language, confidence=result.confidence, words=result.words,
            emotion=result.emotion, event=result.event, backend=result.backend,
            reason=result.reason, wait_ms=wait_ms + result.lost_ms,
            features_ms=result.features_ms, encode_ms=result.encode_ms,
            decode_ms=result.decode_ms, worker_ms=self._age_ms(job),
            recogniser=result.recogniser or self._backend.digest)

    def _age_ms(self, job: Job) -> float:
        return (self._clock() - job.received_s) * 1e3
