"""The jobs of one priority class, in an order that is fair to their streams.

Start-time fair queueing (Goyal, Vin and Cheng, 1996), in rounds that all deques share. A job
begins where the last one of its stream ended, or at the round that is served now if its stream
asked for less than that; so a stream's first job stands in the present round whatever the others
have heaped up, and a hog's hundredth a hundred usual jobs later. Within a round the earliest
deadline is first, then who came first. While nobody asks for more than his share, all stand in
one round, and what is left is earliest deadline first.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.ranked_line import RankedLine, Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from xlerobot_asr_opt.core.ranked_line import Demand, Job, Rank

__all__ = ['FairLine', 'Shares']

REMEMBERED = 64
"""Streams that are remembered before those with no more than their share are forgotten."""


class Shares:
    """What the streams of a class have asked for, whatever the worker, and where that has got to.

    Args:
        quantum: length of a usual job: what a stream may ask for in one round.

    Attributes:
        present: the first round in which anything waits.
    """

    def __init__(self, quantum: int) -> None:
        self._quantum = quantum
        self._ends: dict[str, int] = {}
        self._most = REMEMBERED
        self._waiting: dict[int, int] = {}
        self.present = 0

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def waits(self) -> bool:
        """Whether any job was charged and not discharged."""
        return bool(self._waiting)

    def rank(self, job: Job) -> Rank:
        """The rank of a job that comes now."""
        return self._begin(job) // self._quantum, job.deadline, job.order

    def charge(self, job: Job) -> Rank:
        """Count a job that is queued against its stream; returns its rank."""
        begin = self._begin(job)
        self._ends[job.stream] = begin + job.length
        if len(self._ends) > self._most:
            self._sweep()
        at = begin // self._quantum
        self._waiting[at] = self._waiting.get(at, 0) + 1
        return at, job.deadline, job.order

    def discharge(self, rank: Rank) -> None:
        """Note that a job waits no more, which may end the present round."""
        left = self._waiting[rank[0]] - 1
        if left:
            self._waiting[rank[0]] = left
            return
        del self._waiting[rank[0]]
        if rank[0] == self.present and self._waiting:
            self.present = min(self._waiting)

    def _begin(self, job: Job) -> int:
        return max(self.present * self._quantum, self._ends.get(job.stream, 0))

    def _sweep(self) -> None:
        begun = self.present * self._quantum
        self._ends = {stream: end for stream, end in self._ends.items() if end > begun}
        self._most = max(REMEMBERED, 2 * len(self._ends))


class FairLine:
    """The jobs of one class before one worker; those with equal demands stand in one lane.

    Only the ends of a lane are ever looked at: a job that the asking worker must not take does not
    hold up the others, and a decision costs as much as there are lanes, which are a handful.
    """

    def __init__(self) -> None:
        self._lanes: dict[Demand, RankedLine] = {}
        self._jobs = 0

    def __len__(self) -> int:
        return self._jobs

    def push(self, rank: Rank, length: int, demand: Demand) -> None:
        """Add a job."""
        lane = self._lanes.get(demand)
        if lane is None:
            lane = self._lanes[demand] = RankedLine()
        lane.add(rank, length)
        self._jobs += 1

    def discard(self, rank: Rank, demand: Demand) -> None:
        """Take a job out."""
        lane = self._lanes[demand]
        lane.remove(rank)
        self._jobs -= 1
        if not lane:
            del self._lanes[demand]

    def first(self, fits: Callable[[Demand], bool]) -> Rank | None:
        """The rank that is served first, of those in a lane that fits."""
        if len(self._lanes) == 1:
            for demand, lane in self._lanes.items():
                return lane.first if fits(demand) else None
        return min((lane.first for demand, lane in self._lanes.items() if fits(demand)),
                   default=None)

    def last(self, of_round: int, fits: Callable[[Demand], bool]) -> Rank | None:
        """The rank that is served last in a round, of those in a lane that fits."""
        ranks = (lane.last_before((of_round + 1, -math.inf, 0))
                 for demand, lane in self._lanes.items() if fits(demand))
        return max((rank for rank in ranks if rank is not None), default=None)

    @property
    def work(self) -> Work:
        """All that stands here."""
        return _total([lane.work for lane in self._lanes.values()])

    def before(self, rank: Rank) -> Work:
        """What is served before this rank."""
        return _total([lane.before(rank) for lane in self._lanes.values()])


def _total(works: list[Work]) -> Work:
    if len(works) == 1:
        return works[0]
    return Work(sum(work.jobs for work in works), sum(work.length for work in works))
