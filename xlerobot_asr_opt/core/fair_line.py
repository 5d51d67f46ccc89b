"""The jobs of one priority class before one worker, in an order that is fair to their streams.

Start-time fair queueing (Goyal, Vin and Cheng, 1996), in rounds. A job begins where the last one
of its stream ended, or at the round that is served now if its stream asked for less than that; so
a stream's first job stands in the present round whatever the others have heaped up, and a hog's
hundredth a hundred usual jobs later. Within a round the earliest deadline is first, then who came
first. While nobody asks for more than his share, all stand in one round, and what is left is
earliest deadline first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.ranked_line import NOTHING, RankedLine, Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from xlerobot_asr_opt.core.ranked_line import Demand, Job, Rank

__all__ = ['FairLine']

REMEMBERED = 64
"""Ends of streams that are remembered beyond one for each job before they are swept."""


class FairLine:
    """Jobs in rounds; those with equal demands on a worker stand in one lane.

    Only the ends of a lane are ever looked at: a job that the asking worker must not take does not
    hold up the others, and a decision costs as much as there are lanes, which are a handful.

    Args:
        quantum: length of a usual job: what a stream may ask for in one round.
    """

    def __init__(self, quantum: int) -> None:
        self._quantum = quantum
        self._lanes: dict[Demand, RankedLine] = {}
        self._jobs = 0
        self._round = 0
        self._ends: dict[str, int] = {}

    def __len__(self) -> int:
        return self._jobs

    def push(self, job: Job, demand: Demand) -> Rank:
        """Add a job; returns its rank, by which it is discarded."""
        rank = self.rank(job)
        begin = max(self._round * self._quantum, self._ends.get(job.stream, 0))
        self._ends[job.stream] = begin + job.length
        if len(self._ends) > 2 * self._jobs + REMEMBERED:
            self._sweep()
        lane = self._lanes.get(demand)
        if lane is None:
            lane = self._lanes[demand] = RankedLine()
        lane.add(rank, job.length)
        self._jobs += 1
        return rank

    def discard(self, rank: Rank, demand: Demand) -> None:
        """Take a job out."""
        lane = self._lanes[demand]
        lane.remove(rank)
        self._jobs -= 1
        if not lane:
            del self._lanes[demand]
        if not self._jobs:
            self._round = 0
            self._ends.clear()

    def serve(self, rank: Rank) -> None:
        """Note that the owner begins with this rank: new streams join its round."""
        self._round = max(self._round, rank[0])

    def first(self, fits: Callable[[Demand], bool]) -> Rank | None:
        """The rank that is served first, of those in a lane that fits."""
        if len(self._lanes) == 1:
            demand, lane = next(iter(self._lanes.items()))
            return lane.first if fits(demand) else None
        return min((lane.first for demand, lane in self._lanes.items() if fits(demand)),
                   default=None)

    def last(self, fits: Callable[[Demand], bool]) -> Rank | None:
        """The rank that is served last, of those in a lane that fits."""
        return max((lane.last for demand, lane in self._lanes.items() if fits(demand)),
                   default=None)

    @property
    def work(self) -> Work:
        """All that stands here."""
        return _total([lane.work for lane in self._lanes.values()])

    def rank(self, job: Job) -> Rank:
        """The rank that a job would get that came now."""
        begin = max(self._round * self._quantum, self._ends.get(job.stream, 0))
        return begin // self._quantum, job.deadline, job.order

    def before(self, rank: Rank) -> Work:
        """What is served before this rank."""
        return _total([lane.before(rank) for lane in self._lanes.values()])

    def _sweep(self) -> None:
        """Forget the streams that have had no more than their share."""
        now = self._round * self._quantum
        self._ends = {stream: end for stream, end in self._ends.items() if end > now}


def _total(works: list[Work]) -> Work:
    if not works:
        return NOTHING
    if len(works) == 1:
        return works[0]
    return Work(sum(work.jobs for work in works), sum(work.length for work in works))
