"""The workers that take segments: their credit, their health, their speed, and what they hold."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.service_time import ServiceTime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xlerobot_asr_opt.core.dispatch_records import Job, Lease
    from xlerobot_asr_opt.core.ranked_line import Demand
    from xlerobot_asr_opt.records import WorkerStatus

__all__ = ['Loss', 'Worker', 'WorkerPool']


@dataclass(eq=False)
class Worker:
    """A worker that takes segments.

    Attributes:
        status: what it said last.
        seen: when it said so [s].
        leases: grants that it has not answered.
        strikes: grants that came to nothing since its last good answer.
        service: what its answers took, of its time alone; lengths in samples.
        answered: when it answered last [s].
    """

    status: WorkerStatus
    seen: float
    leases: dict[Lease, None] = field(default_factory=dict)
    strikes: int = 0
    service: ServiceTime = field(default_factory=ServiceTime)
    answered: float = 0.0

    @property
    def name(self) -> str:
        """As in WorkerStatus."""
        return self.status.worker

    @property
    def credit(self) -> int:
        """Segments that it can take now; negative after it lowered its capacity."""
        return self.status.capacity - len(self.leases)

    def fits(self, demand: Demand) -> bool:
        """Whether it may take jobs of this demand."""
        limit, tried = demand
        return self.status.longest >= limit and self.status.worker not in tried

    def returned(self, lease: Lease, now: float, *, answered: bool) -> None:
        """Give back the credit of a lease; learn from an answer how long one takes.

        A worker does one after the other: an answer took it the time since the one before, or
        since the grant if it had nothing to do.
        """
        if lease not in self.leases:
            return
        del self.leases[lease]
        if answered:
            began = max(lease.granted, self.answered)
            self.service.observe(lease.job.length, now - began)
        self.answered = now

    def busy_s(self, now: float) -> float:
        """How long it will take for what it holds [s]."""
        if not self.leases:
            return 0.0
        leases = iter(self.leases)
        first = next(leases)
        elapsed = now - max(first.granted, self.answered)
        rest = sum(self.service.of_one(lease.job.length) for lease in leases)
        return max(0.0, self.service.of_one(first.job.length) - elapsed) + rest

    def would_take_s(self, length: int, now: float) -> float:
        """How long it will take for what it holds and one segment of this length more [s]."""
        return self.busy_s(now) + self.service.of_one(length)


@dataclass(frozen=True)
class Loss:
    """A worker lost all that it was granted.

    Attributes:
        worker: as it was.
        reason: for people.
        fault: whether what it was granted may be to blame.
    """

    worker: Worker
    reason: str
    fault: bool


class WorkerPool:
    """The workers that take segments, by name.

    A worker is in the pool from the first status that says it is active until one says that it
    is not, or until it falls silent. One that was silent, and is heard again without a restart,
    still holds what it was granted: that goes on taking its credit.
    """

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}
        self._away: dict[str, Worker] = {}
        self._limits: tuple[int, ...] = ()
        self._offers: tuple[tuple[str, int], ...] = ()
        self._recogniser: bytes | None = None

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def recogniser(self) -> bytes | None:
        """Digest of the recogniser that answers are looked up for; None before any is known.

        With workers of several models it is that of the one who has been here longest.
        """
        for worker in self._workers.values():
            return worker.status.recogniser
        return self._recogniser

    @property
    def longest(self) -> int | None:
        """The longest segment that any worker takes [samples]; None without a worker."""
        return self._limits[-1] if self._limits else None

    @property
    def offers(self) -> tuple[tuple[str, int], ...]:
        """Who takes grants, and their ``longest`` [samples]: what waits is queued by these."""
        return self._offers

    def with_credit(self) -> list[Worker]:
        """The workers that can take a segment now."""
        return [worker for worker in self._workers.values() if worker.credit > 0]

    def is_idle(self, length: int) -> bool:
        """Whether a worker that takes this length [samples] has nothing to do."""
        return any(not worker.leases and worker.status.capacity > 0
                   and worker.status.longest >= length for worker in self._workers.values())

    def limit(self, length: int) -> int:
        """The shortest ``longest`` that takes this length; 0 if nobody does [samples]."""
        at = bisect.bisect_left(self._limits, length)
        return self._limits[at] if at < len(self._limits) else 0

    def update(self, status: WorkerStatus, now: float) -> Loss | None:
        """Take what a worker says; returns what is lost by it, if anything."""
        known = self._workers.get(status.worker)
        if known is None:
            self._welcome(status, now)
            return None
        if not status.active:
            self._remove(known)
            return Loss(known, f'worker {known.name} was deactivated', fault=False)
        if known.status.incarnation != status.incarnation:
            self._remove(known)
            self._welcome(status, now)
            return Loss(known, f'worker {known.name} was restarted', fault=True)
        known.status, known.seen = status, now
        self._measure()
        return None

    def silent(self, before: float) -> list[Worker]:
        """Remove and return those who were last heard before this time [s]."""
        gone = [worker for worker in self._workers.values() if worker.seen < before]
        for worker in gone:
            self._remove(worker)
        if gone:
            self._away = {worker.name: worker for worker in (*self._away.values(), *gone)
                          if worker.leases}
        return gone

    def candidates(self, job: Job) -> list[Worker]:
        """Who may be granted a job, now or later; empty: nobody that takes grants.

        A worker that failed on the job is out while another one would take it, even a busy one.
        """
        fit = [worker for worker in self._workers.values()
               if worker.status.longest >= job.length and worker.status.capacity > 0]
        if not job.tried:
            return fit
        return [worker for worker in fit if worker.name not in job.tried] or fit

    def demand(self, job: Job, candidates: Iterable[Worker]) -> Demand:
        """What a job asks of a worker, for its lane."""
        tried = job.tried.difference(worker.name for worker in candidates)
        return self.limit(job.length), tried

    def _welcome(self, status: WorkerStatus, now: float) -> None:
        """Take a worker in, with what it still holds if it was only silent."""
        away = self._away.pop(status.worker, None)
        if not status.active:
            return
        if away is None or away.status.incarnation != status.incarnation:
            away = Worker(status, now)
        away.status, away.seen = status, now
        self._workers[status.worker] = away
        self._measure()

    def _remove(self, worker: Worker) -> None:
        del self._workers[worker.name]
        self._measure()

    def _measure(self) -> None:
        self._recogniser = self.recogniser
        self._limits = tuple(sorted({worker.status.longest for worker in self._workers.values()}))
        self._offers = tuple((worker.name, worker.status.longest)
                             for worker in self._workers.values() if worker.status.capacity > 0)
