"""The line of jobs that wait for a worker.

Served first: the lowest priority class, in it the earliest deadline, in it who came first. Every
OLDEST_EVERY-th job taken is the one that has waited longest, whatever its class and deadline, so
that nobody starves behind a flood of more urgent ones; an urgent job waits for one grant more at
most.

Jobs with the same demands on a worker stand in one lane, and only the head of a lane is ever
looked at. So a segment too long for the worker that is free does not hold up the others, and a
decision costs O(log n) for n jobs and a handful of lanes.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xlerobot_asr_opt.core.dispatch_records import Job

__all__ = ['OLDEST_EVERY', 'WaitingLine']

OLDEST_EVERY = 16
"""One job in this many is taken by age alone."""

Rank = tuple[int, float, int]


class Lane:
    """Jobs with equal demands, by urgency and by age.

    Both heaps drop a job that was taken out only when it comes up, or when they are swept.
    """

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._ranks: list[Rank] = []
        self._ages: list[int] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def push(self, job: Job) -> None:
        """Add a job."""
        self._jobs[job.order] = job
        heapq.heappush(self._ranks, job.rank)
        heapq.heappush(self._ages, job.order)

    def discard(self, job: Job) -> None:
        """Take a job out."""
        del self._jobs[job.order]
        most = 2 * len(self._jobs) + 64
        if len(self._ranks) > most:
            self._ranks = sorted(other.rank for other in self._jobs.values())
        if len(self._ages) > most:
            self._ages = sorted(self._jobs)

    def oldest(self) -> Job:
        """Who has waited longest."""
        while self._ages[0] not in self._jobs:
            heapq.heappop(self._ages)
        return self._jobs[self._ages[0]]

    def urgent(self) -> Job:
        """Who is served first."""
        while True:
            rank = self._ranks[0]
            job = self._jobs.get(rank[2])
            if job is not None and job.rank == rank:
                return job
            heapq.heappop(self._ranks)


class WaitingLine:
    """Jobs that wait for a worker."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[int, frozenset[str]], Lane] = {}
        self._lane_of: dict[int, tuple[int, frozenset[str]]] = {}
        self._taken = 0

    def __len__(self) -> int:
        return len(self._lane_of)

    def __contains__(self, job: Job) -> bool:
        return job.order in self._lane_of

    def push(self, job: Job, limit: int) -> None:
        """Add a job.

        Args:
            job: its rank must not change while it stands here.
            limit: the shortest ``longest`` of the workers that would take it [samples].
        """
        demands = (limit, job.tried)
        self._lanes.setdefault(demands, Lane()).push(job)
        self._lane_of[job.order] = demands

    def discard(self, job: Job) -> None:
        """Take a job out, if it stands here."""
        demands = self._lane_of.pop(job.order, None)
        if demands is None:
            return
        lane = self._lanes[demands]
        lane.discard(job)
        if not lane:
            del self._lanes[demands]

    def take(self, job: Job) -> None:
        """Take a job out to serve it."""
        self.discard(job)
        self._taken += 1

    def heads(self) -> list[Job]:
        """The next job of each lane, in the order in which they are to be served."""
        if self._taken % OLDEST_EVERY == OLDEST_EVERY - 1:
            return sorted((lane.oldest() for lane in self._lanes.values()),
                          key=lambda job: job.order)
        return sorted((lane.urgent() for lane in self._lanes.values()), key=lambda job: job.rank)

    def clear(self) -> list[Job]:
        """Take all jobs out, in the order in which they came."""
        jobs = [job for lane in self._lanes.values() for job in lane]
        self._lanes.clear()
        self._lane_of.clear()
        return sorted(jobs, key=lambda job: job.order)
