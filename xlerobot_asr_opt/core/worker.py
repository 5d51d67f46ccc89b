"""Runs prepared segments through a backend, in a thread that the node lends."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass

from xlerobot_asr_opt.backends.base import (
    InferenceBackend,
    Prepared,
    Result,
    recognise_each,
    takes_batches,
)
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
    """A queue of jobs before one backend, which gets one at a time, or several in a batch.

    submit, withdraw, stop and working_s belong to the node's thread; run is the body of the lent
    one, and deliver is called from there.
    """

    def __init__(
        self, name: str, backend: InferenceBackend, deliver: Callable[[Recognition], None],
        clock: Callable[[], float], *, batch: int = 1, batch_delay_s: float = 0.0,
    ) -> None:
        """Make a worker without work.

        Args:
            name: what Recognition.worker says.
            backend: loaded; used by run alone but for prepare.
            deliver: takes each answer, on the lent thread.
            clock: monotonic seconds.
            batch: most jobs that the backend gets at once.
            batch_delay_s: how long a job may wait for others to fill its batch [s].
        """
        self._name = name
        self._backend = backend
        self._deliver = deliver
        self._clock = clock
        self._batch = batch
        self._batch_delay_s = batch_delay_s
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
        """Have run return after the jobs that it is in."""
        self.withdraw()
        self._jobs.put(None)

    def working_s(self) -> float:
        """Return how long the running jobs have taken so far [s]; 0: idle."""
        since = self._since
        return 0.0 if since is None else max(0.0, self._clock() - since)

    def run(self) -> None:
        """Answer jobs until stop."""
        while (job := self._jobs.get()) is not None:
            batch = self._gather(job)
            self._since = begin = self._clock()
            told = self._recognise([job.prepared for job in batch])
            answers = [self._answer(job, one, wait_ms=(begin - job.received_s) * 1e3)
                       for job, one in zip(batch, told, strict=True)]
            self._since = None
            for answer in answers:
                self._deliver(answer)

    def _gather(self, first: Job) -> list[Job]:
        """The first job, and what else is there until the batch is full or its time is over."""
        batch = [first]
        until = self._clock() + self._batch_delay_s
        while len(batch) < self._batch:
            try:
                left = until - self._clock()
                job = self._jobs.get(timeout=left) if left > 0.0 else self._jobs.get_nowait()
            except queue.Empty:
                return batch
            if job is None:
                # Stopped: run has to find this after the batch.
                self._jobs.put(None)
                return batch
            batch.append(job)
        return batch

    def _recognise(self, batch: list[Prepared]) -> list[Result | BackendError]:
        if len(batch) > 1 and takes_batches(self._backend):
            try:
                return self._backend.recognise_batch(batch)
            except BackendError as error:
                return [error] * len(batch)
        return recognise_each(self._backend, batch)

    def _answer(self, job: Job, told: Result | BackendError, wait_ms: float) -> Recognition:
        wait_ms = max(0.0, wait_ms - job.prepared.features_ms)
        if isinstance(told, BackendError):
            return Recognition(
                job.segment, job.attempt, self._name, RecognitionStatus.FAILED,
                backend=self._backend.name, reason=str(told), wait_ms=wait_ms,
                features_ms=job.prepared.features_ms, worker_ms=self._age_ms(job))
        return Recognition(
            job.segment, job.attempt, self._name, told.status, text=told.text,
            language=told.language, confidence=told.confidence, words=told.words,
            emotion=told.emotion, event=told.event, backend=told.backend,
            reason=told.reason, wait_ms=wait_ms + told.lost_ms,
            features_ms=told.features_ms, encode_ms=told.encode_ms,
            decode_ms=told.decode_ms, worker_ms=self._age_ms(job),
            recogniser=told.recogniser or self._backend.digest)

    def _age_ms(self, job: Job) -> float:
        return (self._clock() - job.received_s) * 1e3
