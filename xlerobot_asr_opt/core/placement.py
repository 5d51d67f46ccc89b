"""Where a job waits, who takes it and when: the deques before the pool of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.forecast import foretell
from xlerobot_asr_opt.core.work_stealing import WorkStealingDeques
from xlerobot_asr_opt.records import SAMPLE_RATE

if TYPE_CHECKING:
    import random

    from xlerobot_asr_opt.core.dispatch_records import Job
    from xlerobot_asr_opt.core.forecast import Forecast
    from xlerobot_asr_opt.core.ranked_line import Rank
    from xlerobot_asr_opt.core.work_stealing import StealCounters
    from xlerobot_asr_opt.core.worker_pool import Worker, WorkerPool

__all__ = ['Placement']

ROUND_LENGTH = SAMPLE_RATE // 2
"""Samples that a stream may ask for in one round, before the next one's turn comes: a word."""


class Placement:
    """Queues jobs with workers, and hands them out as the workers' credit allows.

    Args:
        pool: of the workers.
        chance: draws the victims of thieves, and whose backlogs are compared.
    """

    def __init__(self, pool: WorkerPool, chance: random.Random) -> None:
        self._pool = pool
        self._chance = chance
        self._deques: WorkStealingDeques[Job] = WorkStealingDeques(chance, ROUND_LENGTH)

    def __len__(self) -> int:
        return len(self._deques)

    def __contains__(self, job: Job) -> bool:
        return job in self._deques

    def counters(self) -> StealCounters:
        """A snapshot."""
        return self._deques.counters()

    def queue(self, job: Job, favourite: str, now: float) -> None:
        """Queue a job with its favourite, unless another worker would begin it much earlier.

        Args:
            job: must not change while it waits.
            favourite: worker that served its stream last.
            now: dispatcher's clock [s].
        """
        candidates = self._pool.candidates(job)
        demand = self._pool.demand(job, candidates)
        if not candidates:
            self._deques.push(job, None, demand)
            return
        home = self._home(job, candidates, favourite, now)
        self._deques.push(job, home.name, demand, preferred=home.name == favourite)

    def discard(self, job: Job) -> None:
        """Take a job out, if it waits."""
        self._deques.discard(job)

    def clear(self) -> list[Job]:
        """Take all jobs out, in the order in which they came."""
        return self._deques.clear()

    def next(self) -> tuple[Job, Worker] | None:
        """Whom to grant what, now; the job waits no more. None: nobody can take anything.

        A worker that failed of late comes last, one with work of its own before a thief.
        """
        if not self._deques:
            return None
        deques = self._deques
        free = self._pool.with_credit()
        if len(free) > 1:
            free.sort(key=lambda worker: (
                worker.strikes, not deques.holds(worker.name), len(worker.leases)))
        for worker in free:
            job = deques.take(worker.name, worker.fits)
            if job is not None:
                return job, worker
        return None

    def forecast(self, job: Job, now: float) -> Forecast | None:
        """What a job would need that were queued, or is, now; None: nobody can know yet."""
        return foretell(job, self._pool.candidates(job), self._deques, now)

    def _home(self, job: Job, candidates: list[Worker], favourite: str, now: float) -> Worker:
        if len(candidates) == 1:
            return candidates[0]
        free = [worker for worker in candidates if worker.credit > 0]
        if free:
            fewest = min(worker.strikes for worker in free)
            sound = [worker for worker in free if worker.strikes == fewest]
            return (_named(favourite, sound)
                    or min(sound, key=lambda worker: len(worker.leases)))
        stays = _named(favourite, candidates)
        if len(candidates) > 2:
            # Two choices by chance are almost as good as all.
            candidates = self._chance.sample(candidates, 2)
        rank = self._deques.rank(job)
        _, (begin_s, _), best = min(
            ((worker.strikes, self._begin_s(job, rank, worker, now), worker)
             for worker in candidates), key=lambda choice: choice[:2])
        if stays is None or stays.strikes > best.strikes:
            return best
        patience_s = stays.service.of_one(job.length)
        waits_s, _ = self._begin_s(job, rank, stays, now)
        return stays if waits_s <= begin_s + patience_s else best

    def _begin_s(
        self, job: Job, rank: Rank, worker: Worker, now: float,
    ) -> tuple[float, int]:
        """When the worker would begin the job by itself [s], and after how many others."""
        before = self._deques.before(job.priority, rank, worker.name)
        return worker.busy_s(now) + worker.service.of(before), before.jobs


def _named(name: str, workers: list[Worker]) -> Worker | None:
    return next((worker for worker in workers if worker.name == name), None)
